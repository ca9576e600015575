"""A shard writer: takes operations from the queues of its partitions and commits them in batches.

Safety rests on the shard: each batch carries the epoch of each of its partitions and moves their watermarks in the
same transaction as the rows (I5). Redis gives liveness: a lease, so that two writers do not do the same work. A crash
between the commit and the finish repeats only the finish, because the watermark tells what is applied.

After any failure the writer forgets what it holds in memory and reads its own history again: the queue's pending
entries are the truth about what is unfinished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from parlor.cache.live import Live
from parlor.cache.queue import ROOM_MARK, QueueEntry, WriterQueue
from parlor.clock import Clock
from parlor.errors import CacheUnavailable, LeaseLost, ParlorError, StoreUnavailable
from parlor.ids import IdMint, Partition, RoomId, ShardId
from parlor.metrics import WriterMetrics
from parlor.model import QueuePosition
from parlor.persistence.batch import build_batch
from parlor.reading.loading import Loader
from parlor.settings import QueueSettings
from parlor.store.ports import ChatStore, RowRefused

_log = structlog.get_logger(__name__)

WAKE_SECONDS = 1.0
"""Longest blocking read: after it the loop looks whether it is to stop."""
READ_PAUSE = 0.1
"""Seconds between two reads while a batch fills; a sender that waits for its commit waits so much longer at most."""
RETRY_MIN, RETRY_MAX = 0.2, 5.0
"""Seconds between attempts while a server does not answer, doubling. The longest keeps recovery within 5 s."""


class WriterPorts(msgspec.Struct, frozen=True):
    live: Live
    queue: WriterQueue
    store: ChatStore
    loader: Loader
    mint: IdMint
    clock: Clock
    metrics: WriterMetrics
    settings: QueueSettings


class _Held(msgspec.Struct):
    """A partition that this writer holds."""

    epoch: int
    applied: QueuePosition
    read: QueuePosition
    """Everything up to here was read, or is finished."""
    history_read: bool = False
    """Whether the consumer's own unfinished entries have been taken up."""


