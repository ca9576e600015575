"""What `parlor status` tells besides the actors: queues and services."""

from __future__ import annotations

import asyncio

import structlog

from actors.contracts import QueueStatus
from parlor.cache.queue import WriterQueue
from parlor.clock import Clock
from parlor.errors import ParlorError
from parlor.model.ids import Partition, ShardId
from parlor.wiring import Wiring

_log = structlog.get_logger(__name__)


async def queue_statuses(wiring: Wiring) -> list[QueueStatus]:
    """One for each partition; none when the partition map does not answer."""
    try:
        homes = [(s, p) for s in wiring.store.shard_ids() for p in await wiring.store.partitions_of(s)]
    except ParlorError as error:
        _log.warning("queues_unknown", code=error.code, debug=error.debug)
        return []
    queue = WriterQueue(wiring.live, wiring.settings.redis)
    try:
        found = await asyncio.gather(*(_queue_status(queue, wiring.clock, *home) for home in homes))
    finally:
        await queue.close()
    if troubles := sorted({status.trouble for status in found} - {""}):
        _log.warning("queues_unreadable", reasons=troubles)
    return found


async def _queue_status(queue: WriterQueue, clock: Clock, shard: ShardId, partition: Partition) -> QueueStatus:
    """A partition that cannot be read is told so, and the others are told."""
    try:
        depth, oldest, dead = await queue.depth(partition)
    except ParlorError as error:
        return QueueStatus(int(partition), shard, 0, 0.0, 0, trouble=error.detail)
    lag = max(0, clock.now_ms() - oldest) / 1000 if oldest else 0.0
    return QueueStatus(int(partition), shard, depth, lag, dead)


async def service_statuses(wiring: Wiring) -> dict[str, str]:
    """Each dependency and ``ok``, or what is wrong with it."""
    return {health.name: "ok" if health.ok else health.detail for health in await wiring.dependencies.health()}
