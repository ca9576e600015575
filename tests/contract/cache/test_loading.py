"""load_room: a room comes back from its shard, and nothing that Redis knows is overwritten."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.cache.queue import decode_entry
from parlor.cache.reads import QueueTail
from parlor.errors import OutOfStep, PartitionUnknown
from parlor.model.cursors import EPOCH
from parlor.model.states import MessageState, RoomState
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, NOW, CacheFixtures

pytestmark = pytest.mark.contract


async def test_a_room_comes_back_with_the_newest_of_its_messages(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    tail = [fixtures.message_row(seq, deleted=seq == 8) for seq in (7, 8, 9)]
    await fixtures.rooms.load(address, fixtures.room_row(address, 9, activity=NOW - 5), tail, 9, 1)
    room = await fixtures.room(address)
    assert (room.account_id, room.last_seq, room.room.persisted_seq) == ("ada", 9, 9)
    assert (room.room.title, room.room.state, room.room.last_message_at) == ("Stored", RoomState.ACTIVE, NOW - 5)
    page = await fixtures.page(address, limit=4)
    assert [(row.seq, row.state, row.doc) for row in page.rows] == [
        (6, None, None),
        (7, MessageState.SENT, tail[0].doc),
        (8, MessageState.DELETED, tail[1].doc),
        (9, MessageState.SENT, tail[2].doc),
    ]
    assert await fixtures.states.find_message(address.room_id, tail[0].doc.message_id) == 7
    dumped = await fixtures.dump()
    assert all(dumped[fixtures.key(name, address)][1] for name in ("room", "states", "messages"))


async def test_a_room_without_messages_comes_back(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    await fixtures.rooms.load(address, fixtures.room_row(address), [], 0, 1)
    room = await fixtures.room(address)
    assert (room.last_seq, room.room.last_message_at) == (0, None)
    await fixtures.claim(address.room_id, CLAIM_1)
    assert (await fixtures.send(address, 0)).seq == 1


async def test_a_room_that_is_here_is_left_alone(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    before = await fixtures.dump()
    await fixtures.rooms.load(address, fixtures.room_row(address, 9), [fixtures.message_row(9)], 9, 1)
    assert await fixtures.dump() == before


async def test_a_room_that_is_being_deleted_does_not_come_back(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    await fixtures.rooms.load(address, fixtures.room_row(address), [], 0, 1)
    assert await fixtures.room_state(address) is RoomState.DELETING


async def test_nothing_is_loaded_into_an_unknown_partition(fixtures: CacheFixtures) -> None:
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    address = fixtures.address()
    before = await fixtures.dump()
    with pytest.raises(PartitionUnknown):
        await fixtures.rooms.load(address, fixtures.room_row(address), [], 0, 1)
    assert await fixtures.dump() == before


async def test_a_reply_whose_end_never_came_is_open_again(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    rows = [fixtures.message_row(1), fixtures.message_row(2, version=0), fixtures.message_row(3)]
    await fixtures.rooms.load(address, fixtures.room_row(address, 3), rows, 3, 1)
    assert await fixtures.state(address, 2) is MessageState.COMPOSING
    claimed = await fixtures.claim(address.room_id, CLAIM_1)
    assert claimed is not None
    assert claimed.open_replies == [rows[1].doc.message_id]


async def test_a_reopened_reply_finds_an_owner_without_anybody_asking(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    rows = [fixtures.message_row(1), fixtures.message_row(2, version=0)]
    await fixtures.rooms.load(address, fixtures.room_row(address, 2), rows, 2, 1)
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == [address.room_id]


async def test_a_room_whose_replies_have_ended_is_not_overdue(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    await fixtures.rooms.load(address, fixtures.room_row(address, 1), [fixtures.message_row(1)], 1, 1)
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == []


async def test_the_watermark_stays_below_a_reopened_reply(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    rows = [fixtures.message_row(1), fixtures.message_row(2, version=0), fixtures.message_row(3)]
    await fixtures.rooms.load(address, fixtures.room_row(address, 3), rows, 3, 1)
    assert (await fixtures.room(address)).room.persisted_seq == 1
    await fixtures.claim(address.room_id, CLAIM_1)
    await fixtures.rooms.start_attempt(address, CLAIM_1, rows[1].doc.message_id, 2, 1)
    await fixtures.rooms.complete_reply(
        address, CLAIM_1, 2, structs.replace(rows[1].doc, version=1), "message.completed"
    )
    await fixtures.stored(address)
    assert (await fixtures.room(address)).room.persisted_seq == 3


async def test_what_the_queue_had_more_counts_for_the_seq_and_joins_the_watermark(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 3)
    entries = await fixtures.queued()
    await fixtures.forget(address.room_id)
    assert (await fixtures.reader.queue_tail(address.room_id)).last_seq == 3
    await fixtures.rooms.load(address, fixtures.room_row(address, 1), [fixtures.message_row(1)], 3, 1)
    room = await fixtures.room(address)
    assert (room.last_seq, room.room.persisted_seq) == (3, 1)
    await fixtures.begin(address, entries)
    await fixtures.finish(address, entries)
    assert (await fixtures.room(address)).room.persisted_seq == 3
    assert await fixtures.states.find_message(address.room_id, entries[-1].message_id or fixtures.message_id()) == 3
    assert (await fixtures.hash("room", address))[b"pending"] == b"0"


async def test_a_reserved_reply_that_was_only_queued_is_open_once_it_is_stored(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.forget(address.room_id)
    await fixtures.rooms.load(address, fixtures.room_row(address), [], 2, 1)
    await fixtures.stored(address)
    assert await fixtures.state(address, 1) is MessageState.SENT
    assert await fixtures.state(address, 2) is MessageState.COMPOSING
    assert (await fixtures.room(address)).room.persisted_seq == 1
    fixtures.clock.ms += 10_000
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == [address.room_id]
    claimed = await fixtures.claim(address.room_id, CLAIM_2)
    assert claimed is not None
    assert claimed.open_replies == [turn.reply_id]


@pytest.mark.parametrize("reserved_is_stored", [False, True])
async def test_a_reply_whose_end_was_queued_is_not_open_once_it_is_stored(
    fixtures: CacheFixtures, reserved_is_stored: bool
) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    await fixtures.complete(address, turn)
    await fixtures.forget(address.room_id)
    rows = [fixtures.message_row(1), fixtures.message_row(2, version=0)]
    if reserved_is_stored:
        # With the message's own id, as the shard has it.
        rows[1] = structs.replace(rows[1], doc=structs.replace(rows[1].doc, message_id=turn.reply_id))
    loaded = rows if reserved_is_stored else []
    await fixtures.rooms.load(address, fixtures.room_row(address, len(loaded)), loaded, 2, 1)
    await fixtures.stored(address)
    assert await fixtures.state(address, 2) is MessageState.SENT
    assert (await fixtures.room(address)).room.persisted_seq == 2
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == []
    claimed = await fixtures.claim(address.room_id, CLAIM_2)
    assert claimed is not None
    assert claimed.open_replies == []


async def test_the_queue_tail_is_the_rooms_own(fixtures: CacheFixtures) -> None:
    one, other = await fixtures.claimed(), await fixtures.claimed()
    await fixtures.send(one, 0)
    await fixtures.send(other, 0, reply=False)
    assert (await fixtures.reader.queue_tail(one.room_id)).last_seq == 2
    assert (await fixtures.reader.queue_tail(other.room_id)).last_seq == 1
    assert (await fixtures.reader.queue_tail(fixtures.address().room_id)).last_seq == 0


async def test_the_queue_tail_has_the_count_after_the_newest_operation(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first, *_ = await fixtures.sent(address, 3)
    assert await fixtures.reader.queue_tail(address.room_id) == QueueTail(3, 3)
    await fixtures.operators.delete_message(address, 1, fixtures.doc(message_id=first), stored=False, by="operator")
    assert await fixtures.reader.queue_tail(address.room_id) == QueueTail(3, 2)
    assert await fixtures.reader.queue_tail(fixtures.address().room_id) == QueueTail(0, None)


async def test_a_room_that_was_read_before_redis_was_lost_is_not_loaded(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    await fixtures.live.init_partition(fixtures.partition, 2)
    with pytest.raises(OutOfStep):
        await fixtures.rooms.load(address, fixtures.room_row(address, 1), [fixtures.message_row(1)], 1, 1)
    assert await fixtures.reader.room(address.room_id) is None


async def test_a_state_that_outlived_its_room_is_the_newer_one(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0, reply=False)
    await fixtures.stored(address)
    await fixtures.states.transition_message(address.room_id, 1, None, MessageState.DELETING, "account")
    await fixtures.redis.delete(fixtures.key("room", address))
    await fixtures.rooms.load(address, fixtures.room_row(address, 1), [fixtures.message_row(1)], 1, 1)
    assert await fixtures.state(address, 1) is MessageState.DELETING
    assert await fixtures.states.find_message(address.room_id, turn.message_id) == 1


async def test_a_loaded_room_trims_from_where_its_tail_begins(fixtures: CacheFixtures) -> None:
    fixtures.live.twice = False
    address = fixtures.address()
    rows = [fixtures.message_row(seq) for seq in range(9_951, 10_001)]
    await fixtures.rooms.load(address, fixtures.room_row(address, 10_000), rows, 10_000, 1)
    await fixtures.claim(address.room_id, CLAIM_1)
    for after in range(10_000, 10_010):
        await fixtures.send(address, after, reply=False)
    await fixtures.stored(address)
    docs = sorted(int(name[2:]) for name in await fixtures.hash("messages", address))
    assert docs == list(range(9_961, 10_011))


async def test_cursors_from_before_a_room_was_loaded_are_known_to_miss_something(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    before = await fixtures.reader.room_log(address.room_id)
    await fixtures.forget(address.room_id)
    fixtures.clock.ms += 1000
    await fixtures.rooms.load(address, fixtures.room_row(address, 2), [], 2, 1)
    position = await fixtures.reader.room_log(address.room_id)
    assert before is not None
    assert position is not None
    assert position.start == position.last == f"{NOW + 1000}-{EPOCH}"
    assert before.last < position.start


async def test_every_field_of_an_entry_comes_back_from_the_queue(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    ((entry_id, fields), *_) = await fixtures.entries(fixtures.keys.queue(fixtures.partition), "1-2")
    entry = decode_entry(fixtures.partition, entry_id, fields)
    assert (entry.address, entry.partition, entry.raw) == (address, fixtures.partition, fields)
