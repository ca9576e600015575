"""What `parlor status` tells besides the actors: queues and services."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from actors.contracts import QueueStatus
from parlor.cache.queue import WriterQueue
from parlor.clock import Clock
from parlor.errors import ParlorError
from parlor.model.ids import Partition, ShardId
from parlor.store.ports import ChatStore
from parlor.wiring import Wiring

_log = structlog.get_logger(__name__)


async def queue_statuses(wiring: Wiring) -> list[QueueStatus]:
    """One for each partition; none when the partition map does not answer."""
    try:
        homes = [(s, p) for s in wiring.store.shard_ids() for p in await wiring.store.partitions_of(s)]
    except ParlorError as error:
        _log.warning("queues_unknown", code=error.code, debug=error.debug)
        return []
    stored = await _stored(wiring.store)
    queue = WriterQueue(wiring.live, wiring.settings.redis)
    try:
        found = await asyncio.gather(*(_queue_status(queue, wiring.clock, *home, stored) for home in homes))
    finally:
        await queue.close()
    if troubles := sorted({status.trouble for status in found} - {""}):
        _log.warning("queues_unreadable", reasons=troubles)
    return found


async def _stored(store: ChatStore) -> dict[Partition, int]:
    """Operations that the shards have taken, by partition; none of those that do not answer."""
    found: dict[Partition, int] = {}
    answers = await asyncio.gather(*map(store.progress, store.shard_ids()), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, ParlorError):
            _log.warning("progress_unknown", code=answer.code, debug=answer.debug)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found |= {progress.partition: progress.applied.number for progress in answer}
    return found


async def _queue_status(
    queue: WriterQueue, clock: Clock, shard: ShardId, partition: Partition, stored: Mapping[Partition, int]
) -> QueueStatus:
    """A partition that cannot be read is told so, and the others are told."""
    try:
        depth, oldest, dead = await queue.depth(partition)
    except ParlorError as error:
        return QueueStatus(int(partition), shard, 0, 0.0, 0, trouble=error.detail, stored=stored.get(partition))
    lag = max(0, clock.now_ms() - oldest) / 1000 if oldest else 0.0
    return QueueStatus(int(partition), shard, depth, lag, dead, stored=stored.get(partition))


async def service_statuses(wiring: Wiring) -> dict[str, str]:
    """Each dependency and ``ok``, or what is wrong with it."""
    return {health.name: "ok" if health.ok else health.detail for health in await wiring.dependencies.health()}
