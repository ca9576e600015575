"""delete_message and delete_room: what is deleted stays deleted (P5)."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.records import tombstone
from parlor.cache.states import Deleted
from parlor.errors import Fenced, IllegalTransition, MessageNotFound, RoomNotFound
from parlor.model.messages import SenderType
from parlor.model.requests import DeleteOutcome
from parlor.model.states import MessageState, RoomState
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, NOW, CacheFixtures, plain

pytestmark = pytest.mark.contract


async def delete(fixtures: CacheFixtures, address: RoomAddress, seq: int) -> Deleted:
    doc = await fixtures.states.message_doc(address.room_id, seq)
    assert doc is not None
    return await fixtures.states.delete_message(address, CLAIM_1, seq, doc, stored=False, by="account")


async def test_a_pending_message_is_cancelled_and_never_written(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    assert await delete(fixtures, address, 1) == Deleted(MessageState.DELETED, DeleteOutcome.CANCELLED)
    entries = await fixtures.queued()
    assert [entry.op for entry in entries] == ["CHAT_ROOM_CREATE", "CHAT_MESSAGE_SAVE", "CHAT_MESSAGE_DELETE"]
    assert await fixtures.begin(address, entries) == [False, True]
    assert await fixtures.state(address, 1) is MessageState.DELETED


async def test_a_queued_delete_tells_what_its_tombstone_keeps(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    doc = await fixtures.states.message_doc(address.room_id, 1)
    assert doc is not None
    await delete(fixtures, address, 1)
    *_, entry = await fixtures.queued()
    assert entry.doc == tombstone(doc) == await fixtures.states.message_doc(address.room_id, 1)
    assert (entry.doc.sender_type, entry.doc.timestamp, entry.doc.content) == (SenderType.USER, doc.timestamp, "")


async def test_a_message_that_is_being_written_is_deleted_behind_its_save(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    entries = await fixtures.queued()
    assert await fixtures.begin(address, entries) == [True, True]
    assert await delete(fixtures, address, 1) == Deleted(MessageState.DELETING, DeleteOutcome.DELETING)
    await fixtures.finish(address, entries)
    assert await fixtures.state(address, 1) is MessageState.DELETING
    await fixtures.stored(address)
    assert await fixtures.state(address, 1) is MessageState.DELETED
    log = await fixtures.states.message_state(address.room_id, 1)
    assert log is not None
    assert [step.to_state for step in log[1]] == ["PENDING", "PROCESSING", "DELETING", "DELETED"]


async def test_a_sent_message_goes_to_deleting_and_then_to_deleted(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    await fixtures.stored(address)
    assert await delete(fixtures, address, 1) == Deleted(MessageState.DELETING, DeleteOutcome.DELETING)
    await fixtures.stored(address)
    assert await fixtures.state(address, 1) is MessageState.DELETED


async def test_a_reply_in_progress_is_stopped_and_dropped(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    reply = await fixtures.start(address, turn)
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Hel"))
    assert await delete(fixtures, address, 2) == Deleted(MessageState.DELETED, DeleteOutcome.STOPPED_AND_DELETED)
    with pytest.raises(IllegalTransition):
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(3, "lo"))
    page = await fixtures.page(address)
    assert (page.live_message, page.live.content) == ("", "")
    assert await fixtures.redis.zcard(fixtures.keys.generating(fixtures.partition)) == 0
    claimed = await fixtures.claim(address.room_id, CLAIM_2)
    assert claimed is not None
    assert claimed.open_replies == []


async def test_deleting_a_waiting_reply_leaves_the_live_one_alone(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first, _ = await fixtures.send(address, 0), await fixtures.send(address, 2)
    reply = await fixtures.start(address, first)
    assert (await delete(fixtures, address, 4)).outcome is DeleteOutcome.STOPPED_AND_DELETED
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Hi"))
    assert await fixtures.redis.zcard(fixtures.keys.generating(fixtures.partition)) == 1


@pytest.mark.parametrize("stored", [False, True])
async def test_deleting_again_is_harmless(fixtures: CacheFixtures, stored: bool) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    first = await delete(fixtures, address, 1)
    if stored:
        await fixtures.stored(address)
    before = await fixtures.dump()
    fixtures.clock.ms += 1
    assert await delete(fixtures, address, 1) == Deleted(first.state, DeleteOutcome.ALREADY_DELETED)
    assert await fixtures.dump() == before


async def test_a_delete_leaves_a_tombstone_and_tells_everybody(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0, reply=False)
    await delete(fixtures, address, 1)
    doc = await fixtures.states.message_doc(address.room_id, 1)
    assert doc is not None
    assert (doc.message_id, doc.content) == (turn.message_id, "")
    last = (await fixtures.events(address))[-1]
    assert (last[b"type"], last[b"seq"], last[b"state"]) == (b"message.deleted", b"1", b"DELETED")
    room = await fixtures.room(address)
    assert (room.room.message_count, room.last_seq) == (0, 1)
    assert (await fixtures.account_events(address))[-1] == ("room.updated", address.room_id)


async def test_a_delete_is_no_activity(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    fixtures.clock.ms += 50_000
    await delete(fixtures, address, 1)
    assert (await fixtures.room(address)).room.last_message_at == NOW
    entry = (await fixtures.queued())[-1]
    assert (entry.op, entry.active, entry.at, entry.count, entry.last_seq) == (
        "CHAT_MESSAGE_DELETE",
        NOW,
        NOW + 50_000,
        0,
        1,
    )


async def test_a_message_that_only_the_shard_knows_is_deleted_there(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    await fixtures.stored(address)
    await fixtures.redis.delete(fixtures.key("states", address), fixtures.key("messages", address))
    doc = fixtures.doc()
    deleted = await fixtures.states.delete_message(address, CLAIM_1, 1, doc, stored=True, by="account")
    assert deleted == Deleted(MessageState.DELETING, DeleteOutcome.DELETING)
    assert await fixtures.states.find_message(address.room_id, doc.message_id) == 1


async def test_a_message_that_nobody_knows_is_not_found(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    before = await fixtures.dump()
    with pytest.raises(MessageNotFound):
        await fixtures.states.delete_message(address, CLAIM_1, 1, fixtures.doc(), stored=False, by="account")
    assert await fixtures.dump() == before


async def test_the_save_of_a_deleted_message_does_not_bring_it_back(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    await fixtures.stored(address)
    save = await fixtures.queued()
    await delete(fixtures, address, 1)
    await fixtures.stored(address)
    assert save == []
    # As a writer would that repeats a batch after a crash.
    await fixtures.send(address, 1, reply=False)
    entries = await fixtures.queued()
    await fixtures.begin(address, entries)
    await fixtures.states.delete_message(
        address, CLAIM_1, 2, fixtures.doc(message_id=entries[0].message_id), stored=False, by="account"
    )
    await fixtures.stored(address)
    await fixtures.finish(address, entries)
    assert await fixtures.state(address, 2) is MessageState.DELETED


# Rooms


async def test_a_deleted_room_is_gone_at_once(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.start(address, await fixtures.send(address, 0))
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    assert await fixtures.room_state(address) is RoomState.DELETING
    with pytest.raises(RoomNotFound):
        await fixtures.page(address)
    assert await fixtures.redis.zcard(fixtures.key("rooms", address)) == 0
    assert await fixtures.redis.zcard(fixtures.keys.generating(fixtures.partition)) == 0
    assert not await fixtures.redis.exists(
        *(fixtures.key(name, address) for name in ("messages", "states", "open", "draft"))
    )
    assert not {b"live", b"live_length"} & (await fixtures.hash("room", address)).keys()
    assert (await fixtures.event_types(address))[-1] == "room.deleted"
    assert (await fixtures.account_events(address))[-1] == ("room.deleted", address.room_id)
    assert (await fixtures.queued())[-1].op == "CHAT_ROOM_DELETE"


async def test_the_writer_skips_what_a_deleted_room_had_queued(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    entries = await fixtures.queued()
    assert await fixtures.begin(address, entries) == [False, True]
    await fixtures.finish(address, entries)
    assert await fixtures.room_state(address) is RoomState.DELETED
    assert not await fixtures.redis.exists(fixtures.key("states", address), fixtures.key("messages", address))
    assert await fixtures.redis.pttl(fixtures.key("room", address)) > 80_000_000


@pytest.mark.parametrize("state", [RoomState.PENDING, RoomState.PROCESSING, RoomState.ACTIVE])
async def test_a_room_is_deleted_from_every_state_that_allows_it(fixtures: CacheFixtures, state: RoomState) -> None:
    address = await fixtures.claimed()
    await fixtures.redis.hset(fixtures.key("room", address), "state", state)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    found = await fixtures.states.room_state(address.room_id)
    assert found is not None
    assert (found[0], found[1][-1].from_state) == (RoomState.DELETING, state)


async def test_a_room_that_is_being_created_is_not_deleted(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.redis.hset(fixtures.key("room", address), "state", RoomState.CREATING)
    before = await fixtures.dump()
    with pytest.raises(IllegalTransition) as refused:
        await fixtures.rooms.delete(address, CLAIM_1, "account")
    assert refused.value.extra == {"from": "CREATING", "to": "DELETING"}
    assert await fixtures.dump() == before


async def test_a_stale_owner_does_not_delete(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.claim(address.room_id, CLAIM_2)
    with pytest.raises(Fenced):
        await fixtures.rooms.delete(address, CLAIM_1, "account")


async def test_other_rooms_of_the_account_stay(fixtures: CacheFixtures) -> None:
    gone, stays = await fixtures.claimed(), await fixtures.claimed()
    await fixtures.send(stays, 0)
    await fixtures.rooms.delete(gone, CLAIM_1, "account")
    assert await fixtures.redis.zrange(fixtures.key("rooms", stays), 0, -1) == [stays.room_id.encode()]
    assert len((await fixtures.page(stays)).rows) == 2
