"""A shard writer on a domain: what its tests set up and look at."""

from __future__ import annotations

import asyncio

from parlor.model.ids import RoomId
from parlor.model.states import MessageState
from parlor.persistence.writer import ShardWriterLoop
from parlor.rooms.room import Room
from tests.unit.domain import HOME, Domain, settle

INTERVAL = 3.0
"""Of batches, the default."""


async def opened(domain: Domain) -> Room:
    """A room whose creation is stored."""
    room = domain.room(await domain.new_room())
    await domain.write_all()
    domain.store.batches.clear()
    domain.metrics.batches.clear()
    return room


async def started(domain: Domain, writer: ShardWriterLoop | None = None) -> asyncio.Task[None]:
    task = domain.spawn((writer or domain.writer()).run())
    await settle()
    return task


async def stored(domain: Domain, room_id: RoomId) -> list[str]:
    return [row.doc.content for row in await domain.rows(room_id)]


async def states(domain: Domain, room_id: RoomId) -> list[MessageState]:
    return [message.state for message in (await domain.page(room_id)).messages]


async def killed(task: asyncio.Task[None], domain: Domain) -> None:
    """A process that is gone says no goodbye: its leases stay."""
    domain.pipeline.refuse["release_lease"] = 10
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    domain.pipeline.refuse.clear()


async def run_out(domain: Domain) -> None:
    """The lease's time is over: fakeredis knows only real time."""
    await domain.redis.delete(domain.live.keys.lease(HOME))
