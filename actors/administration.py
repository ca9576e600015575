"""What an operator asks over HTTP: the stores answer for accounts and dead letters, the Supervisor for the actors."""

from __future__ import annotations

from itertools import groupby

from actors.contracts import ActorStatus, InstallationStatus, QueueStatus
from actors.routing import RoomRouter
from parlor.administration.operations import Operations
from parlor.model.administration import ActorLine, Overview, ShardLine
from parlor.wiring import Wiring


class ActorAdministration(Operations):
    """See ``parlor.administration.ports.Administration``."""

    def __init__(self, wiring: Wiring, rooms: RoomRouter) -> None:
        dead_letters, limits = wiring.dead_letters(), wiring.limits
        super().__init__(wiring.store, wiring.reader, dead_letters, limits, wiring.mint, wiring.clock)
        self._rooms = rooms

    async def overview(self) -> Overview:
        return overview_of(await self._rooms.status())


def overview_of(status: InstallationStatus) -> Overview:
    by_partition = {queue.partition: queue for queue in status.queues}
    actors = [_actor(actor, by_partition) for actor in status.actors]
    queues = sorted(status.queues, key=lambda queue: queue.shard)
    shards = [_line(shard, list(its)) for shard, its in groupby(queues, lambda queue: queue.shard)]
    return Overview(status.services, actors, shards)


def _actor(actor: ActorStatus, queues: dict[int, QueueStatus]) -> ActorLine:
    held = [queues[partition] for partition in actor.partitions if partition in queues]
    return ActorLine(
        actor.name,
        actor.kind,
        actor.alive,
        len(actor.rooms),
        actor.trouble,
        pid=actor.pid,
        node=actor.node,
        started=actor.started,
        leaving=actor.leaving,
        replies=actor.replies,
        sends=actor.sends,
        replied=actor.replied,
        partitions=len(actor.partitions),
        committed=actor.committed,
        lag_entries=sum(queue.depth for queue in held),
        lag_seconds=max((queue.lag_seconds for queue in held), default=0.0),
    )


def _line(shard: int, queues: list[QueueStatus]) -> ShardLine:
    return ShardLine(
        shard,
        lag_entries=sum(queue.depth for queue in queues),
        lag_seconds=max(queue.lag_seconds for queue in queues),
        dead_letters=sum(queue.dead_letters for queue in queues),
        trouble=next((queue.trouble for queue in queues if queue.trouble), ""),
    )
