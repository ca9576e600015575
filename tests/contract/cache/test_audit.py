"""What a check reads of Redis, and its repairs: planted faults are found and put right, nothing else is touched."""

from __future__ import annotations

import pytest

from parlor.cache.audit import AuditCache, Correction, RoomSnapshot
from parlor.cache.dead_letters import DeadLetterCache
from parlor.cache.live import RoomAddress
from parlor.fsck.bookkeeping import judge_bookkeeping
from parlor.fsck.findings import Correct
from parlor.fsck.view import RoomView
from parlor.model.states import MessageState
from parlor.store.calls import NotedCalls
from tests.contract.cache.fixtures import CLAIM_1, LEASE, CacheFixtures
from tests.contract.cache.test_deletes import delete

pytestmark = pytest.mark.contract


def audit(fixtures: CacheFixtures) -> AuditCache:
    return AuditCache(fixtures.live, fixtures.prefix)


async def snapshot(fixtures: CacheFixtures, address: RoomAddress) -> RoomSnapshot:
    found = await audit(fixtures).room(address.room_id)
    assert found is not None
    return found


async def judged(fixtures: CacheFixtures, address: RoomAddress) -> dict[str, Correction | None]:
    """What is wrong with the room's bookkeeping, by kind, and how it can be corrected."""
    room, queued = await snapshot(fixtures, address), await audit(fixtures).queued(fixtures.partition)
    parked = [one.entry for one in await DeadLetterCache(fixtures.live).of_partition(fixtures.partition)]
    waiting = [(one.op, one.seq, one.last_seq) for one in queued if one.room_id == address.room_id]
    waiting += [(one.op, one.seq, one.last_seq) for one in parked if one.address.room_id == address.room_id]
    view = RoomView(
        address=address,
        cached=room,
        waiting=waiting,
        account_waiting=len(queued) + len(parked),
        stored=None,
        rows={},
        listed=await audit(fixtures).list_entry(address),
        noted=NotedCalls(),
        now_ms=fixtures.clock.ms,
    )
    found = list(judge_bookkeeping(view, room))
    return {one.kind: one.remedy.correction if isinstance(one.remedy, Correct) else None for one in found}


async def wrong(fixtures: CacheFixtures, address: RoomAddress) -> set[str]:
    """Judged, compared without a change, then corrected, then judged again."""
    found, before = await judged(fixtures, address), await fixtures.dump()
    corrections = [correction for correction in found.values() if correction is not None]
    assert len(corrections) == len(found)
    for correction in corrections:
        assert await audit(fixtures).correct(address, correction, apply=False)
    assert await fixtures.dump() == before
    for correction in corrections:
        assert await audit(fixtures).correct(address, correction, apply=True)
    assert await judged(fixtures, address) == {}
    return set(found)


