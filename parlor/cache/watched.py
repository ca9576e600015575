"""An event log that has readers in this process, and each reader's place in it.

What was said in deleted messages is not shown (I20), however far behind a reader is: a deletion takes it out of the
ring and out of what waits for a reader. A reader takes at most about ``PIECE`` bytes at once, so no more than that is
on its way to a client when a message is deleted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection

import msgspec

from parlor.cache.events import LogReader, Shown, deleted_by, hides, published, without
from parlor.cache.reads import LogPosition
from parlor.errors import ParlorError, StreamExpired
from parlor.model.cursors import START, parse_event_cursor, reaches_back
from parlor.model.messages import Event

Position = Callable[[], Awaitable[LogPosition | None]]

RING = 256
"""Events of one log that its readers share."""
PIECE = 64 * 1024
"""Bytes of events after which a reader is given what there is. Keeps the web server's buffer small, too."""


class Watched:
    """A log with readers. The hub's pump fills it."""

    def __init__(self, stream: str, last: str, log_position: Position, log: LogReader) -> None:
        self.stream = stream
        self.read = log.read
        self._tell_entry = log.tell
        self.log_position = log_position
        self.position = last
        """Everything up to here is in the ring, or was."""
        self.ring: deque[Shown] = deque()
        self.ring_start = last
        """Everything behind this is in the ring."""
        self.tails: set[Tail] = set()
        """Its readers."""
        self.left_at: float | None = None
        """When its last reader left, by the loop's clock; None while it has readers."""
        self.dirty = asyncio.Event()
        self.doubted = False
        """Redis was out of reach: what it has now may be another log."""
        self.reading = False
        """The pump is reading what comes behind ``position``."""
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

    def hear(self, publication: bytes) -> bool:
        """Takes an entry as it was published; returns False when the log has to be read instead."""
        try:
            said = published(publication)
            if self.reading or self.failure is not None or said is None or said[0] != self.position:
                return False
            shown = self._tell_entry(said[1])
        except (ValueError, KeyError, msgspec.DecodeError):
            # The pump meets the same entry in the log, and tells the readers.
            return False
        if shown is None:
            return False
        self.push([shown])
        self.stir()
        return True

    def push(self, entries: list[Shown]) -> None:
        if gone := deleted_by(event for _, event in entries):
            self.ring = deque(without(self.ring, gone))
            for tail in self.tails:
                tail.hide(gone)
        self.ring.extend(entries)
        self.position = entries[-1][0]
        while len(self.ring) > RING:
            self.ring_start = self.ring.popleft()[0]
        self._tell()

    def behind(self, here: tuple[int, int]) -> list[Shown]:
        """What came after this place. From the newest backwards: a reader that keeps up looks at what is new only,
        however full the ring is."""
        found: list[Shown] = []
        for entry in reversed(self.ring):
            if parse_event_cursor(entry[0]) <= here:
                break
            found.append(entry)
        found.reverse()
        return found

    def skip_to(self, last: str) -> None:
        """The log lost events that were not read: its readers have to look for themselves whether they need them."""
        self.ring.clear()
        for tail in self.tails:
            tail.read_again()
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

    def __init__(self, watched: Watched, cursor: str, end: str) -> None:
        """``end`` is the log's last id when the reader came."""
        self.cursor = cursor
        self._watched = watched
        self._end = parse_event_cursor(end)
        self._waiting: deque[Shown] = deque()
        """What was read and is not taken yet."""
        self._gone: set[str] = set()
        """What was deleted since that was read."""
        self._stirs = watched.stirs

    async def next(self, timeout: float) -> list[Event]:
        """What has come since, about ``PIECE`` bytes at most; empty after ``timeout`` seconds without news. Raises
        ``StreamExpired`` for a reader that the log's end has overtaken, ``CacheUnavailable``."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            if self._watched.failure is not None:
                raise ParlorError.from_wire(self._watched.failure.to_wire())
            if not self._waiting and not await self._read_on(deadline):
                return []
            if events := self._take():
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

    def hide(self, gone: Collection[str]) -> None:
        """These messages or rooms were deleted."""
        self._gone.update(gone)

    def read_again(self) -> None:
        """Deletions may have been missed: what waits here is read from the log again."""
        self._waiting.clear()

    async def _read_on(self, deadline: float) -> bool:
        """Returns whether something may have come before the deadline."""
        watched, here = self._watched, parse_event_cursor(self.cursor)
        ring_end = parse_event_cursor(watched.position)
        if here >= max(ring_end, self._end):
            try:
                async with asyncio.timeout_at(deadline):
                    # Shielded: the future belongs to all readers of the log.
                    await asyncio.shield(watched.moved)
            except TimeoutError:
                return False
            return True
        self._gone.clear()
        # A ring that ends before the log did when this reader came may have what was deleted before it came.
        if ring_end >= self._end and here >= parse_event_cursor(watched.ring_start):
            self._waiting.extend(watched.behind(here))
        else:
            self._waiting.extend(await self._read_log())
        return True

    async def _read_log(self) -> list[Shown]:
        watched = self._watched
        found = await watched.read(self.cursor)
        # After the read: what was cut before it, the log's start tells now.
        position = await watched.log_position()
        if position is None or not reaches_back(position.start, self.cursor):
            raise StreamExpired(extra={"oldest_cursor": position.start if position else START})
        return found

    def _take(self) -> list[Event]:
        events: list[Event] = []
        size = 0
        while self._waiting and size < PIECE:
            self.cursor, event = self._waiting.popleft()
            if event is not None and not hides(self._gone, event):
                events.append(event)
                size += len(event.data)
        return events
