"""What a check reads of Redis, and the repairs of bookkeeping: planted faults are found and put right, nothing else is
touched."""

from __future__ import annotations

import pytest

from parlor.cache.audit import AuditCache, RoomSnapshot
from parlor.cache.live import RoomAddress
from parlor.states import MessageState
from tests.contract.cache.test_deletes import delete
from tests.contract.cache.world import LEASE, World

pytestmark = pytest.mark.contract


def audit(world: World) -> AuditCache:
    return AuditCache(world.live, world.prefix)


async def snapshot(world: World, address: RoomAddress) -> RoomSnapshot:
    found = await audit(world).room(address.room_id)
    assert found is not None
    return found


async def wrong(world: World, address: RoomAddress, count: int | None = None) -> set[str]:
    """Told without a repair, then repaired, then told again."""
    before = await world.dump()
    room = await snapshot(world, address)
    told = await audit(world).bookkeeping(room, count, repair=False)
    assert await world.dump() == before
    world.live.twice = False  # The second run finds nothing wrong, and has another answer.
    assert await audit(world).bookkeeping(room, count, repair=True) == told
    assert await audit(world).bookkeeping(room, count, repair=True) == set()
    world.live.twice = True
    assert told is not None
    return told


async def test_a_snapshot_has_all_that_redis_has(world: World) -> None:
    address = await world.claimed()
    first = await world.send(address, 0)
    await world.send(address, 2, reply=False)
    await delete(world, address, 3)
    room = await snapshot(world, address)
    assert room.address == address
    assert (room.title, room.state, room.seq, room.count, room.persisted) == ("A room", "PENDING", 3, 2, 0)
    assert room.pending == len(await world.queued())
    assert [place.state for place in room.places.values()] == ["PENDING", "COMPOSING", "DELETED"]
    assert [place.deleting for place in room.places.values()] == [False, False, True]
    assert room.places[1].message_id == first.message_id
    assert room.places[1].doc is not None
    assert room.seqs == {place.message_id: seq for seq, place in room.places.items()}
    assert room.open == {first.reply_id: 2}
    assert room.deadline is not None
    assert room.event == room.newest_event != ""
    assert not room.expires


async def test_a_room_that_redis_does_not_have_has_no_snapshot(world: World) -> None:
    assert await audit(world).room(world.address().room_id) is None


async def test_a_document_that_is_none_is_told_apart_from_one_that_is_missing(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 2)
    await world.redis.hset(world.key("messages", address), "d:1", b"{")
    await world.redis.hdel(world.key("messages", address), "d:2")
    room = await snapshot(world, address)
    assert (room.places[1].doc, room.places[2].doc) == (None, None)
    assert room.unreadable == [1]


async def test_every_room_is_found_and_nothing_else(world: World) -> None:
    rooms = {(await world.created(account)).room_id for account in ("ada", "bob", "eve")}
    await world.redis.hset(f"{world.prefix}:{{p{world.partition}}}:room:odd", "state", "ACTIVE")
    await world.redis.hset(f"{world.prefix}x:{{p{world.partition}}}:room:{world.address().room_id}", "state", "ACTIVE")
    assert {room async for room in audit(world).rooms()} == rooms


