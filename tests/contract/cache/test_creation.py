"""create_room: a room is everywhere or nowhere."""

from __future__ import annotations

import pytest

from parlor.errors import Overloaded, PartitionUnknown, RoomNotFound
from parlor.ids import RoomId
from parlor.states import RoomState
from tests.contract.cache.world import NOW, World

pytestmark = pytest.mark.contract


async def fill_queue(world: World, incarnation: int = 0) -> None:
    async with world.redis.pipeline(transaction=False) as pipe:
        for number in range(world.settings.queue.backlog_limit):
            pipe.xadd(world.keys.queue(world.partition), {"op": "x"}, id=f"{incarnation}-{number + 1}")
        await pipe.execute()


async def test_a_new_room_is_pending_queued_listed_and_told(world: World) -> None:
    address = await world.created()
    found = await world.states.room_state(address.room_id)
    assert found is not None
    state, log = found
    assert state is RoomState.PENDING
    assert [(step.at, step.from_state, step.to_state, step.by) for step in log] == [
        (NOW, "CREATING", "PENDING", "account")
    ]
    (entry,) = await world.queued()
    assert (entry.op, entry.title, entry.persona, entry.at, entry.version) == (
        "CHAT_ROOM_CREATE",
        "A room",
        "GPT4O",
        NOW,
        1,
    )
    assert entry.address == address
    assert str(entry.position) == "1-1"
    assert await world.account_events(address) == [("room.created", address.room_id)]
    assert await world.redis.zrange(world.key("rooms", address), 0, -1, withscores=True) == [
        (address.room_id.encode(), NOW)
    ]
    room = (await world.room(address)).room
    assert (room.title, room.ai_persona, room.created_at, room.last_message_at) == ("A room", "GPT4O", NOW, None)
    assert (room.message_count, room.persisted_seq) == (0, 0)


async def test_creating_a_room_again_changes_nothing(world: World) -> None:
    address = await world.created()
    before = await world.dump()
    world.clock.now += 5
    await world.rooms.create(address, "Another title", "OTHER", "account")
    assert await world.dump() == before


async def test_a_deleted_room_is_not_created_again(world: World) -> None:
    address = await world.claimed()
    await world.rooms.delete(address, "claim-1", "account")
    with pytest.raises(RoomNotFound):
        await world.rooms.create(address, "Again", "GPT4O", "account")
    await world.stored(address)
    with pytest.raises(RoomNotFound):
        await world.rooms.create(address, "Again", "GPT4O", "account")


async def test_nothing_is_created_in_an_unknown_partition(world: World) -> None:
    await world.redis.delete(world.keys.partition(world.partition))
    before = await world.dump()
    with pytest.raises(PartitionUnknown):
        await world.created()
    assert await world.dump() == before


async def test_nothing_is_created_over_a_full_queue(world: World) -> None:
    await fill_queue(world)
    before = await world.dump()
    with pytest.raises(Overloaded) as refused:
        await world.created()
    assert refused.value.retry_after is not None
    assert await world.dump() == before


async def test_nothing_expires_before_it_is_stored(world: World) -> None:
    address = await world.created()
    assert not any(
        ttl for name, (_, ttl) in (await world.dump()).items() if "events" not in name and "lease" not in name
    )
    await world.stored(address)
    dumped = await world.dump()
    for name in ("room", "account", "rooms"):
        assert dumped[world.key(name, address)][1], name


async def test_an_unknown_room_is_none(world: World) -> None:
    room_id: RoomId = world.address().room_id
    assert await world.reader.room(room_id) is None
    assert await world.states.room_state(room_id) is None
