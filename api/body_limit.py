"""The longest body that is read: refused by its Content-Length, or while it comes when it has none."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware. What is refused becomes a 413 problem, and the connection closes: its rest is not read."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        """``limit`` in bytes."""
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        too_long = announced.isdigit() and int(announced[:20]) > self._limit
        received = 0

        async def counted() -> Message:
            nonlocal received
            if too_long:
                raise self._refusal()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._refusal()
            return message

        await self._app(scope, counted, send)

    def _refusal(self) -> HTTPException:
        # An HTTPException is the only one that FastAPI lets through from where it reads the body.
        return HTTPException(413, f"The body is longer than {self._limit} bytes", {"Connection": "close"})
