"""The readers of event logs in one process, over two connections to Redis: one that listens for wake-ups, and the
shared pipeline that reads.

A log that has readers is *watched*: its channel is subscribed, and what is new comes once for all of its readers into
a short ring of events. A wake-up carries its entry and the id before it: in step with that, the hub reads nothing; what
is behind a gap, too large to be carried, or needs a look at more than the entry is read from the log. Each reader takes
from the ring at its own pace; one that is further behind than the ring goes back reads its own chunks from the log, so
a slow reader costs no memory and a long replay goes out in bounded pieces.

Wake-ups may get lost (a connection breaks): each confirmation of a subscription, each new connection and a slow clock
make the hub read again. A lost wake-up costs time, never an event (I17).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from redis import exceptions
from redis.asyncio import Redis

from parlor.cache.events import CHUNK, LogReader
from parlor.cache.reads import LogPosition
from parlor.cache.records import text
from parlor.cache.watched import Position, Tail, Watched
from parlor.errors import CacheUnavailable, InternalError, StreamExpired
from parlor.model.cursors import START, parse_event_cursor, reaches_back

__all__ = ["EventHub", "Tail"]

RECONNECT_AFTER = 0.2
"""Seconds between attempts to get a lost connection back."""
RECHECK_EVERY = 5.0
"""Seconds after which watched logs are read although nothing woke the hub."""

LINGER = 15.0
"""Seconds for which a log stays watched when its last reader has left: the next turn's reader finds it subscribed."""
LINGERING = 256
"""Logs without readers that stay watched at most: each may keep a ring of events."""

_log = structlog.get_logger(__name__)


