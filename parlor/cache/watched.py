"""An event log that has readers in this process, and each reader's place in it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from parlor.cache.events import Entry, EventLog
from parlor.cache.reads import LogPosition
from parlor.cache.records import text
from parlor.cursors import START, parse_event_cursor
from parlor.errors import ParlorError, StreamExpired
from parlor.model import Event

Render = Callable[[Entry], Awaitable[Event | None]]
Position = Callable[[], Awaitable[LogPosition | None]]

RING = 256
"""Events of one log that its readers share."""


class Watched:
    """A log with readers. The hub's pump fills it."""

    def __init__(self, stream: str, last: str, log_position: Position, render: Render) -> None:
        self.stream = stream
        self.render = render
        self.log_position = log_position
        self.position = last
        """Everything up to here is in the ring, or was."""
        self.ring: deque[tuple[str, Event | None]] = deque()
        self.ring_start = last
        """Everything behind this is in the ring."""
        self.readers = 0
        self.dirty = asyncio.Event()
        self.asked = False
        """A subscription was asked for on behalf of this one, whose confirmation sets ``subscribed``. A channel that
        is still held for an earlier one of the same log would not be confirmed again by itself."""
        self.subscribed = asyncio.Event()
        self.moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when something was read."""
        self.stirs = 0
        """How often the log was looked at, whether or not there was anything."""
        self.stirred: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done with the next such look."""
        self.failure: ParlorError | None = None
        self.pump: asyncio.Task[None] | None = None

    def push(self, entries: list[tuple[str, Event | None]]) -> None:
        self.ring.extend(entries)
        self.position = entries[-1][0]
        while len(self.ring) > RING:
            self.ring_start = self.ring.popleft()[0]
        self._tell()

    def behind(self, here: tuple[int, int]) -> list[tuple[str, Event | None]]:
        """What came after this place. From the newest backwards: a reader that keeps up looks at what is new only,
        however full the ring is."""
        found: list[tuple[str, Event | None]] = []
        for entry in reversed(self.ring):
            if parse_event_cursor(entry[0]) <= here:
                break
            found.append(entry)
        found.reverse()
        return found

    def skip_to(self, last: str) -> None:
        """The log lost events that were not read: its readers have to look for themselves whether they need them."""
        self.ring.clear()
        self.position = self.ring_start = last
        self._tell()

    def fail(self, error: ParlorError) -> None:
        """Nothing more is read: every reader raises this."""
        self.failure = error
        self._tell()
        self.stir()

    def stir(self) -> None:
        self.stirs += 1
        stirred, self.stirred = self.stirred, asyncio.get_running_loop().create_future()
        stirred.set_result(None)

    def _tell(self) -> None:
        moved, self.moved = self.moved, asyncio.get_running_loop().create_future()
        moved.set_result(None)


class Tail:
    """One reader's place in a log."""

    def __init__(self, watched: Watched, log: EventLog, cursor: str) -> None:
        self.cursor = cursor
        self._watched = watched
        self._log = log
        self._stirs = watched.stirs

    async def next(self, timeout: float) -> list[Event]:
        """What has come since, a chunk at most; empty after ``timeout`` seconds without news. Raises ``StreamExpired``
        for a reader that the log's end has overtaken, ``CacheUnavailable``."""
        deadline = asyncio.get_running_loop().time() + timeout
        watched = self._watched
        while True:
            if watched.failure is not None:
                raise ParlorError.from_wire(watched.failure.to_wire())
            here = parse_event_cursor(self.cursor)
            if here >= parse_event_cursor(watched.position):
                try:
                    async with asyncio.timeout_at(deadline):
                        # Shielded: the future belongs to all readers of the log.
                        await asyncio.shield(watched.moved)
                except TimeoutError:
                    return []
                continue
            if here >= parse_event_cursor(watched.ring_start):
                found = watched.behind(here)
            else:
                found = await self._read_behind()
            if found:
                self.cursor = found[-1][0]
            events = [event for _, event in found if event is not None]
            if events:
                return events

    async def stirred(self, timeout: float) -> None:
        """Returns when the log was looked at since the last call, event or not (a commit is told without one), or
        after ``timeout`` seconds."""
        watched = self._watched
        if watched.stirs == self._stirs:
            try:
                async with asyncio.timeout(timeout):
                    await asyncio.shield(watched.stirred)
            except TimeoutError:
                return
        self._stirs = watched.stirs

    async def _read_behind(self) -> list[tuple[str, Event | None]]:
        watched = self._watched
        entries = await self._log.entries(watched.stream, self.cursor)
        # After the read: what was cut before it, the log's start tells now.
        position = await watched.log_position()
        if position is None or parse_event_cursor(self.cursor) < parse_event_cursor(position.start):
            raise StreamExpired(extra={"oldest_cursor": position.start if position else START})
        return [(text(entry[0]), await watched.render(entry)) for entry in entries]