class ShardWriterLoop:
    """One writer of one shard. ``name`` outlives the process: a restarted writer takes its leases back at once."""

    def __init__(self, ports: WriterPorts, shard: ShardId, name: str, partitions: Sequence[Partition]) -> None:
        self._ports = ports
        self._shard = shard
        self._name = name
        self._lease = ports.mint.token()
        self._wanted = list(partitions)
        self._held: dict[Partition, _Held] = {}
        self._buffer: list[QueueEntry] = []
        self._stopping = asyncio.Event()
        self._sized_up_at = float("-inf")
        self._pause_until = float("-inf")
        self._cleaned_at = ports.clock.monotonic()
        self._ask_again_at: dict[Partition, float] = {}
        """Partitions that another writer holds."""

    @property
    def held(self) -> list[Partition]:
        return sorted(self._held)

    async def run(self) -> None:
        """Works until ``stop``; failures of Redis or of the shard delay it, they do not end it."""
        pause = RETRY_MIN
        keeping = asyncio.create_task(self._keep_leases())
        try:
            while not self._stopping.is_set():
                try:
                    await self._acquire_missing()
                    await self._take_batch()
                    pause = RETRY_MIN
                except (CacheUnavailable, StoreUnavailable) as error:
                    _log.warning("writer_waits", shard=self._shard, code=error.code, debug=error.debug)
                    self._start_over()
                    await self._rest(pause)
                    pause = min(pause * 2, RETRY_MAX)
                except LeaseLost:
                    self._ports.metrics.stale_batch_refused(self._shard)
                    _log.warning("writer_lost_partitions", shard=self._shard)
                    self._start_over()
                    await self._rest(RETRY_MIN)
            await self._flush()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._release()

    async def stop(self) -> None:
        """Asks the loop to commit what is queued, give its leases up and end."""
        self._stopping.set()

    # Partitions

    async def _acquire_missing(self) -> None:
        now = self._ports.clock.monotonic()
        missing = [p for p in self._wanted if p not in self._held and self._ask_again_at.get(p, now) <= now]
        await asyncio.gather(*(self._acquire(partition) for partition in missing))

    async def _acquire(self, partition: Partition) -> None:
        queue, store = self._ports.queue, self._ports.store
        lease = await queue.hold(partition, self._lease, self._name)
        if lease is None:
            wait = self._ports.settings.lease_wait.total_seconds()
            self._ask_again_at[partition] = self._ports.clock.monotonic() + wait
            return
        if lease.incarnation is None:
            # Before the epoch is minted: opening a partition outdates those that there are.
            await self._ports.loader.open_partition(partition)
        # From here on no batch of an earlier writer is accepted.
        progress = await store.acquire_partition(self._shard, partition)
        if lease.incarnation is not None and QueuePosition(lease.incarnation, lease.last_number) < progress.applied:
            # Redis lost its tail: positions would come a second time, and be skipped. A new incarnation is above all.
            _log.error("queue_went_back", partition=partition, applied=str(progress.applied))
            opened = await store.open_partition(self._shard, partition)
            await self._ports.live.init_partition(partition, opened.incarnation)
            progress = await store.acquire_partition(self._shard, partition)
        # The queue of a partition that nothing was ever taken from begins with number 1.
        read = progress.applied if progress.applied.number else QueuePosition(lease.incarnation or 0, 0)
        self._held[partition] = _Held(progress.epoch, progress.applied, read)

    async def _keep_leases(self) -> None:
        """Renews at a third of the lease's life. A lost one is dropped; the fence would refuse its batches anyhow."""
        while True:
            await self._ports.clock.sleep(self._ports.settings.lease_ttl.total_seconds() / 3)
            for partition in self.held:
                try:
                    if not await self._ports.queue.renew(partition, self._lease):
                        self._held.pop(partition, None)
                    elif (held := self._held.get(partition)) is not None:
                        # A writer that does not know yet that it lost the partition may have read from it.
                        held.history_read = False
                except CacheUnavailable as error:
                    _log.warning("lease_not_renewed", partition=partition, debug=error.debug)

    async def _release(self) -> None:
        for partition in self.held:
            try:
                await self._ports.queue.release(partition, self._lease)
            except CacheUnavailable as error:
                # It runs out by itself, and a successor of this name need not wait for that.
                _log.warning("lease_not_released", partition=partition, debug=error.debug)
        self._held.clear()

    # Batches

    async def _take_batch(self) -> None:
        """Waits for a batch to fill (by size, by time, or at once for a sender that waits), then commits it."""
        self._clean_up()
        await self._read_history()
        await self._size_up()
        clock, settings = self._ports.clock, self._ports.settings
        idle_until = clock.monotonic() + settings.batch_interval.total_seconds()
        due_at = None
        while not self._stopping.is_set() and not self._due_now():
            now = clock.monotonic()
            if self._buffer:
                due_at = due_at if due_at is not None else now + settings.batch_interval.total_seconds()
                if len(self._buffer) >= settings.batch_size:
                    due_at = min(due_at, self._pause_until)
            wait = (idle_until if due_at is None else due_at) - now
            if wait <= 0:
                break
            limit = settings.batch_limit - len(self._buffer)
            found = await self._ports.queue.new(self.held, limit, max(1, round(min(wait, WAKE_SECONDS) * 1000)))
            self._buffer += self._in_line(found)
            if found and not self._due_now():
                # Entries come one by one; reading them one by one would cost more than writing them.
                await clock.sleep(READ_PAUSE)
        if self._buffer:
            self._pause_until = clock.monotonic() + settings.batch_pause.total_seconds()
            await self._commit_buffer()

    def _due_now(self) -> bool:
        """Whether the batch does not wait for anything: somebody waits for it, it is as large as one may be, or
        something has to be read before more is."""
        if len(self._buffer) >= self._ports.settings.batch_limit or any(entry.urgent for entry in self._buffer):
            return True
        return not all(held.history_read for held in self._held.values())

    def _in_line(self, found: list[QueueEntry]) -> list[QueueEntry]:
        """Those of the new entries that follow on what was read before.

        What is missing between was read by a writer that does not know yet that it lost the partition. The history has
        it, and is read before anything goes on: the watermark must not pass over it.
        """
        kept: list[QueueEntry] = []
        for entry in found:
            held = self._held.get(entry.partition)
            if held is None:
                continue
            following = QueuePosition(held.read.incarnation, held.read.number + 1)
            if held.history_read and entry.position == following:
                held.read = following
                kept.append(entry)
            else:
                held.history_read = False
        return kept

    def _clean_up(self) -> None:
        """Has the writer's own unfinished entries read again, now and then: the buffer is empty here, so whatever is
        unfinished was delivered and lost on the way."""
        now = self._ports.clock.monotonic()
        if now - self._cleaned_at >= self._ports.settings.cleanup_interval.total_seconds():
            self._cleaned_at = now
            for held in self._held.values():
                held.history_read = False

    async def _read_history(self) -> None:
        """What was taken before and never finished goes first, or new entries would overtake it."""
        for partition, held in list(self._held.items()):
            after: QueuePosition | None = None
            while not held.history_read:
                limit = self._ports.settings.batch_limit
                entries = await self._ports.queue.unfinished(partition, after, limit)
                self._buffer += entries
                if entries:
                    after = entries[-1].position
                    held.read = max(held.read, after)
                    await self._commit_buffer()
                held.history_read = len(entries) < limit

    async def _flush(self) -> None:
        """At shut-down: everything that is queued by now."""
        try:
            while True:
                await self._read_history()
                self._buffer += self._in_line(
                    await self._ports.queue.new(self.held, self._ports.settings.batch_limit, 1)
                )
                if not self._buffer and all(held.history_read for held in self._held.values()):
                    return
                await self._commit_buffer()
        except ParlorError as error:
            # It stays queued, and the next start takes it up.
            _log.warning("not_flushed", shard=self._shard, code=error.code, debug=error.debug)

    async def _commit_buffer(self) -> None:
        entries, self._buffer = self._buffer, []
        held = [entry for entry in entries if entry.partition in self._held]
        # Committed before, but not finished: the watermark knows.
        repeated = [entry for entry in held if entry.position <= self._held[entry.partition].applied]
        new = [entry for entry in held if entry.position > self._held[entry.partition].applied]
        committed = await self._commit(new) if new else []
        await self._finish([*repeated, *committed])

    async def _commit(self, entries: list[QueueEntry]) -> list[QueueEntry]:
        """Commits what the shard takes; parks what it refuses. Returns what is committed but not finished yet."""
        wanted = await self._begin(entries)
        try:
            await self._apply(entries, wanted)
        except RowRefused as error:
            if len(entries) == 1:
                await self._park(entries[0], error)
                return []
            # Bisection: order is kept, and only the row that is refused is set aside.
            half = len(entries) // 2
            first = await self._commit(entries[:half])
            await self._finish(first)
            return await self._commit(entries[half:])
        return entries

    async def _apply(self, entries: list[QueueEntry], wanted: list[bool]) -> None:
        clock, metrics = self._ports.clock, self._ports.metrics
        epochs = {partition: held.epoch for partition, held in self._held.items()}
        if gone := {entry.partition for entry in entries} - epochs.keys():
            # Their leases ran out while the batch was begun.
            raise LeaseLost(debug=f"partitions {sorted(gone)}")
        batch = build_batch(entries, wanted, epochs)
        began = clock.monotonic()
        lost = await self._ports.store.apply(self._shard, batch)
        if lost:
            for partition in lost:
                self._held.pop(partition, None)
            raise LeaseLost(debug=f"partitions {lost}")
        metrics.batch(self._shard, len(entries), clock.monotonic() - began)
        for fence in batch.fences:
            # Unless its lease ran out meanwhile: then its next holder learns the watermark from the shard.
            if (held := self._held.get(fence.partition)) is not None:
                held.applied = fence.applied

    async def _park(self, entry: QueueEntry, error: RowRefused) -> None:
        _log.error("operation_parked", room_id=entry.address.room_id, op=entry.op, reason=error.debug or error.detail)
        await self._ports.queue.park(self._lease, entry, f"{error.code}: {error.debug or error.detail}"[:500])
        self._ports.metrics.parked(self._shard)

    async def _begin(self, entries: list[QueueEntry]) -> list[bool]:
        """PENDING to PROCESSING, room by room in one pipeline; whether each entry is still wanted."""
        wanted = [True] * len(entries)

        async def begin(places: list[int]) -> None:
            marks = [ROOM_MARK if entries[i].op == "CHAT_ROOM_CREATE" else entries[i].seq for i in places]
            flags = await self._ports.queue.begin(self._lease, entries[places[0]].address, marks)
            for place, flag in zip(places, flags, strict=True):
                wanted[place] = flag

        by_room: dict[RoomId, list[int]] = {}
        for i, entry in enumerate(entries):
            if entry.op == "CHAT_ROOM_CREATE" or (entry.op == "CHAT_MESSAGE_SAVE" and entry.final):
                by_room.setdefault(entry.address.room_id, []).append(i)
        await asyncio.gather(*(begin(places) for places in by_room.values()))
        return wanted

    async def _finish(self, entries: list[QueueEntry]) -> None:
        """Final states, room by room in one pipeline."""
        by_room: dict[RoomId, list[QueueEntry]] = {}
        for entry in entries:
            by_room.setdefault(entry.address.room_id, []).append(entry)
        queue = self._ports.queue
        await asyncio.gather(*(queue.finish(self._lease, of_room[0].address, of_room) for of_room in by_room.values()))

    # The rest

    def _start_over(self) -> None:
        """Redis may come back without its memory, and a batch whose answer was lost may be committed: leases, epochs
        and watermarks are taken anew."""
        self._buffer.clear()
        self._held.clear()

    async def _size_up(self) -> None:
        """Queue depth and lag, every few seconds."""
        now = self._ports.clock.monotonic()
        if now - self._sized_up_at < self._ports.settings.batch_interval.total_seconds():
            return
        self._sized_up_at = now
        sizes = await asyncio.gather(*(self._ports.queue.depth(partition) for partition in self.held))
        oldest = [at for _, at, _ in sizes if at]
        lag = max(0, self._ports.clock.now_ms() - min(oldest)) / 1000 if oldest else 0.0
        self._ports.metrics.depth(self._shard, sum(depth for depth, _, _ in sizes), lag)

    async def _rest(self, seconds: float) -> None:
        """A pause that ``stop`` cuts short."""
        either = {
            asyncio.create_task(self._ports.clock.sleep(seconds)),
            asyncio.create_task(self._stopping.wait()),
        }
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in either:
                task.cancel()
            await asyncio.gather(*either, return_exceptions=True)
