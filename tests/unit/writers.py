"""A shard writer on a rig: what its tests set up and look at."""

from __future__ import annotations

import asyncio

from parlor.ids import RoomId
from parlor.room import Room
from parlor.states import MessageState
from parlor.writer import ShardWriterLoop
from tests.unit.rig import HOME, Rig, settle

INTERVAL = 3.0
"""Of batches, the default."""


async def opened(rig: Rig) -> Room:
    """A room whose creation is stored."""
    room = rig.room(await rig.new_room())
    await rig.write_all()
    rig.store.batches.clear()
    rig.metrics.batches.clear()
    return room


async def started(rig: Rig, writer: ShardWriterLoop | None = None) -> asyncio.Task[None]:
    task = rig.spawn((writer or rig.writer()).run())
    await settle()
    return task


async def stored(rig: Rig, room_id: RoomId) -> list[str]:
    return [row.doc.content for row in await rig.rows(room_id)]


async def states(rig: Rig, room_id: RoomId) -> list[MessageState]:
    return [message.state for message in (await rig.page(room_id)).messages]


async def killed(task: asyncio.Task[None], rig: Rig) -> None:
    """A process that is gone says no goodbye: its leases stay."""
    rig.pipeline.refuse["release_lease"] = 10
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    rig.pipeline.refuse.clear()


async def run_out(rig: Rig) -> None:
    """The lease's time is over: fakeredis knows only real time."""
    await rig.redis.delete(rig.live.keys.lease(HOME))