async def test_a_snapshot_has_all_that_redis_has(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first = await fixtures.send(address, 0)
    await fixtures.send(address, 2, reply=False)
    await delete(fixtures, address, 3)
    room = await snapshot(fixtures, address)
    assert room.address == address
    assert (room.title, room.state, room.seq, room.count, room.persisted) == ("A room", "PENDING", 3, 2, 0)
    assert room.pending == len(await fixtures.queued())
    assert [slot.state for slot in room.slots.values()] == ["PENDING", "COMPOSING", "DELETED"]
    assert [slot.deleting for slot in room.slots.values()] == [False, False, True]
    assert room.slots[1].message_id == first.message_id
    assert room.slots[1].doc is not None
    assert room.seqs == {slot.message_id: seq for seq, slot in room.slots.items()}
    assert room.open == {first.reply_id: 2}
    assert room.deadline is not None
    assert room.event == room.newest_event != ""
    assert not room.expires


async def test_a_room_that_redis_does_not_have_has_no_snapshot(fixtures: CacheFixtures) -> None:
    assert await audit(fixtures).room(fixtures.address().room_id) is None


async def test_a_document_that_is_none_is_told_apart_from_one_that_is_missing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    await fixtures.redis.hset(fixtures.key("messages", address), "d:1", b"{")
    await fixtures.redis.hdel(fixtures.key("messages", address), "d:2")
    room = await snapshot(fixtures, address)
    assert (room.slots[1].doc, room.slots[2].doc) == (None, None)
    assert room.unreadable == [1]


async def test_every_room_is_found_and_nothing_else(fixtures: CacheFixtures) -> None:
    rooms = {(await fixtures.created(account)).room_id for account in ("ada", "bob", "eve")}
    await fixtures.redis.hset(f"{fixtures.prefix}:{{p{fixtures.partition}}}:room:odd", "state", "ACTIVE")
    await fixtures.redis.hset(
        f"{fixtures.prefix}x:{{p{fixtures.partition}}}:room:{fixtures.address().room_id}", "state", "ACTIVE"
    )
    assert {room async for room in audit(fixtures).rooms()} == rooms


async def test_what_waits_is_read_in_order(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    found = await audit(fixtures).queued(fixtures.partition)
    assert [(one.op, one.seq, one.last_seq) for one in found] == [
        ("CHAT_ROOM_CREATE", 0, 0),
        ("CHAT_MESSAGE_SAVE", 1, 2),
        ("CHAT_MESSAGE_SAVE", 2, 2),
    ]
    assert {(one.room_id, one.account_id) for one in found} == {(address.room_id, address.account_id)}
    assert (await audit(fixtures).partition(fixtures.partition)).last == found[-1].position


async def test_bookkeeping_of_a_room_at_work_is_right(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first = await fixtures.send(address, 0)
    await fixtures.start(address, first)
    await fixtures.send(address, 2, reply=False)
    await delete(fixtures, address, 3)
    assert await wrong(fixtures, address) == set()
    await fixtures.stored(address)
    assert await wrong(fixtures, address) == set()
    await fixtures.complete(address, first)
    entries = await fixtures.queued()
    await fixtures.queue.park(LEASE, entries[0], "row-refused")
    assert await wrong(fixtures, address) == set()


async def test_counters_are_made_to_follow_the_queue(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    room, account = fixtures.key("room", address), fixtures.key("account", address)
    before = await fixtures.dump()
    await fixtures.redis.hset(room, mapping={"pending": 7, "count": 9})
    await fixtures.redis.hset(account, "pending", 1)
    assert await wrong(fixtures, address) == {"pending", "account-pending", "count"}
    assert await fixtures.dump() == before


async def test_a_correction_is_void_when_the_room_has_moved_since(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 1)
    await fixtures.redis.hset(fixtures.key("room", address), mapping={"pending": 7, "count": 9})
    found = await judged(fixtures, address)
    assert set(found) == {"count", "pending"}
    await fixtures.send(address, 1, reply=False)
    before = await fixtures.dump()
    for correction in found.values():
        assert correction is not None
        assert await audit(fixtures).correct(address, correction, apply=True) is False
    assert await fixtures.dump() == before


async def test_a_counter_that_stayed_while_its_queue_moved_is_not_corrected(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    await fixtures.redis.hset(fixtures.key("room", address), "pending", 0)
    correction = (await judged(fixtures, address))["pending"]
    assert correction is not None
    await fixtures.stored(address)
    assert (await fixtures.hash("room", address))[b"pending"] == b"0"
    assert await audit(fixtures).correct(address, correction, apply=True) is False
    assert (await fixtures.hash("room", address))[b"pending"] == b"0"


async def test_a_room_that_is_gone_is_not_corrected(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    await fixtures.redis.hset(fixtures.key("room", address), "pending", 7)
    correction = (await judged(fixtures, address))["pending"]
    assert correction is not None
    await fixtures.operators.delete_room(address, "operator")
    before = await fixtures.dump()
    assert await audit(fixtures).correct(address, correction, apply=True) is False
    assert await audit(fixtures).correct(fixtures.address(), correction, apply=True) is False
    assert await fixtures.dump() == before


async def test_more_than_may_be_counted_is_left_alone(fixtures: CacheFixtures, monkeypatch: pytest.MonkeyPatch) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    await fixtures.redis.hset(fixtures.key("room", address), mapping={"pending": 7, "count": 9})
    found, before = await judged(fixtures, address), await fixtures.dump()
    monkeypatch.setattr("parlor.cache.audit.COUNT_LIMIT", 2)
    assert found["pending"] is not None
    assert await audit(fixtures).correct(address, found["pending"], apply=True) is None
    assert await fixtures.dump() == before
    assert found["count"] is not None
    assert await audit(fixtures).correct(address, found["count"], apply=True), "it takes no counting"


async def test_what_has_operations_under_way_is_kept_again(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 1)
    before = await fixtures.dump()
    for name in ("room", "states"):
        await fixtures.redis.expire(fixtures.key(name, address), 1000)
    assert (await snapshot(fixtures, address)).expires
    assert await wrong(fixtures, address) == {"expires"}
    assert await fixtures.dump() == before


async def test_an_open_reply_that_nobody_would_find_is_found_again(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first = await fixtures.send(address, 0)
    await fixtures.redis.delete(fixtures.key("open", address), fixtures.keys.generating(fixtures.partition))
    assert await wrong(fixtures, address) == {"not-open", "not-generating"}
    assert (await snapshot(fixtures, address)).open == {first.reply_id: 2}
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == [address.room_id]


async def test_a_reply_that_has_ended_is_not_swept(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first = await fixtures.send(address, 0)
    await fixtures.start(address, first)
    await fixtures.complete(address, first)
    await fixtures.redis.zadd(fixtures.key("open", address), {str(first.reply_id): 2})
    await fixtures.redis.zadd(fixtures.keys.generating(fixtures.partition), {address.room_id: 1})
    assert await wrong(fixtures, address) == {"open", "generating"}
    room = await snapshot(fixtures, address)
    assert (room.open, room.deadline) == ({}, None)


async def test_a_lost_save_is_queued_again_as_it_is(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    (message,) = await fixtures.sent(address, 1)
    await fixtures.stored(address)
    room = await snapshot(fixtures, address)
    assert await audit(fixtures).requeue(room, "CHAT_MESSAGE_SAVE", 1, message)
    (again,) = await fixtures.queued()
    assert (again.op, again.seq, again.final, again.last_seq, again.count) == ("CHAT_MESSAGE_SAVE", 1, True, 1, 1)
    assert again.doc == room.slots[1].doc
    await fixtures.stored(address)
    assert await fixtures.state(address, 1) is MessageState.SENT
    assert (await fixtures.hash("room", address))[b"pending"] == b"0"


async def test_what_moved_since_it_was_seen_is_not_queued_again(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    (message,) = await fixtures.sent(address, 1)
    await fixtures.stored(address)
    room = await snapshot(fixtures, address)
    await fixtures.send(address, 1, reply=False)
    assert not await audit(fixtures).requeue(room, "CHAT_MESSAGE_SAVE", 1, message)
    assert len(await fixtures.queued()) == 1


async def test_a_reserved_reply_is_queued_again_as_reserved(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first = await fixtures.send(address, 0)
    await fixtures.stored(address)
    assert await audit(fixtures).requeue(await snapshot(fixtures, address), "CHAT_MESSAGE_SAVE", 2, first.reply_id)
    (again,) = await fixtures.queued()
    assert not again.final
    await fixtures.stored(address)
    assert await fixtures.state(address, 2) is MessageState.COMPOSING


async def test_a_deleted_message_is_deleted_again(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    (message,) = await fixtures.sent(address, 1)
    await fixtures.stored(address)
    await delete(fixtures, address, 1)
    await fixtures.stored(address)
    assert await audit(fixtures).requeue(await snapshot(fixtures, address), "CHAT_MESSAGE_SAVE", 1, message)
    (again,) = await fixtures.queued()
    assert (again.op, again.seq, again.count) == ("CHAT_MESSAGE_DELETE", 1, 0)
    assert (await snapshot(fixtures, address)).slots[1].deleting
    await fixtures.stored(address)
    assert not (await snapshot(fixtures, address)).slots[1].deleting


@pytest.mark.parametrize("op", ["CHAT_ROOM_CREATE", "CHAT_ROOM_UPDATE"])
async def test_a_rooms_own_operation_is_queued_again(fixtures: CacheFixtures, op: str) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.update(address, CLAIM_1, "Another", None)
    await fixtures.stored(address)
    assert await audit(fixtures).requeue(await snapshot(fixtures, address), op, None, None)
    (again,) = await fixtures.queued()
    assert (again.op, again.title, again.version) == (op, "Another", 2)
    await fixtures.stored(address)
    assert (await fixtures.room(address)).room.state == "ACTIVE"


async def test_a_rooms_delete_is_queued_again(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    await fixtures.stored(address)
    await fixtures.operators.delete_room(address, "operator")
    await fixtures.stored(address)
    assert await audit(fixtures).requeue(await snapshot(fixtures, address), "CHAT_ROOM_DELETE", None, None)
    (again,) = await fixtures.queued()
    assert again.op == "CHAT_ROOM_DELETE"


async def test_counters_travel_with_a_row_that_is_there(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    (_, message) = await fixtures.sent(address, 2)
    await fixtures.stored(address)
    assert await audit(fixtures).requeue(await snapshot(fixtures, address), "COUNTERS", 2, message)
    (again,) = await fixtures.queued()
    assert (again.final, again.last_seq, again.count) == (False, 2, 2)
    await fixtures.stored(address)
    assert await fixtures.state(address, 2) is MessageState.SENT


async def test_a_room_gets_back_into_a_complete_list(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    row = fixtures.room_row(address)
    await fixtures.reader.fill_list(fixtures.partition, address.account_id, [row], first=True, complete=True)
    await fixtures.redis.zadd(fixtures.key("rooms", address), {fixtures.address().room_id: 1})
    before = await audit(fixtures).list_entry(address)
    assert (before.complete, before.listed, before.pending) == (True, True, 1)
    await fixtures.redis.zrem(fixtures.key("rooms", address), address.room_id)
    assert not (await audit(fixtures).list_entry(address)).listed
    assert await audit(fixtures).repair_list(address, gone=False, activity=1)
    assert (await audit(fixtures).list_entry(address)).listed
    assert not await audit(fixtures).repair_list(address, gone=False, activity=1)


async def test_a_list_that_is_not_complete_is_left_to_its_reader(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    await fixtures.redis.zrem(fixtures.key("rooms", address), address.room_id)
    assert not await audit(fixtures).repair_list(address, gone=False, activity=1)
    assert not (await audit(fixtures).list_entry(address)).listed


async def test_a_room_that_is_gone_is_taken_out_of_the_list(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    await fixtures.operators.delete_room(address, "operator")
    await fixtures.redis.zadd(fixtures.key("rooms", address), {address.room_id: 1})
    assert await audit(fixtures).repair_list(address, gone=False, activity=1)
    assert not (await audit(fixtures).list_entry(address)).listed
    forgotten = fixtures.address()
    await fixtures.redis.zadd(fixtures.key("rooms", forgotten), {forgotten.room_id: 1})
    assert await audit(fixtures).repair_list(forgotten, gone=True, activity=1)
    assert not (await audit(fixtures).list_entry(forgotten)).listed


async def test_a_stranded_entry_gets_back_into_its_queue(server_fixtures: CacheFixtures) -> None:
    fixtures = server_fixtures
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    assert await audit(fixtures).stranded(fixtures.partition) == []
    taken = await fixtures.queue.new([fixtures.partition], 2, 1)
    assert await audit(fixtures).stranded(fixtures.partition) == []
    create, first, _ = await fixtures.queued()
    await fixtures.redis.xack(fixtures.keys.queue(fixtures.partition), "writer", str(first.position))
    assert await audit(fixtures).stranded(fixtures.partition) == [first.position]
    fixtures.live.twice = False
    assert not await audit(fixtures).requeue_entry(fixtures.partition, create.position)
    assert await audit(fixtures).requeue_entry(fixtures.partition, first.position)
    assert not await audit(fixtures).requeue_entry(fixtures.partition, first.position)
    assert [entry.seq for entry in await fixtures.queued()] == [0, 2, 1]
    assert await audit(fixtures).stranded(fixtures.partition) == []
    assert [entry.seq for entry in await fixtures.queue.new([fixtures.partition], 10, 1)] == [2, 1]
    assert [entry.seq for entry in taken] == [0, 1]
