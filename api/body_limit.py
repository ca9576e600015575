"""The limits on request bodies: how long they may be, checked against Content-Length and while a body without one is
read, and how long they may take."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 4 * 1024 * 1024
"""How long and how much of a refused body is read and discarded before the connection closes."""


class Allowance(NamedTuple):
    """What a body may be."""

    limit: int
    """Bytes."""
    timeout: timedelta
    """From the moment at which the application begins to read."""
    pause: timedelta
    """Between two pieces."""


class BodyLimit:
    """ASGI middleware that answers a body over the limit with 413, and one that does not come with 408; either closes
    the connection.

    After a 413 the rest of the body is read for a short while before that: closing on a client that still sends resets
    the connection, and most clients then lose the answer.
    """

    def __init__(self, app: ASGIApp, *, usual: Allowance, special: Mapping[str, Allowance]) -> None:
        """``special`` is by path."""
        self._app = app
        self._usual = usual
        self._special = special

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._special.get(scope["path"], self._usual))

        async def answered(message: Message) -> None:
            if body.too_long and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _discard_rest(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(scope, body.receive, answered)


class _Body:
    """The body of one request while it is read. Its refusals are HTTPExceptions: FastAPI lets nothing else through from
    where it reads the body."""

    def __init__(self, scope: Scope, receive: Receive, allowance: Allowance) -> None:
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        self.too_long = announced.isdigit() and int(announced[:20]) > allowance.limit
        self._receive = receive
        self._limit = allowance.limit
        self._seconds = allowance.timeout.total_seconds()
        self._pause = allowance.pause.total_seconds()
        self._deadline: float | None = None
        self._received = 0
        self._whole = False

    async def receive(self) -> Message:
        """The next message. Raises ``HTTPException``."""
        if self._whole:
            # All that can come now is that the client goes, whenever that is.
            return await self._receive()
        message: Message = {} if self.too_long else await self._in_time()
        self._received += len(message.get("body", b""))
        self.too_long = self.too_long or self._received > self._limit
        if self.too_long:
            raise HTTPException(413, f"The body is longer than {self._limit} bytes", {"Connection": "close"})
        self._whole = not message.get("more_body", False)
        return message

    async def _in_time(self) -> Message:
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._seconds
        try:
            async with asyncio.timeout_at(min(self._deadline, now + self._pause)):
                return await self._receive()
        except TimeoutError:
            detail = f"The body did not arrive within {self._seconds:g} s, or nothing of it for {self._pause:g} s"
            raise HTTPException(408, detail, {"Connection": "close"}) from None


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
