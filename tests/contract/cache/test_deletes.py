"""delete_message and delete_room: what is deleted stays deleted (P5)."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.records import tombstone
from parlor.cache.states import Deleted
from parlor.errors import Fenced, IllegalTransition, MessageNotFound, RoomNotFound
from parlor.model import DeleteOutcome, SenderType
from parlor.states import MessageState, RoomState
from tests.contract.cache.world import NOW, World

pytestmark = pytest.mark.contract


async def delete(world: World, address: RoomAddress, seq: int) -> Deleted:
    doc = await world.states.message_doc(address.room_id, seq)
    assert doc is not None
    return await world.states.delete_message(address, "claim-1", seq, doc, stored=False, by="account")


async def test_a_pending_message_is_cancelled_and_never_written(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    assert await delete(world, address, 1) == Deleted(MessageState.DELETED, DeleteOutcome.CANCELLED)
    entries = await world.queued()
    assert [entry.op for entry in entries] == ["CHAT_ROOM_CREATE", "CHAT_MESSAGE_SAVE", "CHAT_MESSAGE_DELETE"]
    assert await world.begin(address, entries) == [False, True]
    assert await world.state(address, 1) is MessageState.DELETED


async def test_a_queued_delete_tells_what_its_tombstone_keeps(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    doc = await world.states.message_doc(address.room_id, 1)
    assert doc is not None
    await delete(world, address, 1)
    *_, entry = await world.queued()
    assert entry.doc == tombstone(doc) == await world.states.message_doc(address.room_id, 1)
    assert (entry.doc.sender_type, entry.doc.timestamp, entry.doc.content) == (SenderType.USER, doc.timestamp, "")


async def test_a_message_that_is_being_written_is_deleted_behind_its_save(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    entries = await world.queued()
    assert await world.begin(address, entries) == [True, True]
    assert await delete(world, address, 1) == Deleted(MessageState.DELETING, DeleteOutcome.DELETING)
    await world.finish(address, entries)
    assert await world.state(address, 1) is MessageState.DELETING
    await world.stored(address)
    assert await world.state(address, 1) is MessageState.DELETED
    log = await world.states.message_state(address.room_id, 1)
    assert log is not None
    assert [step.to_state for step in log[1]] == ["PENDING", "PROCESSING", "DELETING", "DELETED"]


async def test_a_sent_message_goes_to_deleting_and_then_to_deleted(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    await world.stored(address)
    assert await delete(world, address, 1) == Deleted(MessageState.DELETING, DeleteOutcome.DELETING)
    await world.stored(address)
    assert await world.state(address, 1) is MessageState.DELETED


async def test_a_reply_in_progress_is_stopped_and_dropped(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    reply = await world.start(address, turn)
    await world.rooms.append_delta(address, "claim-1", reply, 1, 0, "Hel")
    assert await delete(world, address, 2) == Deleted(MessageState.DELETED, DeleteOutcome.STOPPED_AND_DELETED)
    with pytest.raises(IllegalTransition):
        await world.rooms.append_delta(address, "claim-1", reply, 1, 3, "lo")
    page = await world.page(address)
    assert (page.live_message, page.live_text) == ("", "")
    assert await world.redis.zcard(world.keys.generating(world.partition)) == 0
    claimed = await world.rooms.claim(address.room_id, "claim-2")
    assert claimed is not None
    assert claimed.open_replies == []


async def test_deleting_a_waiting_reply_leaves_the_live_one_alone(world: World) -> None:
    address = await world.claimed()
    first, _ = await world.send(address, 0), await world.send(address, 2)
    reply = await world.start(address, first)
    assert (await delete(world, address, 4)).outcome is DeleteOutcome.STOPPED_AND_DELETED
    await world.rooms.append_delta(address, "claim-1", reply, 1, 0, "Hi")
    assert await world.redis.zcard(world.keys.generating(world.partition)) == 1


@pytest.mark.parametrize("stored", [False, True])
async def test_deleting_again_is_harmless(world: World, stored: bool) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    first = await delete(world, address, 1)
    if stored:
        await world.stored(address)
    before = await world.dump()
    world.clock.now += 1
    assert await delete(world, address, 1) == Deleted(first.state, DeleteOutcome.ALREADY_DELETED)
    assert await world.dump() == before


async def test_a_delete_leaves_a_tombstone_and_tells_everybody(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0, reply=False)
    await delete(world, address, 1)
    doc = await world.states.message_doc(address.room_id, 1)
    assert doc is not None
    assert (doc.message_id, doc.content) == (turn.message_id, "")
    last = (await world.events(address))[-1]
    assert (last[b"type"], last[b"seq"], last[b"state"]) == (b"message.deleted", b"1", b"DELETED")
    room = await world.room(address)
    assert (room.room.message_count, room.last_seq) == (0, 1)
    assert (await world.account_events(address))[-1] == ("room.updated", address.room_id)


async def test_a_delete_is_no_activity(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    world.clock.now += 50_000
    await delete(world, address, 1)
    assert (await world.room(address)).room.last_message_at == NOW
    entry = (await world.queued())[-1]
    assert (entry.op, entry.active, entry.at, entry.count, entry.last_seq) == (
        "CHAT_MESSAGE_DELETE",
        NOW,
        NOW + 50_000,
        0,
        1,
    )


async def test_a_message_that_only_the_shard_knows_is_deleted_there(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    await world.stored(address)
    await world.redis.delete(world.key("states", address), world.key("messages", address))
    doc = world.doc()
    deleted = await world.states.delete_message(address, "claim-1", 1, doc, stored=True, by="account")
    assert deleted == Deleted(MessageState.DELETING, DeleteOutcome.DELETING)
    assert await world.states.find_message(address.room_id, doc.message_id) == 1


async def test_a_message_that_nobody_knows_is_not_found(world: World) -> None:
    address = await world.claimed()
    before = await world.dump()
    with pytest.raises(MessageNotFound):
        await world.states.delete_message(address, "claim-1", 1, world.doc(), stored=False, by="account")
    assert await world.dump() == before


async def test_the_save_of_a_deleted_message_does_not_bring_it_back(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    await world.stored(address)
    save = await world.queued()
    await delete(world, address, 1)
    await world.stored(address)
    assert save == []
    # As a writer would that repeats a batch after a crash.
    await world.send(address, 1, reply=False)
    entries = await world.queued()
    await world.begin(address, entries)
    await world.states.delete_message(
        address, "claim-1", 2, world.doc(message_id=entries[0].message_id), stored=False, by="account"
    )
    await world.stored(address)
    await world.finish(address, entries)
    assert await world.state(address, 2) is MessageState.DELETED


# Rooms


async def test_a_deleted_room_is_gone_at_once(world: World) -> None:
    address = await world.claimed()
    await world.start(address, await world.send(address, 0))
    await world.rooms.delete(address, "claim-1", "account")
    assert await world.room_state(address) is RoomState.DELETING
    with pytest.raises(RoomNotFound):
        await world.page(address)
    assert await world.redis.zcard(world.key("rooms", address)) == 0
    assert await world.redis.zcard(world.keys.generating(world.partition)) == 0
    assert not await world.redis.exists(*(world.key(name, address) for name in ("messages", "states", "open", "draft")))
    assert not {b"live", b"live_length"} & (await world.hash("room", address)).keys()
    assert (await world.event_types(address))[-1] == "room.deleted"
    assert (await world.account_events(address))[-1] == ("room.deleted", address.room_id)
    assert (await world.queued())[-1].op == "CHAT_ROOM_DELETE"


async def test_the_writer_skips_what_a_deleted_room_had_queued(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    await world.rooms.delete(address, "claim-1", "account")
    entries = await world.queued()
    assert await world.begin(address, entries) == [False, True]
    await world.finish(address, entries)
    assert await world.room_state(address) is RoomState.DELETED
    assert not await world.redis.exists(world.key("states", address), world.key("messages", address))
    assert await world.redis.pttl(world.key("room", address)) > 80_000_000


@pytest.mark.parametrize("state", [RoomState.PENDING, RoomState.PROCESSING, RoomState.ACTIVE])
async def test_a_room_is_deleted_from_every_state_that_allows_it(world: World, state: RoomState) -> None:
    address = await world.claimed()
    await world.redis.hset(world.key("room", address), "state", state)
    await world.rooms.delete(address, "claim-1", "account")
    found = await world.states.room_state(address.room_id)
    assert found is not None
    assert (found[0], found[1][-1].from_state) == (RoomState.DELETING, state)


async def test_a_room_that_is_being_created_is_not_deleted(world: World) -> None:
    address = await world.claimed()
    await world.redis.hset(world.key("room", address), "state", RoomState.CREATING)
    before = await world.dump()
    with pytest.raises(IllegalTransition) as refused:
        await world.rooms.delete(address, "claim-1", "account")
    assert refused.value.extra == {"from": "CREATING", "to": "DELETING"}
    assert await world.dump() == before


async def test_a_stale_owner_does_not_delete(world: World) -> None:
    address = await world.claimed()
    await world.rooms.claim(address.room_id, "claim-2")
    with pytest.raises(Fenced):
        await world.rooms.delete(address, "claim-1", "account")


async def test_other_rooms_of_the_account_stay(world: World) -> None:
    gone, stays = await world.claimed(), await world.claimed()
    await world.send(stays, 0)
    await world.rooms.delete(gone, "claim-1", "account")
    assert await world.redis.zrange(world.key("rooms", stays), 0, -1) == [stays.room_id.encode()]
    assert len((await world.page(stays)).rows) == 2
