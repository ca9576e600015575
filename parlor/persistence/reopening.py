"""What a writer does with partitions that another Redis server goes on with, before anybody else gets at them.

What the server still has queued is stored first; then the partition begins anew from its shard, as if Redis had come
back empty. So nothing that is stored is hidden by an older copy, and no position of the queue comes a second time.
"""

from __future__ import annotations

import structlog

from parlor.cache.reopening import Reopening
from parlor.model.ids import Partition, RoomId, ShardId
from parlor.model.messages import QueuePosition
from parlor.persistence.leases import Held, Leases, WriterPorts

_log = structlog.get_logger(__name__)


class Reopener:
    """Opens the closed partitions of one writer. Raises ``CacheUnavailable``, ``StoreUnavailable``, ``LeaseLost``."""

    def __init__(self, ports: WriterPorts, shard: ShardId, leases: Leases) -> None:
        self._ports = ports
        self._shard = shard
        self._leases = leases
        self._cache = Reopening(ports.live)

    async def open(self, partitions: list[Partition]) -> None:
        """Opens those of the partitions whose queues have been stored."""
        held, token = self._leases.held, self._leases.token
        names = await self._cache.names(token, {partition: held[partition].history for partition in partitions})
        for partition in partitions:
            if await self._cache.queued(partition):
                # A writer that does not know yet that it lost the partition has read it. The history has it.
                self._leases.reread()
            elif partition in held:
                await self._open(partition, held[partition].history, names.get(partition, []))

    async def _open(self, partition: Partition, history: str, names: list[str]) -> None:
        store, token = self._ports.store, self._leases.token
        await self._cache.forget(partition, token, history, names)
        gone = [room for room in await self._cache.generating(partition) if not await self._stored(room)]
        # Outdates every epoch: a batch that was read from the former primary is not stored any more.
        opened = await store.open_partition(self._shard, partition)
        await self._cache.open(partition, token, history, opened.incarnation, opened.applied, gone)
        progress = await store.acquire_partition(self._shard, partition)
        read = QueuePosition(opened.incarnation, 0)
        self._leases.held[partition] = Held(progress.epoch, progress.applied, read, history=history)
        _log.warning("partition_reopened", partition=partition, applied=str(opened.applied), keys_forgotten=len(names))

    async def _stored(self, room: RoomId) -> bool:
        return await self._ports.store.room_get(self._shard, room) is not None
