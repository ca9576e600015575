"""What `parlor status` tells besides the actors: queues and services."""

from __future__ import annotations

import asyncio

import structlog

from actors.contracts import QueueStatus
from parlor.assembly import Assembly
from parlor.cache.queue import WriterQueue
from parlor.errors import ParlorError
from parlor.ids import Partition

_log = structlog.get_logger(__name__)


async def queue_statuses(assembly: Assembly) -> list[QueueStatus]:
    """Of every partition; empty when Redis or the partition map does not answer."""
    now = assembly.clock.now_ms()
    queue = WriterQueue(assembly.live, assembly.settings.redis)
    try:

        async def one(shard: int, partition: Partition) -> QueueStatus:
            depth, oldest, dead = await queue.depth(partition)
            lag = max(0, now - oldest) / 1000 if oldest else 0.0
            return QueueStatus(int(partition), shard, depth, lag, dead)

        places = [(s, p) for s in assembly.store.shard_ids() for p in await assembly.store.partitions_of(s)]
        return list(await asyncio.gather(*(one(shard, partition) for shard, partition in places)))
    except ParlorError as error:
        _log.warning("queues_unknown", code=error.code, debug=error.debug)
        return []
    finally:
        await queue.close()


async def service_statuses(assembly: Assembly) -> dict[str, str]:
    """Each dependency and ``ok``, or what is wrong with it."""
    return {health.name: "ok" if health.ok else health.detail for health in await assembly.health()}
