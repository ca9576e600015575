"""Writing a reply into the event log while it grows.

Pieces are coalesced and stored as they arrive. An outage of Redis delays the reply but does not end it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog
from msgspec import structs

from parlor.cache.changes import PartChange, Piece
from parlor.cache.live import RoomAddress
from parlor.errors import CacheUnavailable
from parlor.model.ids import Claim
from parlor.model.messages import MessageDoc
from parlor.model.parts import said_of
from parlor.rooms.draft import Draft
from parlor.rooms.reply_job import ReplyJob, ReplyPorts, in_shard, row_of

RETRY_AFTER = 0.25
"""Seconds before a call that Redis did not answer is repeated."""

CALM = 2.0
"""Pauses of up to so many intervals are those of a Redis that is not busy: the model is read all the while, so that the
end is known at once."""
PAUSE_MAX = 0.1
"""Seconds between two pieces at most, however slow Redis is: what a reader sees is this much behind the model."""

_T = TypeVar("_T")

_log = structlog.get_logger(__name__)


async def insist(ports: ReplyPorts, address: RoomAddress, work: Callable[[], Awaitable[_T]]) -> _T:
    """Repeats a call until Redis answers; every call here is safe to repeat."""
    while True:
        try:
            return await work()
        except CacheUnavailable as error:
            _log.warning("reply_delayed", room_id=address.room_id, debug=error.debug)
            await ports.clock.sleep(RETRY_AFTER)


class ReplyWriter:
    """Writes the draft of one attempt."""

    def __init__(self, ports: ReplyPorts, address: RoomAddress, claim: Claim, job: ReplyJob, draft: Draft) -> None:
        self.news = asyncio.Event()
        """Set by whoever has added to the draft."""
        self.wanted = asyncio.Event()
        """Cleared while many replies share a busy Redis and this one waits for its next write: what the model says
        meanwhile may stay in the connection's buffer, where several pieces cost as much as one."""
        self.wanted.set()
        self.version = job.version
        """What the reply ends with, as far as its row was written."""
        self._job = job
        self._ports = ports
        self._address = address
        self._claim = claim
        self._draft = draft
        self._sent: dict[str, tuple[int, str]] = {}
        """The versions of the rows that say that a call is sent, and the nonces of the sendings."""
        self._complete = False
        self._pausing = False
        """Whether ``run`` is waiting for more text."""
        self._writing = asyncio.Lock()
        self._next: Piece | PartChange | None = None
        """Taken from the draft, to be written before anything else."""

    async def run(self) -> None:
        """Writes the first piece at once, then after each interval what has arrived. The interval grows with the time
        that a write takes: where many replies share a busy Redis, each has fewer and larger pieces."""
        clock, interval = self._ports.clock, self._ports.settings.llm.delta_interval.total_seconds()
        while True:
            await self.news.wait()
            self.news.clear()
            began = clock.monotonic()
            await self.write()
            pause = max(interval, min(clock.monotonic() - began, PAUSE_MAX))
            if self._complete and not self._draft and self._next is None:
                return
            if not self._complete:
                self._pausing = True
                if pause > CALM * interval:
                    self.wanted.clear()
                await clock.sleep(pause)
                if not self.wanted.is_set():
                    self.wanted.set()
                    # What waits in the buffer is taken now, and written with the rest.
                    await asyncio.sleep(0)
                self._pausing = False

    async def finish(self, running: asyncio.Task[None]) -> None:
        """Writes the rest. ``running`` is the task of ``run``."""
        self._complete = True
        self.wanted.set()
        self.news.set()
        if self._pausing:
            # Write the rest now, so that the end does not wait for the interval to pass.
            running.cancel()
            await asyncio.wait({running})
            await self.write()
        else:
            await running

    async def write(self) -> None:
        """Writes everything that is not written yet. Who calls this has it written when it returns."""
        job, cache = self._job, self._ports.cache
        async with self._writing:
            while (piece := self._next or self._draft.take()) is not None:
                # Kept until it is written: who was cancelled in between leaves it to the next.
                self._next = piece
                if isinstance(piece, Piece):
                    write = partial(cache.append_delta, self._address, self._claim, job.message_id, job.attempt, piece)
                else:
                    change, calls = self._with_row(piece), self._ports.calls
                    self._next = change
                    script = calls.record if change.dispatch is None else calls.dispatch
                    write = partial(script, self._address, self._claim, job.message_id, job.seq, job.attempt, change)
                await insist(self._ports, self._address, write)
                self._next = None

    def _with_row(self, change: PartChange) -> PartChange:
        """Adds the row that the shard has to have before a call is sent that may not be sent twice."""
        dispatch = change.dispatch
        if dispatch is None or dispatch.again or dispatch.doc is not None:
            return change
        doc = self.slot_row()
        self._sent[change.part.tool_call_id] = doc.version, dispatch.nonce
        return structs.replace(change, dispatch=structs.replace(dispatch, doc=doc))

    def slot_row(self) -> MessageDoc:
        """The next row that keeps the reply's slot: everything that it says so far."""
        job = self._job
        row = row_of(job, said_of(self._draft.shown), self.version + 1)
        self.version += 2
        return structs.replace(row, usage=job.before, parked=True)

    async def stored(self, tool_call_id: str, within: float) -> bool:
        """Returns whether the shard has the row that says that the call is sent, in that many seconds."""
        which = self._sent[tool_call_id]
        return await in_shard(self._ports, self._address.room_id, self._job.seq, *which, within)
