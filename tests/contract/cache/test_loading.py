"""load_room: a room comes back from its shard, and nothing that Redis knows is overwritten."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.cache.queue import decode_entry
from parlor.cache.reads import QueueTail
from parlor.errors import OutOfStep, PartitionUnknown
from parlor.states import MessageState, RoomState
from tests.contract.cache.world import NOW, World

pytestmark = pytest.mark.contract


async def test_a_room_comes_back_with_the_newest_of_its_messages(world: World) -> None:
    address = world.address()
    tail = [world.message_row(seq, deleted=seq == 8) for seq in (7, 8, 9)]
    await world.rooms.load(address, world.room_row(address, 9, activity=NOW - 5), tail, 9, 1)
    room = await world.room(address)
    assert (room.account_id, room.last_seq, room.room.persisted_seq) == ("ada", 9, 9)
    assert (room.room.title, room.room.state, room.room.last_message_at) == ("Stored", RoomState.ACTIVE, NOW - 5)
    page = await world.page(address, limit=4)
    assert [(row.seq, row.state, row.doc) for row in page.rows] == [
        (6, None, None),
        (7, MessageState.SENT, tail[0].doc),
        (8, MessageState.DELETED, tail[1].doc),
        (9, MessageState.SENT, tail[2].doc),
    ]
    assert await world.states.find_message(address.room_id, tail[0].doc.message_id) == 7
    dumped = await world.dump()
    assert all(dumped[world.key(name, address)][1] for name in ("room", "states", "messages"))


async def test_a_room_without_messages_comes_back(world: World) -> None:
    address = world.address()
    await world.rooms.load(address, world.room_row(address), [], 0, 1)
    room = await world.room(address)
    assert (room.last_seq, room.room.last_message_at) == (0, None)
    await world.rooms.claim(address.room_id, "claim-1")
    assert (await world.send(address, 0)).seq == 1


async def test_a_room_that_is_here_is_left_alone(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    before = await world.dump()
    await world.rooms.load(address, world.room_row(address, 9), [world.message_row(9)], 9, 1)
    assert await world.dump() == before


async def test_a_room_that_is_being_deleted_does_not_come_back(world: World) -> None:
    address = await world.claimed()
    await world.rooms.delete(address, "claim-1", "account")
    await world.rooms.load(address, world.room_row(address), [], 0, 1)
    assert await world.room_state(address) is RoomState.DELETING


async def test_nothing_is_loaded_into_an_unknown_partition(world: World) -> None:
    await world.redis.delete(world.keys.partition(world.partition))
    address = world.address()
    before = await world.dump()
    with pytest.raises(PartitionUnknown):
        await world.rooms.load(address, world.room_row(address), [], 0, 1)
    assert await world.dump() == before


async def test_a_reply_whose_end_never_came_is_open_again(world: World) -> None:
    address = world.address()
    rows = [world.message_row(1), world.message_row(2, version=0), world.message_row(3)]
    await world.rooms.load(address, world.room_row(address, 3), rows, 3, 1)
    assert await world.state(address, 2) is MessageState.COMPOSING
    claimed = await world.rooms.claim(address.room_id, "claim-1")
    assert claimed is not None
    assert claimed.open_replies == [(rows[1].doc.message_id, 1)]


async def test_a_reopened_reply_finds_an_owner_without_anybody_asking(world: World) -> None:
    address = world.address()
    rows = [world.message_row(1), world.message_row(2, version=0)]
    await world.rooms.load(address, world.room_row(address, 2), rows, 2, 1)
    assert await world.reader.overdue_rooms(world.partition, 10) == [address.room_id]


async def test_a_room_whose_replies_have_ended_is_not_overdue(world: World) -> None:
    address = world.address()
    await world.rooms.load(address, world.room_row(address, 1), [world.message_row(1)], 1, 1)
    assert await world.reader.overdue_rooms(world.partition, 10) == []


async def test_the_watermark_stays_below_a_reopened_reply(world: World) -> None:
    address = world.address()
    rows = [world.message_row(1), world.message_row(2, version=0), world.message_row(3)]
    await world.rooms.load(address, world.room_row(address, 3), rows, 3, 1)
    assert (await world.room(address)).room.persisted_seq == 1
    await world.rooms.claim(address.room_id, "claim-1")
    await world.rooms.start_attempt(address, "claim-1", rows[1].doc.message_id, 2, 1)
    await world.rooms.complete_reply(
        address, "claim-1", 2, structs.replace(rows[1].doc, version=1), "message.completed"
    )
    await world.stored(address)
    assert (await world.room(address)).room.persisted_seq == 3


async def test_what_the_queue_had_more_counts_for_the_seq_and_joins_the_watermark(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 3)
    entries = await world.queued()
    await world.forget(address.room_id)
    assert (await world.reader.queue_tail(address.room_id)).last_seq == 3
    await world.rooms.load(address, world.room_row(address, 1), [world.message_row(1)], 3, 1)
    room = await world.room(address)
    assert (room.last_seq, room.room.persisted_seq) == (3, 1)
    await world.begin(address, entries)
    await world.finish(address, entries)
    assert (await world.room(address)).room.persisted_seq == 3
    assert await world.states.find_message(address.room_id, entries[-1].message_id or world.message_id()) == 3
    assert (await world.hash("room", address))[b"pending"] == b"0"


async def test_a_reserved_reply_that_was_only_queued_is_open_once_it_is_stored(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.forget(address.room_id)
    await world.rooms.load(address, world.room_row(address), [], 2, 1)
    await world.stored(address)
    assert await world.state(address, 1) is MessageState.SENT
    assert await world.state(address, 2) is MessageState.COMPOSING
    assert (await world.room(address)).room.persisted_seq == 1
    world.clock.now += 10_000
    assert await world.reader.overdue_rooms(world.partition, 10) == [address.room_id]
    claimed = await world.rooms.claim(address.room_id, "claim-2")
    assert claimed is not None
    assert claimed.open_replies == [(turn.reply_id, 1)]


@pytest.mark.parametrize("reserved_is_stored", [False, True])
async def test_a_reply_whose_end_was_queued_is_not_open_once_it_is_stored(
    world: World, reserved_is_stored: bool
) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.start(address, turn)
    await world.complete(address, turn)
    await world.forget(address.room_id)
    rows = [world.message_row(1), world.message_row(2, version=0)]
    if reserved_is_stored:
        # With the message's own id, as the shard has it.
        rows[1] = structs.replace(rows[1], doc=structs.replace(rows[1].doc, message_id=turn.reply_id))
    loaded = rows if reserved_is_stored else []
    await world.rooms.load(address, world.room_row(address, len(loaded)), loaded, 2, 1)
    await world.stored(address)
    assert await world.state(address, 2) is MessageState.SENT
    assert (await world.room(address)).room.persisted_seq == 2
    assert await world.reader.overdue_rooms(world.partition, 10) == []
    claimed = await world.rooms.claim(address.room_id, "claim-2")
    assert claimed is not None
    assert claimed.open_replies == []


async def test_the_queue_tail_is_the_rooms_own(world: World) -> None:
    one, other = await world.claimed(), await world.claimed()
    await world.send(one, 0)
    await world.send(other, 0, reply=False)
    assert (await world.reader.queue_tail(one.room_id)).last_seq == 2
    assert (await world.reader.queue_tail(other.room_id)).last_seq == 1
    assert (await world.reader.queue_tail(world.address().room_id)).last_seq == 0


async def test_the_queue_tail_has_the_count_after_the_newest_operation(world: World) -> None:
    address = await world.claimed()
    first, *_ = await world.sent(address, 3)
    assert await world.reader.queue_tail(address.room_id) == QueueTail(3, 3)
    await world.states.delete_message(address, "", 1, world.doc(message_id=first), stored=False, by="account")
    assert await world.reader.queue_tail(address.room_id) == QueueTail(3, 2)
    assert await world.reader.queue_tail(world.address().room_id) == QueueTail(0, None)


async def test_a_room_that_was_read_before_redis_was_lost_is_not_loaded(world: World) -> None:
    address = world.address()
    await world.live.init_partition(world.partition, 2)
    with pytest.raises(OutOfStep):
        await world.rooms.load(address, world.room_row(address, 1), [world.message_row(1)], 1, 1)
    assert await world.reader.room(address.room_id) is None


async def test_a_state_that_outlived_its_room_is_the_newer_one(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0, reply=False)
    await world.stored(address)
    await world.states.transition_message(address.room_id, 1, None, MessageState.DELETING, "account")
    await world.redis.delete(world.key("room", address))
    await world.rooms.load(address, world.room_row(address, 1), [world.message_row(1)], 1, 1)
    assert await world.state(address, 1) is MessageState.DELETING
    assert await world.states.find_message(address.room_id, turn.message_id) == 1


async def test_a_loaded_room_trims_from_where_its_tail_begins(world: World) -> None:
    world.live.twice = False
    address = world.address()
    rows = [world.message_row(seq) for seq in range(9_951, 10_001)]
    await world.rooms.load(address, world.room_row(address, 10_000), rows, 10_000, 1)
    await world.rooms.claim(address.room_id, "claim-1")
    for after in range(10_000, 10_010):
        await world.send(address, after, reply=False)
    await world.stored(address)
    docs = sorted(int(name[2:]) for name in await world.hash("messages", address))
    assert docs == list(range(9_961, 10_011))


async def test_cursors_from_before_a_room_was_loaded_are_known_to_miss_something(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    before = await world.reader.room_log(address.room_id)
    await world.forget(address.room_id)
    world.clock.now += 1000
    await world.rooms.load(address, world.room_row(address, 2), [], 2, 1)
    position = await world.reader.room_log(address.room_id)
    assert before is not None
    assert position is not None
    assert position.start == position.last == f"{NOW + 1000}-0"
    assert before.last < position.start


async def test_every_field_of_an_entry_comes_back_from_the_queue(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    ((entry_id, fields), *_) = await world.entries(world.keys.queue(world.partition), "1-2")
    entry = decode_entry(world.partition, entry_id, fields)
    assert (entry.address, entry.partition, entry.raw) == (address, world.partition, fields)
