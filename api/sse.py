"""Server-sent events: an ASGI response that relays a subscription, and the heartbeat of a quiet one.

The subscription is entered before the first byte, so a request that has to be refused gets an ordinary error answer;
only the events of a turn that was just appended are never refused: if they cannot be read now, the stream ends at once
with ``stream.reconnect`` and the turn's cursor. A stream ends when the subscription ends, when the client disconnects
or stops reading, or at its deadline (its lifetime, or the expiry of the token) with a last event ``stream.reconnect``.
At the deadline only the wait for the next batch is interrupted, never a write, so that the cursor in that event is
exactly the last event that the client got.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

import structlog
from fastapi import Response
from starlette.types import Receive, Scope, Send

from api.callers import Caller
from api.edge import Edge, StreamSlot
from api.problems import is_public
from parlor.errors import ParlorError
from parlor.gateway import Subscription
from parlor.model.messages import Event
from parlor.model.wire import encode

RECONNECT = "stream.reconnect"
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
GRACE = 5.0
"""Seconds to finish a write to a slow client when its stream has to end."""
STALL, LOOK = 30.0, 5.0
"""Seconds for one write, and between two looks whether it takes longer. A client that does not read for so long is cut
off, and can resume. Until then one batch and the web server's buffer (64 KiB) are kept for it."""
_JITTER = 0.1
"""The share of its lifetime by which a stream may end early, so that streams opened together reconnect apart."""
_log = structlog.get_logger(__name__)


def frame(event: Event) -> bytes:
    """One event in the format of the event stream."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.cursor.encode(), event.type.encode(), event.data)


class Frames(Protocol):
    """One event stream as a dialect writes it."""

    opening: bytes
    """Sent first, so that proxies pass the headers on before there is an event."""
    ping: bytes
    """Sent when nothing else was for a while."""

    @property
    def ended(self) -> bool:
        """Whether the stream has said that it ends."""

    def write(self, batch: Sequence[Event]) -> bytes: ...

    def end(self, cursor: str, reason: str) -> bytes:
        """What is written last; ``reason`` is the server's, empty when the events have ended."""


class NativeFrames:
    """The dialect of ``/v1``."""

    opening = b": open\n\n"
    ping = b": ping\n\n"

    def __init__(self) -> None:
        self.ended = False

    def write(self, batch: Sequence[Event]) -> bytes:
        if batch:
            self.ended = batch[-1].type == RECONNECT
        return b"".join(map(frame, batch))

    def end(self, cursor: str, reason: str) -> bytes:
        if self.ended or not reason:
            return b""
        return frame(reconnect(cursor, reason))


