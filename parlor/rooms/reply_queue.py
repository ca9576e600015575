"""The replies that a room owes, written one at a time: a reply ends before the next one begins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
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
from parlor.model.ids import Claim, MessageId
from parlor.model.messages import FinishReason
from parlor.model.parts import ToolCallPart
from parlor.model.tracing import span, work_for
from parlor.rooms.reply import ReplyRun
from parlor.rooms.reply_job import ReplyJob, ReplyPorts

STOP_SECONDS = 5.0
"""Longest wait until a stopped reply's end is written. It takes milliseconds unless Redis does not answer."""

_log = structlog.get_logger(__name__)


class ReplyQueue:
    """Calls ``on_lost`` when another owner has taken the room, and ``on_forgotten`` when Redis no longer has it. Both
    are called from ``run``, which the owner keeps as a task."""

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
        """One for each reply that a caller waits for; set when the reply's job is done."""
        self.used_at = ports.clock.monotonic()
        """When the last reply ended, on the monotonic clock."""

    def __len__(self) -> int:
        """How many can be written now: none while the first one waits for people."""
        current = self.current
        return 0 if current is not None and current.waits else len(self._jobs)

    def __contains__(self, message_id: MessageId) -> bool:
        return message_id in self._jobs

    def waits(self, message_id: MessageId) -> bool:
        """Returns whether it is here, and waits for people."""
        _, job = self._jobs.get(message_id, (None, None))
        return job is not None and job.waits

    def job(self, message_id: MessageId) -> ReplyJob | None:
        """Returns its job; None when it is not here."""
        return self._jobs.get(message_id, (None, None))[1]

    @property
    def current(self) -> ReplyJob | None:
        """The reply that is being written, or waits for people, or the next one."""
        if self._run is not None:
            return self._run.job
        return min((job for _, job in self._jobs.values()), key=_seq, default=None)

    @property
    def jobs(self) -> list[ReplyJob]:
        """All jobs, by ascending seq."""
        return sorted((job for _, job in self._jobs.values()), key=_seq)

    @property
    def writing(self) -> bool:
        """Whether a reply is being written now."""
        return self._run is not None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begins no reply inside the ``with`` block."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self._news.set()

    def answering(self, message_id: MessageId) -> list[MessageId]:
        """Returns the unfinished reply to this message; an empty list if there is none."""
        return [job.message_id for _, job in self._jobs.values() if job.parent_message_id == message_id]

    def add(self, address: RoomAddress, job: ReplyJob) -> None:
        self._jobs[job.message_id] = (address, job)
        self._news.set()

    def forget_ended(self, still_open: Collection[MessageId]) -> None:
        """Drops what is not written now and has ended: by a command whose answer was lost. One that waited for people
        would hold up those behind it for ever."""
        running = self._run.job.message_id if self._run is not None else None
        kept = {running, *still_open}
        self._jobs = {message_id: found for message_id, found in self._jobs.items() if message_id in kept}
        self._news.set()

    def withdraw(self, message_id: MessageId) -> None:
        """Drops a reply that was deleted: stops it, or never begins it."""
        if self._run is not None and self._run.job.message_id == message_id:
            self._run.end(FinishReason.STOPPED)
        else:
            self._jobs.pop(message_id, None)
            self._news.set()

    async def stop(self, message_id: MessageId, attempt: int | None = None) -> None:
        """Ends a reply as stopped, keeps the text that it has, and returns when that is written. The connection to the
        LLM is closed. Does nothing if the reply is not in this queue or is at another attempt (None: any attempt).

        Raises ``CacheUnavailable`` if the end is not written in time; it is still written later. Also raises what
        writing the end raises.
        """
        address, job = self._jobs.get(message_id, (None, None))
        if address is None or job is None or attempt not in (None, 0, job.attempt):
            return
        if self._run is None or self._run.job is not job:
            await self._stop_idle(address, job)
            return
        ended = self._ends.setdefault(message_id, asyncio.Event())
        self._run.end(FinishReason.STOPPED)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await ended.wait()
        except TimeoutError:
            raise CacheUnavailable(debug="the end of a stopped reply is not written yet", retry_after=1.0) from None
        parked = self.job(message_id)
        if parked is not None and parked.waits:
            # It was being parked when it was stopped.
            await self._stop_idle(address, parked)

    async def take_late(self, message_id: MessageId, call: ToolCallPart) -> bool:
        """Takes what came of a call that was unknown. Returns False when the reply is not being written, or when it
        ended meanwhile, which is awaited."""
        if self._run is None or self._run.job.message_id != message_id:
            return False
        if await self._run.take_late(call):
            return True
        ended = self._ends.setdefault(message_id, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await ended.wait()
        return False

    async def _stop_idle(self, address: RoomAddress, job: ReplyJob) -> None:
        """Ends a reply that is not being written."""
        # Taken out first, so that it does not begin while its end is being written.
        del self._jobs[job.message_id]
        try:
            # A reply that was deleted in the meantime has ended as well.
            with suppress(IllegalTransition):
                await ReplyRun(self._ports, address, self._claim, job).finish(FinishReason.STOPPED, said=job.so_far)
        finally:
            self._news.set()

    def end(self, reason: FinishReason) -> None:
        """Ends the reply in progress early and begins no other; the waiting ones are left to the room's next owner."""
        running = self._run.job.message_id if self._run is not None else None
        self._jobs = {message_id: job for message_id, job in self._jobs.items() if message_id == running}
        if self._run is not None:
            self._run.end(reason)

    async def run(self) -> None:
        """Writes the queued replies in the order of their seq, until it is cancelled."""
        while True:
            job = self.current
            if job is None or job.waits or self._holds:
                self._news.clear()
                await self._news.wait()
                continue
            address, _ = self._jobs[job.message_id]
            work_for(job.request_id)
            alive = asyncio.create_task(self._keep_alive(address))
            forgotten = False
            try:
                with span("reply", room_id=address.room_id, message_id=job.message_id, attempt=job.attempt):
                    forgotten = await self._write(address, job)
            finally:
                alive.cancel()
                await asyncio.gather(alive, return_exceptions=True)
                parked = self._run.parked if self._run is not None else None
                self._run = None
                self._jobs.pop(job.message_id, None)
                if parked is not None:
                    self._jobs[job.message_id] = (address, parked)
                self.used_at = self._ports.clock.monotonic()
                if (ended := self._ends.pop(job.message_id, None)) is not None:
                    ended.set()
            if forgotten:
                await self._on_forgotten()

    async def _write(self, address: RoomAddress, job: ReplyJob) -> bool:
        """Writes one reply. Returns whether Redis lost the room in the meantime."""
        self._run = ReplyRun(self._ports, address, self._claim, job)
        try:
            if job.ends:
                await self._run.finish(FinishReason.INTERRUPTED, said=job.so_far)
            else:
                await self._unless_withdrawn(self._run, address)
        except Fenced:
            self._ports.metrics.stale_write_refused("reply")
            self._on_lost()
        except (OutOfStep, PartitionUnknown):
            return True
        except Exception:  # noqa: BLE001 - a bug in Parlor; the next owner tries again
            _log.exception("reply_failed", room_id=address.room_id, message_id=job.message_id)
            self._on_lost()
        return False

    async def _unless_withdrawn(self, run: ReplyRun, address: RoomAddress) -> None:
        try:
            await run.run()
        except (IllegalTransition, RoomNotFound):
            _log.info("reply_withdrawn", room_id=address.room_id, message_id=run.job.message_id)
            await run.count_withdrawn()

    async def _keep_alive(self, address: RoomAddress) -> None:
        """Renews the reply's lease while the LLM is silent. An owner whose lease runs out is considered dead."""
        while True:
            await self._ports.clock.sleep(self._ports.settings.rooms.reply_lease.total_seconds() / 3)
            try:
                await self._ports.cache.renew_reply(address, self._claim)
            except CacheUnavailable as error:
                _log.warning("reply_lease_not_renewed", room_id=address.room_id, debug=error.debug)
            except ParlorError:
                # Fenced, deleted or lost: the reply's next write gets the same error and handles it.
                return


def _seq(job: ReplyJob) -> int:
    return job.seq
