"""The partitions that a writer holds: taking them, keeping them, noticing that they are lost.

A lease in Redis keeps two writers from doing the same work; it is for liveness only. The epoch that a writer mints in
the shard when it takes a partition makes it safe: a batch with an older epoch is refused (I5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
import structlog

from parlor.cache.clusters import ClusterCache
from parlor.cache.live import NOTHING_APPLIED, Live
from parlor.cache.queue import HeldByAnother, Lease, QueueEntry, WriterQueue
from parlor.clock import Clock
from parlor.errors import CacheUnavailable, ForeignCache, ForeignStore, PartitionMoves, ShardBehind, StoreUnavailable
from parlor.metrics import NotHeld, WriterMetrics
from parlor.model.ids import IdMint, Partition, ShardId, cluster_of, without_cluster
from parlor.model.messages import QueuePosition
from parlor.persistence.health import Refusal, refusal_of
from parlor.reading.identity import BEHIND
from parlor.reading.loading import Loader
from parlor.settings import QueueSettings
from parlor.store.ports import ChatStore, Fence

_log = structlog.get_logger(__name__)

WAKE_SECONDS = 0.5
"""Longest blocking read: after it the writer looks whether it is to stop, or to take another partition."""
MOVES_WAIT = 0.1
"""The same for a partition that comes to this writer: whoever had it lets it go within a second."""
LEFT_WAIT = 1.0
"""The same for one that leaves: its move may be undone."""
REFUSED_WAIT = 5.0
"""Seconds until a partition is asked for again that another installation has, or whose shard is behind: what mends it
is somebody's work, and then it goes on within 5 s."""


class WriterPorts(msgspec.Struct, frozen=True):
    live: Live
    queue: WriterQueue
    store: ChatStore
    loader: Loader
    mint: IdMint
    clock: Clock
    metrics: WriterMetrics
    settings: QueueSettings
    clusters: ClusterCache


class Held(msgspec.Struct):
    """A partition that this writer holds."""

    epoch: int
    applied: QueuePosition
    """The watermark: everything up to here is committed."""
    read: QueuePosition
    """Everything up to here was read, or is finished."""
    history_read: bool = False
    """Whether the consumer's own unfinished entries have been read. They go first, or new entries would overtake
    them."""
    closed: bool = False
    """Another Redis server goes on with it: its queue is stored before it is opened (I27)."""
    history: str = ""
    """Of the Redis server on which it is held, where servers fail over."""


