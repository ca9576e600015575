"""The replies that a room owes, written one after the other: an answer is complete before the next turn begins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from parlor.cache.live import RoomAddress
from parlor.errors import (
    CacheUnavailable,
    Fenced,
    IllegalTransition,
    OutOfStep,
    ParlorError,
    PartitionUnknown,
    RoomNotFound,
)
from parlor.ids import Claim, MessageId
from parlor.model import FinishReason
from parlor.rooms.reply import ReplyJob, ReplyPorts, ReplyRun

STOP_SECONDS = 5.0
"""Longest wait for a stopped reply's end to be written: it takes milliseconds unless Redis does not answer."""

_log = structlog.get_logger(__name__)


class ReplyQueue:
    """``on_lost`` is called when the room is another owner's by now, ``on_forgotten`` when Redis does not have it any
    more; both come from ``run``, which the owner keeps as a task."""

    def __init__(
        self, ports: ReplyPorts, claim: Claim, on_lost: Callable[[], None], on_forgotten: Callable[[], Awaitable[None]]
    ) -> None:
        self._ports = ports
        self._claim = claim
        self._on_lost = on_lost
        self._on_forgotten = on_forgotten
        self._jobs: dict[MessageId, tuple[RoomAddress, ReplyJob]] = {}
        self._run: ReplyRun | None = None
        self._news = asyncio.Event()
        self._holds = 0
        self._ends: dict[MessageId, asyncio.Event] = {}
        """Set when the reply's job is done; there is one for each that somebody waits for."""
        self.used_at = ports.clock.monotonic()
        """When the last reply ended, by the monotonic clock."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, message_id: MessageId) -> bool:
        return message_id in self._jobs

    @property
    def current(self) -> ReplyJob | None:
        """The reply that is being written, or is about to be."""
        if self._run is not None:
            return self._run.job
        return min((job for _, job in self._jobs.values()), key=_seq, default=None)

    @property
    def jobs(self) -> list[ReplyJob]:
        """All of them, ascending."""
        return sorted((job for _, job in self._jobs.values()), key=_seq)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile no reply is begun."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self._news.set()

    def answering(self, message_id: MessageId) -> list[MessageId]:
        """The reply to this message that has not ended, if there is one."""
        return [job.message_id for _, job in self._jobs.values() if job.parent_message_id == message_id]

    def add(self, address: RoomAddress, job: ReplyJob) -> None:
        self._jobs[job.message_id] = (address, job)
        self._news.set()

    def withdraw(self, message_id: MessageId) -> None:
        """The reply was deleted: it is stopped, or never begun."""
        if self._run is not None and self._run.job.message_id == message_id:
            self._run.end(FinishReason.STOPPED)
        else:
            self._jobs.pop(message_id, None)

    async def stop(self, message_id: MessageId, attempt: int | None = None) -> None:
        """Ends a reply as stopped, with what there is of its text, and returns when that is written; the connection to
        the LLM is closed. Does nothing when it is not here, or at another attempt (None: at whichever it is).

        Raises ``CacheUnavailable`` when the end cannot be written in time (it will be), and what writing it raises.
        """
        address, job = self._jobs.get(message_id, (None, None))
        if address is None or job is None or attempt not in (None, 0, job.attempt):
            return
        if self._run is None or self._run.job is not job:
            # Taken out first: it is not begun any more, however long its end takes to write.
            del self._jobs[message_id]
            # Deleted meanwhile is ended, too.
            with suppress(IllegalTransition):
                await ReplyRun(self._ports, address, self._claim, job).finish(FinishReason.STOPPED, text=job.so_far)
            return
        ended = self._ends.setdefault(message_id, asyncio.Event())
        self._run.end(FinishReason.STOPPED)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await ended.wait()
        except TimeoutError:
            raise CacheUnavailable(debug="the end of a stopped reply is not written yet", retry_after=1.0) from None

    def end(self, reason: FinishReason) -> None:
        """Ends the reply in progress early and begins no other; what waits is left to the room's next owner."""
        running = self._run.job.message_id if self._run is not None else None
        self._jobs = {message_id: job for message_id, job in self._jobs.items() if message_id == running}
        if self._run is not None:
            self._run.end(reason)

    async def run(self) -> None:
        """Writes what is queued, in the order of seq, until it is cancelled."""
        while True:
            job = self.current
            if job is None or self._holds:
                self._news.clear()
                await self._news.wait()
                continue
            address, _ = self._jobs[job.message_id]
            alive = asyncio.create_task(self._keep_alive(address))
            forgotten = False
            try:
                forgotten = await self._write(address, job)
            finally:
                alive.cancel()
                await asyncio.gather(alive, return_exceptions=True)
                self._run = None
                self._jobs.pop(job.message_id, None)
                self.used_at = self._ports.clock.monotonic()
                if (ended := self._ends.pop(job.message_id, None)) is not None:
                    ended.set()
            if forgotten:
                await self._on_forgotten()

    async def _write(self, address: RoomAddress, job: ReplyJob) -> bool:
        """Whether Redis has forgotten the room while the reply was written."""
        self._run = ReplyRun(self._ports, address, self._claim, job)
        try:
            if job.ends:
                await self._run.finish(FinishReason.INTERRUPTED, text=job.so_far)
            else:
                await self._run.run()
        except (IllegalTransition, RoomNotFound):
            _log.info("reply_withdrawn", room_id=address.room_id, message_id=job.message_id)
        except Fenced:
            self._ports.metrics.stale_write_refused("reply")
            self._on_lost()
        except (OutOfStep, PartitionUnknown):
            return True
        except Exception:  # noqa: BLE001 - a fault of ours; the next owner tries again
            _log.exception("reply_failed", room_id=address.room_id, message_id=job.message_id)
            self._on_lost()
        return False

    async def _keep_alive(self, address: RoomAddress) -> None:
        """A sign of life while a reply is silent; an owner that cannot give it is taken for dead in time."""
        while True:
            await self._ports.clock.sleep(self._ports.settings.rooms.reply_lease.total_seconds() / 3)
            try:
                await self._ports.cache.renew_reply(address, self._claim)
            except CacheUnavailable as error:
                _log.warning("sign_of_life_delayed", room_id=address.room_id, debug=error.debug)
            except ParlorError:
                # Fenced, deleted or forgotten: the reply's own next write meets the same and acts on it.
                return


def _seq(job: ReplyJob) -> int:
    return job.seq
