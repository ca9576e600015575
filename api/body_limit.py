"""The limit on request bodies, checked against Content-Length, and while a body without one is read."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 4 * 1024 * 1024
"""How long and how much of a refused body is read and discarded before the connection closes."""


class BodyLimit:
    """ASGI middleware that answers a body over the limit with 413 and closes the connection.

    Before it closes, the rest of the body is read for a short while: closing on a client that still sends resets the
    connection, and most clients then lose the answer.
    """

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
        refused = False

        async def counted() -> Message:
            nonlocal received, refused
            message: Message = {} if too_long else await receive()
            received += len(message.get("body", b""))
            refused = too_long or received > self._limit
            if refused:
                raise self._refusal()
            return message

        async def answered(message: Message) -> None:
            if refused and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _discard_rest(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(scope, counted, answered)

    def _refusal(self) -> HTTPException:
        # FastAPI lets no other exception through from where it reads the body.
        return HTTPException(413, f"The body is longer than {self._limit} bytes", {"Connection": "close"})


async def _discard_rest(receive: Receive) -> None:
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):  # the end of the body, or the client has gone
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return
