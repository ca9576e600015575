"""The methods that a path allows. Starlette's own ``Allow`` header names only those of the first matching route."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from starlette.routing import compile_path


class MethodTable:
    """The paths and methods of an OpenAPI document."""

    def __init__(self, openapi: Callable[[], dict[str, Any]]) -> None:
        self._openapi = openapi

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        return [
            (compile_path(path)[0], ", ".join(sorted(method.upper() for method in operations)))
            for path, operations in self._openapi()["paths"].items()
        ]

    def allowed(self, path: str) -> str:
        """The value of ``Allow`` for a path of the document; for any other path, the methods of static files."""
        return next((methods for pattern, methods in self._paths if pattern.fullmatch(path)), "GET, HEAD")
