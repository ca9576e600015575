"""What a writer does with partitions that another Redis server goes on with, before anybody else gets at them.

What the server still has queued is stored first; then the partition begins anew from its shard, as if Redis had come
back empty. So nothing that is stored is hidden by an older copy, and no position of the queue comes a second time.
"""

from __future__ import annotations

from collections import defaultdict

import structlog

from parlor.cache.reopening import Reopening
from parlor.model.ids import Partition, RoomId, ShardId, home_of
from parlor.model.messages import QueuePosition
from parlor.persistence.leases import Held, Leases, WriterPorts
from parlor.store.open_replies import OpenReplies
from parlor.store.ports import PartitionProgress

_log = structlog.get_logger(__name__)

BEHIND_SECONDS = 600.0
"""A replica that is promoted lacks less than this: a longer one is not promoted by Redis's own defaults, and clocks
differ by less."""


class Reopener:
    """Opens the closed partitions of one writer. Raises ``CacheUnavailable``, ``StoreUnavailable``, ``LeaseLost``."""

    def __init__(self, ports: WriterPorts, shard: ShardId, leases: Leases) -> None:
        self._ports = ports
        self._shard = shard
        self._leases = leases
        self._cache = Reopening(ports.live)
        self._open_replies = OpenReplies(ports.store)

    async def open(self, partitions: list[Partition]) -> None:
        """Opens those of the partitions whose queues have been stored."""
        held, token = self._leases.held, self._leases.token
        names = await self._cache.names(token, {partition: held[partition].history for partition in partitions})
        ready: dict[Partition, tuple[str, PartitionProgress]] = {}
        for partition in partitions:
            if await self._cache.queued(partition):
                # A writer that does not know yet that it lost the partition has read it. The history has it.
                self._leases.reread()
            elif partition in held:
                history = held[partition].history
                await self._cache.forget(partition, token, history, names.get(partition, []))
                # Outdates every epoch: a batch that was read from the former primary is not stored any more.
                ready[partition] = history, await self._ports.store.open_partition(self._shard, partition)
        # Behind that, so that no reply is stored which is not among them.
        unfinished = await self._unfinished() if ready else {}
        for partition, (history, opened) in ready.items():
            await self._open(partition, history, opened, unfinished.get(partition, []))
            forgotten = len(names.get(partition, []))
            applied = str(opened.applied)
            _log.warning("partition_reopened", partition=partition, applied=applied, keys_forgotten=forgotten)

    async def _open(
        self, partition: Partition, history: str, opened: PartitionProgress, unfinished: list[RoomId]
    ) -> None:
        token = self._leases.token
        gone = [room for room in await self._cache.generating(partition) if not await self._stored(room)]
        await self._cache.open(partition, token, history, opened.incarnation, opened.applied, gone, unfinished)
        progress = await self._ports.store.acquire_partition(self._shard, partition)
        read = QueuePosition(opened.incarnation, 0)
        self._leases.held[partition] = Held(progress.epoch, progress.applied, read, history=history)

    async def _unfinished(self) -> dict[Partition, list[RoomId]]:
        """The rooms of the shard with replies that the server may not know of: nobody else wakes them."""
        since = self._ports.clock.now_ms() - round(BEHIND_SECONDS * 1000)
        found: defaultdict[Partition, list[RoomId]] = defaultdict(list)
        for room in await self._open_replies.rooms(self._shard, since):
            found[home_of(room)].append(room)
        return found

    async def _stored(self, room: RoomId) -> bool:
        return await self._ports.store.room_get(self._shard, room) is not None