class EventHub:
    """``listener`` is a client of its own without a read timeout: the hub waits on it for wake-ups. Only the hub's
    listening task touches it: redis-py's connections are not for several tasks at once."""

    def __init__(self, listener: Redis, recheck_every: float = RECHECK_EVERY, linger: float = LINGER) -> None:
        self._listener = listener
        self._recheck_every = recheck_every
        self._linger = linger
        self._pubsub = listener.pubsub()
        self._watched: dict[str, Watched] = {}
        self._listening: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        """What is watched is not what is subscribed."""
        self._patience: asyncio.Timeout | None = None
        """Of the wait for a wake-up that is under way."""
        self._closed = False

    @property
    def watched(self) -> int:
        """Logs with readers."""
        return sum(1 for watched in self._watched.values() if watched.tails)

    @asynccontextmanager
    async def tail(
        self, stream: str, after: str | None, position: Position, log: LogReader, known: LogPosition | None = None
    ) -> AsyncIterator[Tail]:
        """A reader of ``stream`` behind the cursor ``after`` (None: from now). ``known`` is the log's position, where
        the caller has just read it. Raises ``InvalidCursor`` for a cursor that is none, ``StreamExpired`` for one that
        the log does not reach back to, ``CacheUnavailable``."""
        if after is not None:
            parse_event_cursor(after)
        at = known or await position()
        last, start = (at.last, at.start) if at else (START, START)
        cursor = after if after is not None else last
        # Ahead of the log's end is no place either: that log was another one, before Redis lost it.
        if not reaches_back(start, cursor) or parse_event_cursor(cursor) > parse_event_cursor(last):
            raise StreamExpired(extra={"oldest_cursor": start})
        watched = self._watch(stream, last, position, log)
        tail = Tail(watched, cursor, last)
        watched.tails.add(tail)
        try:
            yield tail
        finally:
            watched.tails.remove(tail)
            await self._leave(watched)

    async def close(self) -> None:
        """Readers that are still there get no more events."""
        self._closed = True
        tasks = [watched.pump for watched in self._watched.values() if watched.pump]
        if self._listening is not None:
            tasks.append(self._listening)
        for task in tasks:
            task.cancel()
        # Python 3.11's wait_for takes a cancellation for itself when what it waits for has just come: the flag stands.
        self._changed.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watched.clear()
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._listener.aclose()

    def _watch(self, stream: str, last: str, position: Position, log: LogReader) -> Watched:
        watched = self._watched.get(stream)
        if watched is None or watched.failure is not None:
            watched = self._watched[stream] = Watched(stream, last, position, log)
            watched.pump = asyncio.create_task(self._pump(watched))
            if self._listening is None:
                self._listening = asyncio.create_task(self._listen())
            self._change()
        watched.left_at = None
        return watched

    async def _leave(self, watched: Watched) -> None:
        if watched.tails:
            return
        if self._watched.get(watched.stream) is not watched or watched.failure is not None:
            await self._drop([watched])
            return
        watched.left_at = asyncio.get_running_loop().time()
        # In the order in which they were left.
        self._watched[watched.stream] = self._watched.pop(watched.stream)
        left = self._left_before(watched.left_at)
        await self._drop(left[: max(0, len(left) - LINGERING)])

    def _left_before(self, moment: float) -> list[Watched]:
        """Logs without readers that were left by then, the first of them first."""
        return [
            watched for watched in self._watched.values() if watched.left_at is not None and watched.left_at <= moment
        ]

    async def _drop(self, left: list[Watched]) -> None:
        for watched in left:
            self._forget(watched)
        pumps = [watched.pump for watched in left if watched.pump is not None]
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    def _forget(self, watched: Watched) -> None:
        if self._watched.get(watched.stream) is watched:
            del self._watched[watched.stream]
            self._change()

    async def _pump(self, watched: Watched) -> None:
        """Reads what is new whenever the log is said to have moved."""
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        await watched.subscribed.wait()
        while True:
            watched.dirty.clear()
            began = loop.time()
            watched.reading = True
            try:
                # After a pause (Redis was out of reach, the process was stopped) the log may have expired or been cut
                # meanwhile. Readers find out by themselves once the ring no longer reaches back to them.
                if watched.doubted or began - read_at > 2 * self._recheck_every:
                    await self._check_reach(watched)
                if watched.failure is not None:
                    return
                entries = await watched.read(watched.position)
                if entries:
                    watched.push(entries)
                read_at = began
            except CacheUnavailable as error:
                _log.warning("event_log_unreadable", error=error.debug)
                watched.doubted = True
                await asyncio.sleep(RECONNECT_AFTER)
                continue
            except Exception as error:  # noqa: BLE001 - the readers raise it
                _log.exception("event_log_broken", stream=watched.stream)
                watched.fail(InternalError(debug=repr(error)))
                return
            finally:
                watched.reading = False
            watched.stir()
            if len(entries) < CHUNK:
                await watched.dirty.wait()

    async def _check_reach(self, watched: Watched) -> None:
        at = await watched.log_position() or LogPosition(START, START)
        watched.doubted = False
        if parse_event_cursor(watched.position) > parse_event_cursor(at.last):
            # Redis came back empty. It may not know the room yet, or a clock that was ahead had made the ids before:
            # nothing new comes behind them.
            watched.fail(StreamExpired(extra={"oldest_cursor": at.start}))
            # Whoever comes now begins anew, however long the readers of this one take to leave.
            self._forget(watched)
        elif not reaches_back(at.start, watched.position):
            watched.skip_to(at.last)

    async def _listen(self) -> None:
        """Hears wake-ups for as long as the hub lives."""
        loop = asyncio.get_running_loop()
        recheck_at = loop.time() + self._recheck_every
        while not self._closed:
            try:
                if self._changed.is_set():
                    await self._subscribe()
                if not self._watched:
                    await self._changed.wait()
                    continue
                await self._hear(recheck_at)
            except Exception as error:  # noqa: BLE001 - the hub is deaf without this task
                expected = isinstance(error, exceptions.RedisError | OSError)
                _log.warning("listening_interrupted", error=repr(error), exc_info=not expected)
                for watched in self._watched.values():
                    watched.doubted = True
                await asyncio.sleep(RECONNECT_AFTER)
                # redis-py connects again and subscribes to the same channels with the next call.
                self._changed.set()
                recheck_at = loop.time()
            if loop.time() >= recheck_at:
                await self._drop(self._left_before(loop.time() - self._linger))
                for watched in self._watched.values():
                    if watched.left_at is None:
                        watched.dirty.set()
                recheck_at = loop.time() + self._recheck_every

    async def _subscribe(self) -> None:
        """Subscribes to what is watched, and to nothing else."""
        self._changed.clear()
        held = {text(name) for name in self._pubsub.channels}
        held -= {text(name) for name in self._pubsub.pending_unsubscribe_channels}
        new = [watched for watched in self._watched.values() if not watched.asked or watched.stream not in held]
        if new:
            await self._pubsub.subscribe(*(watched.stream for watched in new))
            for watched in new:
                watched.asked = True
        if left := held - set(self._watched):
            await self._pubsub.unsubscribe(*left)

    async def _hear(self, until: float) -> None:
        """Waits for one message; returns without one at ``until``, or when what is watched changes."""
        try:
            async with asyncio.timeout_at(until) as self._patience:
                heard = await self._pubsub.get_message(timeout=None)
        except TimeoutError:
            return
        finally:
            self._patience = None
        if heard is None:
            return
        watched = self._watched.get(text(heard["channel"]))
        if watched is not None:
            if heard["type"] == "subscribe":
                # Confirmed again: its connection had broken, and Redis may have lost the log.
                watched.doubted = watched.doubted or watched.subscribed.is_set()
                watched.subscribed.set()
            elif watched.hear(heard["data"]):
                return
            watched.dirty.set()

    def _change(self) -> None:
        self._changed.set()
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())