class EventStream(Response):
    """The response of a call that streams events."""

    def __init__(
        self,
        source: AbstractAsyncContextManager[Subscription],
        edge: Edge,
        caller: Caller,
        headers: dict[str, str] | None = None,
        *,
        slot: StreamSlot | None = None,
        begins_at: str = "",
        frames: Frames | None = None,
    ) -> None:
        """``slot`` is one that the caller has taken; None: take one. ``begins_at`` is the cursor of a turn that was
        appended, and whose stream is not refused any more. ``frames`` None: those of ``/v1``."""
        super().__init__(b"", 200, {**HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._source = source
        self._edge = edge
        self._caller = caller
        self._slot = slot
        self._begins_at = begins_at
        self._frames = frames or NativeFrames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._slot or self._edge.streams.take(self._caller.session.account_id):
            async with AsyncExitStack() as stack:
                try:
                    subscription = await stack.enter_async_context(self._source)
                except ParlorError as error:
                    if not self._begins_at:
                        raise
                    _log.warning("stream_not_begun", code=error.code, debug=error.debug)
                    await self._start(send)
                    await _end_body(send, self._frames.end(self._begins_at, error.code))
                    return
                await self._start(send)
                resumable = isinstance(self._frames, NativeFrames)
                with self._edge.open_streams.watch(self._caller, resumable=resumable) as revoked:
                    await self._serve(_Relay(subscription, send, self._frames), receive, revoked)

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _serve(self, relay: _Relay, receive: Receive, revoked: asyncio.Future[str]) -> None:
        seconds, reason = allowance(self._edge, self._caller)
        running = asyncio.create_task(relay.run())
        gone = asyncio.create_task(wait_for_disconnect(receive))
        deadline = asyncio.create_task(self._edge.clock.sleep(seconds))
        tasks = (running, gone, deadline)
        try:
            # One look now and then: a time limit around each write would cost a tenth of an event.
            while not (await asyncio.wait((*tasks, revoked), timeout=LOOK, return_when=asyncio.FIRST_COMPLETED))[0]:
                relay.check()
            if gone.done():
                return
            if revoked.done():
                reason = revoked.result()
            if not running.done():
                await relay.stop(running)
            elif not running.cancelled() and (error := running.exception()) is not None:
                reason = why(error)
            else:
                reason = ""
            if running.done():
                async with asyncio.timeout(GRACE):
                    await relay.close(reason)
        except (TimeoutError, OSError):
            _log.debug("stream_cut", cursor=relay.cursor)  # the client has stopped reading, or is gone
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Relay:
    """Writes the batches of a subscription to the client."""

    def __init__(self, subscription: Subscription, send: Send, frames: Frames) -> None:
        self._subscription = subscription
        self._send = send
        self._frames = frames
        self._sending_since: float | None = None
        """Of the write that is under way, on the loop's clock."""
        self._ending = False
        self.cursor = subscription.cursor

    async def run(self) -> None:
        batches = aiter(self._subscription)
        try:
            await self._write(self._frames.opening)
            async for batch in batches:
                await self._write(self._frames.write(batch) or self._frames.ping)
                if batch:
                    self.cursor = batch[-1].cursor
                if self._ending or self._frames.ended:
                    return
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Ends ``run``: at once while it waits for events, after the current batch while it writes."""
        self._ending = True
        if self._sending_since is None:
            running.cancel()
        await asyncio.wait({running}, timeout=GRACE)

    async def close(self, reason: str) -> None:
        """Ends the body, with a reason unless the events have said that they end."""
        await _end_body(self._send, self._frames.end(self.cursor, reason))

    def check(self) -> None:
        """Raises ``TimeoutError`` when the client has not read for ``STALL`` seconds."""
        since = self._sending_since
        if since is not None and asyncio.get_running_loop().time() - since >= STALL:
            raise TimeoutError

    async def _write(self, chunk: bytes) -> None:
        self._sending_since = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._sending_since = None


def allowance(edge: Edge, caller: Caller) -> tuple[float, str]:
    """The seconds until the deadline of a stream that begins now, and the reason for it."""
    early = _JITTER * edge.entropy.bits(16) / 2**16
    lifetime = edge.settings.stream_lifetime.total_seconds() * (1 - early)
    token = (caller.credential.valid_until - edge.clock.now_ms()) / 1000
    return (lifetime, "lifetime") if lifetime <= token else (max(0.0, token), "token-expired")


def reconnect(cursor: str, reason: str) -> Event:
    """The last event of a stream that the server ends."""
    return Event(cursor, RECONNECT, encode({"cursor": cursor, "reason": reason}))


async def _end_body(send: Send, last: bytes) -> None:
    await send({"type": "http.response.body", "body": last, "more_body": False})


def why(error: BaseException) -> str:
    """The reason in ``stream.reconnect`` for a stream that failed. Raises an ``OSError`` again: the client is gone."""
    if isinstance(error, OSError):
        raise error
    if isinstance(error, ParlorError) and is_public(type(error)):
        _log.warning("stream_failed", code=error.code, debug=error.debug)
        return error.code
    _log.error("stream_failed", exc_info=error)
    return "internal"


async def wait_for_disconnect(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
