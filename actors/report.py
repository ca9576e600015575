"""What `parlor status` tells besides the actors: queues and services."""

from __future__ import annotations

import asyncio

import structlog

from actors.contracts import QueueStatus
from parlor.cache.queue import WriterQueue
from parlor.errors import ParlorError
from parlor.ids import Partition
from parlor.wiring import Wiring

_log = structlog.get_logger(__name__)


async def queue_statuses(wiring: Wiring) -> list[QueueStatus]:
    """One for each partition; none when Redis or the partition map does not answer."""
    now = wiring.clock.now_ms()
    queue = WriterQueue(wiring.live, wiring.settings.redis)
    try:

        async def one(shard: int, partition: Partition) -> QueueStatus:
            depth, oldest, dead = await queue.depth(partition)
            lag = max(0, now - oldest) / 1000 if oldest else 0.0
            return QueueStatus(int(partition), shard, depth, lag, dead)

        homes = [(s, p) for s in wiring.store.shard_ids() for p in await wiring.store.partitions_of(s)]
        return list(await asyncio.gather(*(one(shard, partition) for shard, partition in homes)))
    except ParlorError as error:
        _log.warning("queues_unknown", code=error.code, debug=error.debug)
        return []
    finally:
        await queue.close()


async def service_statuses(wiring: Wiring) -> dict[str, str]:
    """Each dependency and ``ok``, or what is wrong with it."""
    return {health.name: "ok" if health.ok else health.detail for health in await wiring.dependencies.health()}