class Leases:
    """The leases of one writer. ``name`` outlives the process: a restarted writer takes its leases back at once. Where
    it says in which cluster the writer is (``ids.in_cluster``), so does its namesake in another one, when the writer's
    cluster has died."""

    def __init__(self, ports: WriterPorts, shard: ShardId, name: str, partitions: Sequence[Partition]) -> None:
        self._ports = ports
        self._shard = shard
        self._name = name
        self._wanted = list(partitions)
        self.token = ports.mint.token()
        self.held: dict[Partition, Held] = {}
        self.refusals: dict[Partition, Refusal] = {}
        """Why partitions are not held that were asked for."""
        self._ask_again_at: dict[Partition, float] = {}
        """When to ask again for these."""
        self._came: set[Partition] = set()
        """Those that it was told to take besides, and has not held yet: somebody else is about to let them go."""
        self._others_since: dict[Partition, float] = {}
        """Since when another writer holds these."""

    @property
    def partitions(self) -> list[Partition]:
        return sorted(self.held)

    @property
    def epochs(self) -> dict[Partition, int]:
        return {partition: held.epoch for partition, held in self.held.items()}

    @property
    def closed(self) -> list[Partition]:
        return sorted(partition for partition, held in self.held.items() if held.closed)

    @property
    def history_read(self) -> bool:
        return all(held.history_read for held in self.held.values())

    @property
    def longest_read(self) -> float:
        """Seconds until the writer is to look again for partitions that it may take."""
        return MOVES_WAIT if self._came else WAKE_SECONDS

    @property
    def asks_now(self) -> bool:
        """Whether a partition that came to this writer may be there."""
        now = self._ports.clock.monotonic()
        return any(self._ask_again_at.get(partition, now) <= now for partition in self._came)

    async def take_missing(self) -> None:
        """Takes the partitions that it does not hold, as far as it may. Raises ``CacheUnavailable``,
        ``StoreUnavailable``."""
        now = self._ports.clock.monotonic()
        missing = [p for p in self._wanted if p not in self.held and self._ask_again_at.get(p, now) <= now]
        if not missing:
            return
        try:
            await self._ports.store.check_shard(self._shard)
        except ForeignStore as error:
            for partition in missing:
                self._refuse(partition, refusal_of(error))
            return
        elsewhere = await self._elsewhere(missing)
        for partition in elsewhere:
            self._refuse(partition, Refusal(NotHeld.PARTITION_MOVES, "they live on another shard", lasting=False))
        missing = [partition for partition in missing if partition not in elsewhere]
        refusals = await asyncio.gather(*map(self._take, missing), return_exceptions=True)
        # Only when all have ended: one that went on behind a failure would end up with an outdated epoch.
        for partition, refusal in zip(missing, refusals, strict=True):
            if isinstance(refusal, BaseException):
                raise refusal
            if refusal is None:
                self.refusals.pop(partition, None)
                self._came.discard(partition)
            else:
                self._refuse(partition, refusal)
        # Some may have been taken off the list meanwhile.
        await self._give_up(set(self.held) - set(self._wanted))

    async def keep(self) -> None:
        """Renews at a third of the lease's life, until it is cancelled. A lost partition is dropped; its shard would
        refuse it anyhow."""
        while True:
            await self._ports.clock.sleep(self._ports.settings.lease_ttl.total_seconds() / 3)
            for partition in self.partitions:
                if (held := self.held.get(partition)) is None:
                    continue
                try:
                    if not await self._ports.queue.renew(partition, self.token, held.applied):
                        self.held.pop(partition, None)
                    elif (held := self.held.get(partition)) is not None:
                        # A writer that does not know yet that it lost the partition may have read from it.
                        held.history_read = False
                except CacheUnavailable as error:
                    _log.warning("lease_not_renewed", partition=partition, debug=error.debug)

    async def want(self, partitions: Iterable[Partition]) -> None:
        """Takes these from now on, and gives up the others."""
        wanted = sorted(partitions)
        came, left = set(wanted) - set(self._wanted), set(self._wanted) - set(wanted)
        self._came = (self._came | came) & set(wanted)
        self._wanted = wanted
        for partition in came:
            self._ask_again_at.pop(partition, None)
        for partition in set(self.refusals) - set(self._wanted):
            del self.refusals[partition]
        # Also those that it does not hold any more because their shard had refused their epochs: their next holder, on
        # another shard, is not to wait until the lease expires.
        await self._give_up(left | (set(self.held) - set(self._wanted)))

    async def release(self) -> None:
        """Gives every partition up."""
        await self._give_up(list(self.held))

    async def _give_up(self, partitions: Iterable[Partition]) -> None:
        for partition in sorted(partitions):
            held = self.held.pop(partition, None)
            try:
                await self._ports.queue.release(partition, self.token, held.applied if held else NOTHING_APPLIED)
            except CacheUnavailable as error:
                # It expires by itself, and a successor of this name need not wait for that.
                _log.warning("lease_not_released", partition=partition, debug=error.debug)

    def lose(self, partitions: Iterable[Partition]) -> None:
        """The shard refused their epochs."""
        for partition in partitions:
            self.held.pop(partition, None)

    def lose_all(self) -> None:
        """Redis may come back without its memory, and a batch whose answer was lost may be committed: leases, epochs
        and watermarks are taken anew."""
        self.held.clear()

    def reread(self) -> None:
        """Has the unfinished entries of every partition read again."""
        for held in self.held.values():
            held.history_read = False

    def applied(self, fences: Iterable[Fence]) -> None:
        """The shard moved these watermarks."""
        for fence in fences:
            # Unless its lease expired meanwhile: then its next holder reads the watermark from the shard.
            if (held := self.held.get(fence.partition)) is not None:
                held.applied = fence.applied

    def in_sequence(self, found: Iterable[QueueEntry]) -> list[QueueEntry]:
        """Those of the new entries that follow on what was read before.

        What is missing between was read by a writer that does not know yet that it lost the partition. The history has
        it, and is read before anything goes on: the watermark must not pass over it.
        """
        kept: list[QueueEntry] = []
        for entry in found:
            held = self.held.get(entry.partition)
            if held is None:
                continue
            following = QueuePosition(held.read.incarnation, held.read.number + 1)
            if held.history_read and entry.position == following:
                held.read = following
                kept.append(entry)
            else:
                held.history_read = False
        return kept

    def _refuse(self, partition: Partition, refusal: Refusal) -> None:
        settings, now = self._ports.settings, self._ports.clock.monotonic()
        self.refusals[partition] = refusal
        wait = REFUSED_WAIT
        if partition in self._came:
            wait = MOVES_WAIT
        elif refusal.reason is NotHeld.PARTITION_MOVES:
            wait = LEFT_WAIT
        elif refusal.reason is NotHeld.HELD_BY_ANOTHER:
            wait = settings.lease_wait.total_seconds()
        self._ask_again_at[partition] = now + wait

    async def _elsewhere(self, partitions: Iterable[Partition]) -> set[Partition]:
        """Those that live on other shards: their leases are left alone."""
        store = self._ports.store
        found = {partition for partition in partitions if await store.shard_of(partition) != self._shard}
        if found:
            try:
                await store.refresh_shard_map()
            except StoreUnavailable as error:
                _log.warning("partition_map_not_read", shard=self._shard, debug=error.debug)
        return {partition for partition in found if await store.shard_of(partition) != self._shard}

    async def _take(self, partition: Partition) -> Refusal | None:
        """Returns what keeps the writer from it; None: it holds it now."""
        try:
            generation = await self._ports.store.generation_of(partition)
            lease = await self._ports.queue.hold(partition, self.token, self._name, generation)
            if isinstance(lease, HeldByAnother) and await self._succeeds(lease.holder):
                lease = await self._ports.queue.hold(partition, self.token, self._name, generation, lease.holder)
            if isinstance(lease, HeldByAnother):
                return await self._wait_for(partition, lease.holder)
            self._others_since.pop(partition, None)
            await self._hold(partition, lease)
        except PartitionMoves as error:
            # Its next holder, of whichever shard, is not to wait for this lease.
            await self._ports.queue.release(partition, self.token, NOTHING_APPLIED)
            return Refusal(NotHeld.PARTITION_MOVES, error.detail, lasting=False)
        except (ForeignCache, ForeignStore, ShardBehind) as error:
            return refusal_of(error)
        return None

    async def _succeeds(self, holder: str) -> bool:
        """Whether this writer is in the place of one that cannot be there any more."""
        if not cluster_of(self._name) or without_cluster(holder) != without_cluster(self._name):
            return False
        its = cluster_of(holder)
        # One that names no cluster is of an earlier version, which an upgrade has ended.
        return not its or not await self._ports.clusters.lives(its)

    async def _wait_for(self, partition: Partition, holder: str) -> Refusal:
        """Another writer holds it: one that died leaves its lease for a while, one that lives keeps it."""
        own, its = cluster_of(self._name), cluster_of(holder)
        if own and its and its != own and await self._ports.clusters.lives(its):
            detail = f"a writer of another cluster, {holder}, holds them"
            return Refusal(NotHeld.HELD_BY_ANOTHER, detail, lasting=False)
        settings, now = self._ports.settings, self._ports.clock.monotonic()
        since = self._others_since.setdefault(partition, now)
        patience = (settings.lease_ttl + settings.lease_wait).total_seconds()
        detail = f"another writer, {holder}, holds them"
        return Refusal(NotHeld.HELD_BY_ANOTHER, detail, lasting=now - since > patience)

    async def _hold(self, partition: Partition, lease: Lease) -> None:
        store = self._ports.store
        if lease.incarnation is None:
            # Before the epoch is minted: opening a partition outdates the epochs that there are.
            await self._ports.loader.open_partition(partition)
        # From here on no batch of an earlier writer is accepted.
        progress = await store.acquire_partition(self._shard, partition)
        if (lease.incarnation or 0) > progress.incarnation or lease.applied > progress.applied:
            # Its next holder finds the same: nobody is to wait for this lease.
            await self._ports.queue.release(partition, self.token, progress.applied)
            raise ShardBehind(
                BEHIND,
                debug=f"partition {partition}: Redis knows {lease.incarnation} and {lease.applied} as applied, "
                f"shard {self._shard} {progress.incarnation} and {progress.applied}",
            )
        behind = lease.incarnation is not None and (
            QueuePosition(lease.incarnation, lease.last_number) < progress.applied
        )
        if behind and not lease.closed:
            # Redis lost its tail: positions would come a second time, and be skipped. A new incarnation is above all.
            _log.error("queue_went_back", partition=partition, applied=str(progress.applied))
            opened = await store.open_partition(self._shard, partition)
            await self._ports.live.init_partition(partition, opened.incarnation, opened.applied)
            progress = await store.acquire_partition(self._shard, partition)
        # The queue of a partition that nothing was ever taken from begins with number 1.
        read = progress.applied if progress.applied.number else QueuePosition(lease.incarnation or 0, 0)
        self.held[partition] = Held(progress.epoch, progress.applied, read, closed=lease.closed, history=lease.history)