async def test_what_waits_is_read_in_order(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    found = await audit(world).queued(world.partition)
    assert [(one.op, one.seq, one.last_seq) for one in found] == [
        ("CHAT_ROOM_CREATE", 0, 0),
        ("CHAT_MESSAGE_SAVE", 1, 2),
        ("CHAT_MESSAGE_SAVE", 2, 2),
    ]
    assert {(one.room_id, one.account_id) for one in found} == {(address.room_id, address.account_id)}
    assert (await audit(world).partition(world.partition)).last == found[-1].position


async def test_bookkeeping_of_a_room_at_work_is_right(world: World) -> None:
    address = await world.claimed()
    first = await world.send(address, 0)
    await world.start(address, first)
    await world.send(address, 2, reply=False)
    await delete(world, address, 3)
    assert await wrong(world, address, count=2) == set()
    await world.stored(address)
    assert await wrong(world, address, count=2) == set()
    await world.complete(address, first)
    entries = await world.queued()
    await world.queue.park(LEASE, entries[0], "row-refused")
    assert await wrong(world, address, count=2) == set()


async def test_counters_are_made_to_follow_the_queue(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 2)
    room, account = world.key("room", address), world.key("account", address)
    before = await world.dump()
    await world.redis.hset(room, mapping={"pending": 7, "count": 9})
    await world.redis.hset(account, "pending", 1)
    assert await wrong(world, address, count=2) == {"pending", "account-pending", "count"}
    assert await world.dump() == before


async def test_a_count_is_left_alone_when_the_room_has_moved_since(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 1)
    room = await snapshot(world, address)
    await world.send(address, 1, reply=False)
    before = await world.dump()
    assert await audit(world).bookkeeping(room, 1, repair=True) == set()
    assert await world.dump() == before


async def test_what_has_operations_under_way_is_kept_again(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 1)
    before = await world.dump()
    for name in ("room", "states"):
        await world.redis.expire(world.key(name, address), 1000)
    assert (await snapshot(world, address)).expires
    assert await wrong(world, address) == {"expires"}
    assert await world.dump() == before


async def test_an_open_reply_that_nobody_would_find_is_found_again(world: World) -> None:
    address = await world.claimed()
    first = await world.send(address, 0)
    await world.redis.delete(world.key("open", address), world.keys.generating(world.partition))
    assert await wrong(world, address) == {"not-open", "not-generating"}
    assert (await snapshot(world, address)).open == {first.reply_id: 2}
    assert await world.reader.overdue_rooms(world.partition, 10) == [address.room_id]


async def test_a_reply_that_has_ended_is_not_swept(world: World) -> None:
    address = await world.claimed()
    first = await world.send(address, 0)
    await world.start(address, first)
    await world.complete(address, first)
    await world.redis.zadd(world.key("open", address), {str(first.reply_id): 2})
    await world.redis.zadd(world.keys.generating(world.partition), {address.room_id: 1})
    assert await wrong(world, address) == {"open", "generating"}
    room = await snapshot(world, address)
    assert (room.open, room.deadline) == ({}, None)


async def test_a_lost_save_is_queued_again_as_it_is(world: World) -> None:
    address = await world.claimed()
    (message,) = await world.sent(address, 1)
    await world.stored(address)
    room = await snapshot(world, address)
    assert await audit(world).requeue(room, "CHAT_MESSAGE_SAVE", 1, message)
    (again,) = await world.queued()
    assert (again.op, again.seq, again.final, again.last_seq, again.count) == ("CHAT_MESSAGE_SAVE", 1, True, 1, 1)
    assert again.doc == room.places[1].doc
    await world.stored(address)
    assert await world.state(address, 1) is MessageState.SENT
    assert (await world.hash("room", address))[b"pending"] == b"0"


async def test_what_moved_since_it_was_seen_is_not_queued_again(world: World) -> None:
    address = await world.claimed()
    (message,) = await world.sent(address, 1)
    await world.stored(address)
    room = await snapshot(world, address)
    await world.send(address, 1, reply=False)
    assert not await audit(world).requeue(room, "CHAT_MESSAGE_SAVE", 1, message)
    assert len(await world.queued()) == 1


async def test_a_reserved_reply_is_queued_again_as_reserved(world: World) -> None:
    address = await world.claimed()
    first = await world.send(address, 0)
    await world.stored(address)
    assert await audit(world).requeue(await snapshot(world, address), "CHAT_MESSAGE_SAVE", 2, first.reply_id)
    (again,) = await world.queued()
    assert not again.final
    await world.stored(address)
    assert await world.state(address, 2) is MessageState.COMPOSING


async def test_a_deleted_message_is_deleted_again(world: World) -> None:
    address = await world.claimed()
    (message,) = await world.sent(address, 1)
    await world.stored(address)
    await delete(world, address, 1)
    await world.stored(address)
    assert await audit(world).requeue(await snapshot(world, address), "CHAT_MESSAGE_SAVE", 1, message)
    (again,) = await world.queued()
    assert (again.op, again.seq, again.count) == ("CHAT_MESSAGE_DELETE", 1, 0)
    assert (await snapshot(world, address)).places[1].deleting
    await world.stored(address)
    assert not (await snapshot(world, address)).places[1].deleting


@pytest.mark.parametrize("op", ["CHAT_ROOM_CREATE", "CHAT_ROOM_UPDATE"])
async def test_a_rooms_own_operation_is_queued_again(world: World, op: str) -> None:
    address = await world.claimed()
    await world.rooms.rename(address, "claim-1", "Another")
    await world.stored(address)
    assert await audit(world).requeue(await snapshot(world, address), op, None, None)
    (again,) = await world.queued()
    assert (again.op, again.title, again.version) == (op, "Another", 2)
    await world.stored(address)
    assert (await world.room(address)).room.state == "ACTIVE"


async def test_a_rooms_delete_is_queued_again(world: World) -> None:
    address = await world.created()
    await world.stored(address)
    await world.rooms.delete(address, "", "account")
    await world.stored(address)
    assert await audit(world).requeue(await snapshot(world, address), "CHAT_ROOM_DELETE", None, None)
    (again,) = await world.queued()
    assert again.op == "CHAT_ROOM_DELETE"


async def test_counters_travel_with_a_row_that_is_there(world: World) -> None:
    address = await world.claimed()
    (_, message) = await world.sent(address, 2)
    await world.stored(address)
    assert await audit(world).requeue(await snapshot(world, address), "COUNTERS", 2, message)
    (again,) = await world.queued()
    assert (again.final, again.last_seq, again.count) == (False, 2, 2)
    await world.stored(address)
    assert await world.state(address, 2) is MessageState.SENT


async def test_a_room_gets_its_place_in_a_complete_list_back(world: World) -> None:
    address = await world.created()
    row = world.room_row(address)
    await world.reader.fill_list(world.partition, address.account_id, [row], first=True, complete=True)
    await world.redis.zadd(world.key("rooms", address), {world.address().room_id: 1})
    before = await audit(world).list_place(address)
    assert (before.complete, before.listed, before.pending) == (True, True, 1)
    await world.redis.zrem(world.key("rooms", address), address.room_id)
    assert not (await audit(world).list_place(address)).listed
    assert await audit(world).repair_list(address, gone=False, activity=1)
    assert (await audit(world).list_place(address)).listed
    assert not await audit(world).repair_list(address, gone=False, activity=1)


async def test_a_list_that_is_not_complete_is_left_to_its_reader(world: World) -> None:
    address = await world.created()
    await world.redis.zrem(world.key("rooms", address), address.room_id)
    assert not await audit(world).repair_list(address, gone=False, activity=1)
    assert not (await audit(world).list_place(address)).listed


async def test_a_room_that_is_gone_is_taken_out_of_the_list(world: World) -> None:
    address = await world.created()
    await world.rooms.delete(address, "", "account")
    await world.redis.zadd(world.key("rooms", address), {address.room_id: 1})
    assert await audit(world).repair_list(address, gone=False, activity=1)
    assert not (await audit(world).list_place(address)).listed
    forgotten = world.address()
    await world.redis.zadd(world.key("rooms", forgotten), {forgotten.room_id: 1})
    assert await audit(world).repair_list(forgotten, gone=True, activity=1)
    assert not (await audit(world).list_place(forgotten)).listed


async def test_an_entry_that_nobody_holds_gets_back_into_line(server_world: World) -> None:
    world = server_world
    address = await world.claimed()
    await world.sent(address, 2)
    assert await audit(world).stranded(world.partition) == []
    taken = await world.queue.new([world.partition], 2, 1)
    assert await audit(world).stranded(world.partition) == []
    create, first, _ = await world.queued()
    await world.redis.xack(world.keys.queue(world.partition), "writer", str(first.position))
    assert await audit(world).stranded(world.partition) == [first.position]
    world.live.twice = False
    assert not await audit(world).requeue_entry(world.partition, create.position)
    assert await audit(world).requeue_entry(world.partition, first.position)
    assert not await audit(world).requeue_entry(world.partition, first.position)
    assert [entry.seq for entry in await world.queued()] == [0, 2, 1]
    assert await audit(world).stranded(world.partition) == []
    assert [entry.seq for entry in await world.queue.new([world.partition], 10, 1)] == [2, 1]
    assert [entry.seq for entry in taken] == [0, 1]
