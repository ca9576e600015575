"""The readers of event logs in one process, over two connections to Redis: one that listens for wake-ups, and the
shared pipeline that reads.

A log that has readers is *watched*: its channel is subscribed, then what is new is read once for all of its readers
into a short ring of events. Each reader takes from the ring at its own pace; one that is further behind than the ring
goes back reads its own chunks from the log, so a slow reader costs no memory and a long replay goes out in bounded
pieces.

Wake-ups may get lost (a connection breaks): each confirmation of a subscription, each new connection and a slow clock
make the hub read again. A lost wake-up costs time, never an event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from redis import exceptions
from redis.asyncio import Redis

from parlor.cache.events import CHUNK, Entry, EventLog, parse_cursor
from parlor.cache.reads import LogPosition
from parlor.cache.records import text
from parlor.errors import CacheUnavailable, StreamExpired
from parlor.model import Event

Render = Callable[[Entry], Awaitable[Event | None]]
Position = Callable[[], Awaitable[LogPosition | None]]

RECONNECT_AFTER = 0.2
"""Seconds between attempts to get a lost connection back."""
RECHECK_EVERY = 5.0
"""Seconds after which watched logs are read although nothing woke the hub."""
RING = 256
"""Events of one log that its readers share."""

_log = structlog.get_logger(__name__)


class _Watched:
    """A log with readers."""

    def __init__(self, stream: str, position: str, render: Render) -> None:
        self.stream = stream
        self.render = render
        self.position = position
        """Everything up to here is in the ring, or was."""
        self.ring: deque[tuple[str, Event | None]] = deque()
        self.ring_start = position
        """Everything behind this is in the ring."""
        self.readers = 0
        self.dirty = asyncio.Event()
        self.subscribed = asyncio.Event()
        self.moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when something was read."""
        self.stirred: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the log was looked at, whether or not there was anything."""
        self.pump: asyncio.Task[None] | None = None

    def push(self, entries: list[tuple[str, Event | None]]) -> None:
        self.ring.extend(entries)
        self.position = entries[-1][0]
        while len(self.ring) > RING:
            self.ring_start = self.ring.popleft()[0]
        moved, self.moved = self.moved, asyncio.get_running_loop().create_future()
        moved.set_result(None)

    def stir(self) -> None:
        stirred, self.stirred = self.stirred, asyncio.get_running_loop().create_future()
        stirred.set_result(None)


class Tail:
    """One reader's place in a log."""

    def __init__(self, watched: _Watched, log: EventLog, cursor: str, position: Position) -> None:
        self.cursor = cursor
        self._watched = watched
        self._log = log
        self._position = position

    async def next(self, timeout: float) -> list[Event]:
        """What has come since, a chunk at most; empty after ``timeout`` seconds without news. Raises ``StreamExpired``
        for a reader that the log's end has overtaken, ``CacheUnavailable``."""
        deadline = asyncio.get_running_loop().time() + timeout
        watched = self._watched
        while True:
            here = parse_cursor(self.cursor)
            if here >= parse_cursor(watched.position):
                moved = watched.moved
                try:
                    async with asyncio.timeout_at(deadline):
                        # Shielded: the future belongs to all readers of the log.
                        await asyncio.shield(moved)
                except TimeoutError:
                    return []
                continue
            if here >= parse_cursor(watched.ring_start):
                found = [(at, event) for at, event in watched.ring if parse_cursor(at) > here]
            else:
                found = await self._read_behind()
            if found:
                self.cursor = found[-1][0]
            events = [event for _, event in found if event is not None]
            if events:
                return events

    async def stirred(self, timeout: float) -> None:
        """Returns with the next wake-up, event or not (a commit is told without one), or after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._watched.stirred)
        except TimeoutError:
            return

    async def _read_behind(self) -> list[tuple[str, Event | None]]:
        entries = await self._log.entries(self._watched.stream, self.cursor)
        # After the read: what was cut before it, the log's start tells now.
        position = await self._position()
        if position is None or parse_cursor(self.cursor) < parse_cursor(position.start):
            raise StreamExpired(extra={"oldest_cursor": position.start if position else "0-0"})
        return [(text(entry[0]), await self._watched.render(entry)) for entry in entries]


class EventHub:
    """``listener`` is a client of its own without a read timeout: the hub waits on it for wake-ups."""

    def __init__(self, log: EventLog, listener: Redis) -> None:
        self._log = log
        self._listener = listener
        self._pubsub = listener.pubsub()
        self._watched: dict[str, _Watched] = {}
        self._listening: asyncio.Task[None] | None = None
        self._has_readers = asyncio.Event()

    @property
    def watched(self) -> int:
        """Logs with readers."""
        return len(self._watched)

    @asynccontextmanager
    async def tail(self, stream: str, after: str | None, position: Position, render: Render) -> AsyncIterator[Tail]:
        """A reader of ``stream`` behind the cursor ``after`` (None: from now). Raises ``InvalidRequest`` for a cursor
        that is none, ``StreamExpired`` for one that the log does not reach back to, ``CacheUnavailable``."""
        if after is not None:
            parse_cursor(after)
        at = await position()
        last, start = (at.last, at.start) if at else ("0-0", "0-0")
        cursor = after if after is not None else last
        # Ahead of the log's end is no place either: that log was another one, before Redis lost it.
        if not parse_cursor(start) <= parse_cursor(cursor) <= parse_cursor(last):
            raise StreamExpired(extra={"oldest_cursor": start})
        watched = await self._watch(stream, last, render)
        try:
            yield Tail(watched, self._log, cursor, position)
        finally:
            await self._leave(watched)

    async def close(self) -> None:
        tasks = [watched.pump for watched in self._watched.values() if watched.pump]
        if self._listening is not None:
            tasks.append(self._listening)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watched.clear()
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._listener.aclose()

    async def _watch(self, stream: str, position: str, render: Render) -> _Watched:
        watched = self._watched.get(stream)
        if watched is None:
            watched = self._watched[stream] = _Watched(stream, position, render)
            watched.readers += 1
            watched.pump = asyncio.create_task(self._pump(watched))
            if self._listening is None or self._listening.done():
                self._listening = asyncio.create_task(self._listen())
            self._has_readers.set()
            try:
                await self._pubsub.subscribe(stream)
            except (exceptions.RedisError, OSError) as error:
                # The listener connects again and subscribes to everything that is watched.
                _log.warning("subscribe_failed", error=str(error))
        else:
            watched.readers += 1
        return watched

    async def _leave(self, watched: _Watched) -> None:
        watched.readers -= 1
        if watched.readers:
            return
        del self._watched[watched.stream]
        if watched.pump is not None:
            watched.pump.cancel()
            await asyncio.gather(watched.pump, return_exceptions=True)
        if watched.stream not in self._watched:
            try:
                await self._pubsub.unsubscribe(watched.stream)
            except (exceptions.RedisError, OSError) as error:
                _log.warning("unsubscribe_failed", error=str(error))

    async def _pump(self, watched: _Watched) -> None:
        """Reads what is new whenever the log is said to have moved."""
        await watched.subscribed.wait()
        while True:
            watched.dirty.clear()
            try:
                entries = await self._log.entries(watched.stream, watched.position)
                if entries:
                    watched.push([(text(entry[0]), await watched.render(entry)) for entry in entries])
            except CacheUnavailable as error:
                _log.warning("event_log_unreadable", error=error.debug)
                await asyncio.sleep(RECONNECT_AFTER)
                continue
            watched.stir()
            if len(entries) < CHUNK:
                await watched.dirty.wait()

    async def _listen(self) -> None:
        """Hears wake-ups for as long as the hub lives."""
        while True:
            try:
                if not self._watched:
                    self._has_readers.clear()
                    await self._has_readers.wait()
                await self._subscribe_missing()
                heard = await self._pubsub.get_message(timeout=RECHECK_EVERY)
            except (exceptions.RedisError, OSError) as error:
                _log.warning("listening_interrupted", error=str(error))
                await asyncio.sleep(RECONNECT_AFTER)
                # redis-py connects again and subscribes to the same channels with the next call.
                self._wake_all()
                continue
            if heard is None:
                self._wake_all()
                continue
            watched = self._watched.get(text(heard["channel"]))
            if watched is not None:
                if heard["type"] == "subscribe":
                    watched.subscribed.set()
                watched.dirty.set()

    async def _subscribe_missing(self) -> None:
        """Channels whose subscription failed when they were first watched."""
        missing = [stream for stream in self._watched if stream.encode() not in self._pubsub.channels]
        if missing:
            await self._pubsub.subscribe(*missing)

    def _wake_all(self) -> None:
        for watched in self._watched.values():
            watched.dirty.set()
