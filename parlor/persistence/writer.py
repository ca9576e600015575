"""A shard writer: reads the queues of its partitions and has them committed in batches.

After any failure the writer forgets what it holds in memory and reads its own history again: the queue's pending
entries are the truth about what is unfinished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from parlor.cache.queue import QueueEntry
from parlor.errors import CacheUnavailable, LeaseLost, ParlorError, StoreUnavailable
from parlor.model.ids import Partition, ShardId
from parlor.model.messages import QueuePosition
from parlor.persistence.commit import Committer
from parlor.persistence.health import WriterHealth
from parlor.persistence.indexer import SearchIndexer
from parlor.persistence.leases import Leases, WriterPorts
from parlor.persistence.reopening import Reopener
from parlor.store.search import SearchStore

_log = structlog.get_logger(__name__)

READ_PAUSE = 0.1
"""Seconds between two reads while a batch fills: a sender that waits for its commit waits so much longer at most."""
RETRY_MIN, RETRY_MAX = 0.2, 5.0
"""Seconds between attempts after failures in a row (a server does not answer, another writer takes the partitions),
doubling. The longest keeps recovery within 5 s."""
DOUBLINGS = 5


class ShardWriterLoop:
    """One writer of one shard. ``name`` outlives the process (``Leases``)."""

    def __init__(self, ports: WriterPorts, shard: ShardId, name: str, partitions: Sequence[Partition]) -> None:
        self._ports = ports
        self._shard = shard
        self._leases = Leases(ports, shard, name, partitions)
        self._committer = Committer(ports, shard, self._leases)
        self._reopener = Reopener(ports, shard, self._leases)
        self._indexer = SearchIndexer(SearchStore(ports.store), shard, lambda: self.held, ports.clock)
        self._buffer: list[QueueEntry] = []
        """Read, and not committed yet."""
        self._health = WriterHealth(shard, len(partitions), ports.metrics)
        self._stopping = asyncio.Event()
        self._measured_at = float("-inf")
        self._pause_until = float("-inf")
        self._cleaned_at = ports.clock.monotonic()

    @property
    def held(self) -> list[Partition]:
        return self._leases.partitions

    @property
    def trouble(self) -> str:
        """Why it does not hold all of its partitions; empty: it does, or will soon."""
        return self._health.trouble

    async def assign(self, partitions: Sequence[Partition]) -> None:
        """Has it work for these partitions from now on: those that came to its shard, without those that left."""
        self._health.wants(len(partitions))
        await self._leases.want(partitions)
        self._indexer.wake()

    async def run(self) -> None:
        """Works until ``stop``; failures of Redis or of the shard delay it, they do not end it."""
        keeping = asyncio.create_task(self._leases.keep())
        indexing = asyncio.create_task(self._indexer.run())
        try:
            while not self._stopping.is_set():
                try:
                    await self._leases.take_missing()
                    self._health.refused(self._leases.refusals.values())
                    await self._take_batch()
                    self._health.went_well()
                except (CacheUnavailable, StoreUnavailable, LeaseLost) as error:
                    if isinstance(error, LeaseLost):
                        self._ports.metrics.stale_batch_refused(self._shard)
                    self._health.failed(error)
                    self._start_over()
                    await self._rest(min(RETRY_MIN * 2 ** min(self._health.failures - 1, DOUBLINGS), RETRY_MAX))
            await self._flush()
        finally:
            keeping.cancel()
            indexing.cancel()
            await asyncio.gather(keeping, indexing, return_exceptions=True)
            await self._leases.release()

    async def stop(self) -> None:
        """Asks the loop to commit what is queued, give its leases up and end."""
        self._stopping.set()

    # Reading

    async def _take_batch(self) -> None:
        """Waits for a batch to fill (by size, by time, or at once for a sender that waits), then commits it."""
        self._clean_up()
        await self._read_history()
        await self._reopen()
        await self._measure()
        await self._fill()
        if self._buffer:
            self._pause_until = self._ports.clock.monotonic() + self._ports.settings.batch_pause.total_seconds()
            await self._commit_buffer()

    async def _fill(self) -> None:
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
            limit, longest = settings.batch_limit - len(self._buffer), self._leases.longest_read
            found = await self._ports.queue.new(self.held, limit, max(1, round(min(wait, longest) * 1000)))
            self._buffer += self._leases.in_sequence(found)
            if found and not self._due_now():
                # Entries come one by one; reading them one by one would cost more than writing them.
                await clock.sleep(READ_PAUSE)

    def _due_now(self) -> bool:
        """Whether the batch does not wait for anything: somebody waits for it, it is as large as one may be, or
        history has to be read before more is."""
        if len(self._buffer) >= self._ports.settings.batch_limit or any(entry.urgent for entry in self._buffer):
            return True
        return self._leases.asks_now or not self._leases.history_read

    def _clean_up(self) -> None:
        """Has the writer's own unfinished entries read again, now and then: the buffer is empty here, so whatever is
        unfinished was delivered and lost on the way."""
        now = self._ports.clock.monotonic()
        if now - self._cleaned_at >= self._ports.settings.cleanup_interval.total_seconds():
            self._cleaned_at = now
            self._leases.reread()

    async def _read_history(self) -> None:
        """What was taken before and never finished goes first, or new entries would overtake it."""
        for partition, held in list(self._leases.held.items()):
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
                # Whoever held the partition before may have left something to be read for the search.
                self._indexer.wake()

    async def _reopen(self) -> None:
        """Opens closed partitions when what is queued there is stored: nobody can queue more."""
        if not self._leases.closed:
            return
        limit = self._ports.settings.batch_limit
        while found := await self._ports.queue.new(self._leases.closed, limit, 1):
            self._buffer += self._leases.in_sequence(found)
            await self._commit_buffer()
            await self._read_history()
        await self._reopener.open(self._leases.closed)

    async def _flush(self) -> None:
        """At shut-down: everything that is queued by now."""
        try:
            while True:
                await self._read_history()
                found = await self._ports.queue.new(self.held, self._ports.settings.batch_limit, 1)
                self._buffer += self._leases.in_sequence(found)
                if not self._buffer and self._leases.history_read:
                    return
                await self._commit_buffer()
        except ParlorError as error:
            # It stays queued, and the next start takes it up.
            _log.warning("not_flushed", shard=self._shard, code=error.code, debug=error.debug)

    async def _commit_buffer(self) -> None:
        entries, self._buffer = self._buffer, []
        await self._committer.commit(entries)
        self._indexer.wake()

    def _start_over(self) -> None:
        self._buffer.clear()
        self._leases.lose_all()

    async def _measure(self) -> None:
        """Queue depth and lag, every few seconds."""
        now = self._ports.clock.monotonic()
        if now - self._measured_at < self._ports.settings.batch_interval.total_seconds():
            return
        self._measured_at = now
        sizes = await asyncio.gather(*map(self._ports.queue.depth, self.held))
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
