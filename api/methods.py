"""Which methods a path takes. Starlette's own ``Allow`` names only the first route that matches the path."""

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
        """``GET, POST`` for a known path; what static files take for any other."""
        return next((methods for pattern, methods in self._paths if pattern.fullmatch(path)), "GET, HEAD")
