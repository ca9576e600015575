"""The methods of a path: what it allows, and HEAD, which every path takes that takes GET."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class MethodTable:
    """The paths and methods of an OpenAPI document. Starlette's own ``Allow`` header names only those of the first
    matching route."""

    def __init__(self, openapi: Callable[[], dict[str, Any]]) -> None:
        self._openapi = openapi

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        return [(compile_path(path)[0], _listed(operations)) for path, operations in self._openapi()["paths"].items()]

    def allowed(self, path: str) -> str:
        """The value of ``Allow`` for a path of the document; for any other path, the methods of static files."""
        return next((methods for pattern, methods in self._paths if pattern.fullmatch(path)), _listed({"get"}))


def _listed(operations: dict[str, Any] | set[str]) -> str:
    methods = {method.upper() for method in operations} | {"OPTIONS"}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


class HeadAsGet:
    """ASGI middleware that answers HEAD with the status and headers of GET (RFC 9110 section 9.3.2).

    The work of a GET ends when its headers are known: a stream would go on for ever, and nobody reads it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = asyncio.Event()

        async def headers_only(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                answered.set()

        # A copy: the web server has to know that this is a HEAD, or it would wait for the body.
        getting = asyncio.ensure_future(self._app({**scope, "method": "GET"}, receive, headers_only))
        waiting = asyncio.create_task(answered.wait())
        try:
            await asyncio.wait({getting, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                getting.result()
        finally:
            for task in (getting, waiting):
                task.cancel()
            await asyncio.gather(getting, waiting, return_exceptions=True)
