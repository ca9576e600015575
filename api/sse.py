"""Event streams: an ASGI response that tails a subscription.

Whatever can be refused is refused before the first byte, because the gateway's context is entered first. A stream ends
when the subscription ends, when the client goes or takes nothing any more, or at its deadline (lifetime, expiry of the
token) with a last event ``stream.reconnect``. Before that event only the wait for the next batch is interrupted, never
a send, so that the cursor that it names is exactly how far the client got.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager

import msgspec
import structlog
from fastapi import Response
from starlette.types import Receive, Scope, Send

from api.auth import Caller
from api.edge import Edge
from api.problems import is_public
from parlor.errors import ParlorError
from parlor.gateway import Subscription
from parlor.model import Event

RECONNECT = "stream.reconnect"
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_PING = b": ping\n\n"
_OPENED = b": open\n\n"
"""Makes proxies pass the headers on before there is an event."""
_GRACE = 5.0
"""Seconds that a client which does not read gets to take what is being sent when its stream has to end."""
_STALL = 30.0
"""Seconds in which a client has to take a piece; who does not is cut off, and resumes when it reads again. What waits
for it meanwhile is one batch and what the web server buffers (64 KiB)."""
_PIECE = 64 * 1024
"""Bytes from which on a batch goes out in several pieces, so that the web server's buffer stays about that small."""
_JITTER = 0.1
"""The share of its lifetime by which a stream may end early, so that streams opened together do not return together."""
_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


def frame(event: Event) -> bytes:
    """One event as the client reads it."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.cursor.encode(), event.type.encode(), event.data)


class EventStream(Response):
    """The response to a request for events."""

    def __init__(
        self,
        source: AbstractAsyncContextManager[Subscription],
        edge: Edge,
        caller: Caller,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(b"", 200, {**HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._source = source
        self._edge = edge
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._edge.streams.take():
            async with self._source as subscription:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await self._relay(_Pump(subscription, send), receive)

    async def _relay(self, pump: _Pump, receive: Receive) -> None:
        seconds, reason = self._allowance()
        running = asyncio.create_task(pump.run())
        gone = asyncio.create_task(wait_for_disconnect(receive))
        deadline = asyncio.create_task(self._edge.clock.sleep(seconds))
        tasks = (running, gone, deadline)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return
            if not running.done():
                await pump.stop(running)
            elif not running.cancelled() and (error := running.exception()) is not None:
                reason = _reason(error)
            else:
                reason = ""
            if running.done():
                async with asyncio.timeout(_GRACE):
                    await pump.close(reason)
        except (TimeoutError, OSError):
            _log.debug("stream_cut", cursor=pump.cursor)  # the client reads no more, or is gone
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _allowance(self) -> tuple[float, str]:
        """How long this stream may last, in seconds, and why no longer."""
        early = _JITTER * self._edge.entropy.bits(16) / 2**16
        lifetime = self._edge.settings.stream_lifetime.total_seconds() * (1 - early)
        token = (self._caller.valid_until_ms - self._edge.clock.now_ms()) / 1000
        return (lifetime, "lifetime") if lifetime <= token else (max(0.0, token), "token-expired")


class _Pump:
    """Moves batches from the subscription to the client."""

    def __init__(self, subscription: Subscription, send: Send) -> None:
        self._subscription = subscription
        self._send = send
        self._sending = False
        self._ending = False
        self._told = False
        self.cursor = subscription.cursor

    async def run(self) -> None:
        batches = aiter(self._subscription)
        try:
            await self._write(_OPENED)
            async for batch in batches:
                if not batch:
                    await self._write(_PING)
                for chunk, last in _pieces(batch):
                    await self._write(chunk)
                    self.cursor = last.cursor
                    self._told = last.type == RECONNECT
                    if self._ending or self._told:
                        return
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Ends ``run`` at once where it waits for events, after the chunk where it sends one."""
        self._ending = True
        if not self._sending:
            running.cancel()
        await asyncio.wait({running}, timeout=_GRACE)

    async def close(self, reason: str) -> None:
        """The end of the body; with a reason, ``stream.reconnect`` first (unless the subscription said it)."""
        last = b""
        if reason and not self._told:
            last = frame(Event(self.cursor, RECONNECT, _encode({"cursor": self.cursor, "reason": reason})))
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def _write(self, chunk: bytes) -> None:
        self._sending = True
        async with asyncio.timeout(_STALL):
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._sending = False


def _pieces(batch: list[Event]) -> Iterator[tuple[bytes, Event]]:
    """The batch as the client reads it, and the last event of each piece."""
    frames: list[bytes] = []
    size = 0
    for event in batch:
        frames.append(frame(event))
        size += len(frames[-1])
        if size >= _PIECE or event is batch[-1]:
            yield b"".join(frames), event
            frames, size = [], 0


def _reason(error: BaseException) -> str:
    """Why a stream ended that failed on the way; raises what says that the client is gone."""
    if isinstance(error, OSError):
        raise error
    if isinstance(error, ParlorError) and is_public(type(error)):
        _log.warning("stream_failed", code=error.code, debug=error.debug)
        return error.code
    _log.error("stream_failed", exc_info=error)
    return "internal"


async def wait_for_disconnect(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
