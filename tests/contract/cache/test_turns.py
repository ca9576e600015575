"""append_turn: one order without holes, everything or nothing, and never twice (I1, I2)."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.errors import (
    IdempotencyMismatch,
    OutOfStep,
    Overloaded,
    RoomBusy,
    RoomNotActive,
)
from parlor.model.states import SENDABLE, MessageState, RoomState
from tests.contract.cache.fixtures import CLAIM_1, NOW, CacheFixtures
from tests.contract.cache.test_creation import fill_queue

pytestmark = pytest.mark.contract


async def test_a_turn_is_in_the_cache_the_states_the_queue_and_the_events(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.stored(address)
    turn = fixtures.turn("Hello", urgent=True)
    assert turn.reply is not None
    fixtures.clock.ms += 10
    appended = await fixtures.rooms.append(address, CLAIM_1, 0, turn)
    assert (appended.seq, appended.duplicate) == (1, False)
    assert (appended.message_id, appended.reply_id) == (turn.message.message_id, turn.reply.message_id)
    assert await fixtures.states.message_doc(address.room_id, 1) == turn.message
    assert await fixtures.states.message_doc(address.room_id, 2) == turn.reply
    assert await fixtures.state(address, 1) is MessageState.PENDING
    assert await fixtures.state(address, 2) is MessageState.COMPOSING
    assert await fixtures.states.find_message(address.room_id, turn.reply.message_id) == 2
    first, second = await fixtures.queued()
    assert (first.op, first.seq, first.doc, first.final, first.urgent) == (
        "CHAT_MESSAGE_SAVE",
        1,
        turn.message,
        True,
        True,
    )
    assert (second.op, second.seq, second.doc, second.final, second.urgent) == (
        "CHAT_MESSAGE_SAVE",
        2,
        turn.reply,
        False,
        False,
    )
    assert {(entry.last_seq, entry.count, entry.at) for entry in (first, second)} == {(2, 2, NOW + 10)}
    created = await fixtures.events(address, appended.cursor)
    assert [(event[b"type"], event[b"seq"], event[b"state"]) for event in created] == [
        (b"message.created", b"1", b"PENDING"),
        (b"message.created", b"2", b"COMPOSING"),
    ]
    room = await fixtures.room(address)
    assert (room.last_seq, room.room.message_count, room.room.last_message_at) == (2, 2, NOW + 10)
    assert ("room.updated", address.room_id) in await fixtures.account_events(address)
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == []
    fixtures.clock.ms += 5001
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == [address.room_id]


async def test_seq_is_contiguous_with_and_without_replies(fixtures: CacheFixtures) -> None:
    address, last, seqs = await fixtures.claimed(), 0, []
    for number in range(12):
        appended = await fixtures.send(address, last, reply=number % 3 != 0)
        seqs.append(appended.seq)
        last = appended.seq + (1 if appended.reply_id else 0)
    assert [row.seq for row in (await fixtures.page(address)).rows] == list(range(1, last + 1))
    assert all(row.doc is not None for row in (await fixtures.page(address)).rows)
    entries = [entry for entry in await fixtures.queued() if entry.op == "CHAT_MESSAGE_SAVE"]
    assert [entry.seq for entry in entries] == list(range(1, last + 1))
    assert [entry.position.number for entry in await fixtures.queued()] == list(range(1, last + 2))


async def test_a_message_without_a_reply_leaves_the_room_quiet(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    appended = await fixtures.send(address, 0, reply=False)
    assert appended.reply_id is None
    assert await fixtures.redis.zcard(fixtures.keys.generating(fixtures.partition)) == 0
    assert (await fixtures.room(address)).last_seq == 1


@pytest.mark.parametrize("expected", [0, 1, 3, 99])
async def test_an_owner_that_is_out_of_step_is_refused(fixtures: CacheFixtures, expected: int) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    before = await fixtures.dump()
    with pytest.raises(OutOfStep):
        await fixtures.send(address, expected)
    assert await fixtures.dump() == before


async def test_a_full_queue_refuses_with_nothing_written(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.stored(address)
    await fixtures.redis.xtrim(fixtures.keys.queue(fixtures.partition), maxlen=0)
    await fixtures.redis.delete(fixtures.keys.queue(fixtures.partition))
    await fill_queue(fixtures)
    before = await fixtures.dump()
    with pytest.raises(Overloaded) as refused:
        await fixtures.send(address, 0)
    assert refused.value.retry_after is not None
    assert await fixtures.dump() == before


async def test_one_place_below_the_limit_is_still_taken(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.stored(address)
    await fixtures.redis.delete(fixtures.keys.queue(fixtures.partition))
    await fill_queue(fixtures)
    await fixtures.redis.xdel(fixtures.keys.queue(fixtures.partition), "0-1")
    assert (await fixtures.send(address, 0)).seq == 1


@pytest.mark.parametrize("state", list(RoomState))
async def test_sends_are_taken_in_the_sendable_states_only(fixtures: CacheFixtures, state: RoomState) -> None:
    address = await fixtures.claimed()
    await fixtures.redis.hset(fixtures.key("room", address), "state", state)
    if state in SENDABLE:
        assert (await fixtures.send(address, 0)).seq == 1
    elif state is RoomState.CREATING:
        before = await fixtures.dump()
        with pytest.raises(RoomNotActive):
            await fixtures.send(address, 0)
        assert await fixtures.dump() == before


async def test_reject_refuses_while_a_reply_is_open(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    before = await fixtures.dump()
    with pytest.raises(RoomBusy):
        await fixtures.rooms.append(address, CLAIM_1, 2, fixtures.turn(strict=True))
    assert await fixtures.dump() == before
    await fixtures.start(address, turn)
    await fixtures.complete(address, turn)
    assert (await fixtures.rooms.append(address, CLAIM_1, 2, fixtures.turn(strict=True))).seq == 3


async def test_the_same_message_again_gets_its_first_place(fixtures: CacheFixtures) -> None:
    address, turn = await fixtures.claimed(), fixtures.turn()
    first = await fixtures.rooms.append(address, CLAIM_1, 0, turn)
    before = await fixtures.dump()
    again = await fixtures.rooms.append(address, CLAIM_1, 2, turn)
    assert again == structs.replace(first, duplicate=True)
    assert await fixtures.dump() == before


async def test_the_same_message_is_known_after_others_came(fixtures: CacheFixtures) -> None:
    address, turn = await fixtures.claimed(), fixtures.turn()
    await fixtures.rooms.append(address, CLAIM_1, 0, turn)
    await fixtures.send(address, 2)
    again = await fixtures.rooms.append(address, CLAIM_1, 0, turn)
    assert (again.seq, again.message_id, again.duplicate) == (1, turn.message.message_id, True)


async def test_an_idempotency_key_gives_the_first_ids_and_cursor_again(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first = await fixtures.rooms.append(address, CLAIM_1, 0, fixtures.turn(key="k", fingerprint="same"))
    await fixtures.send(address, 2)
    before = await fixtures.dump()
    again = await fixtures.rooms.append(address, CLAIM_1, 4, fixtures.turn(key="k", fingerprint="same"))
    assert again == structs.replace(first, duplicate=True)
    assert await fixtures.dump() == before


async def test_a_replay_of_a_turn_without_a_reply_has_none(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.append(address, CLAIM_1, 0, fixtures.turn(key="k", reply=False))
    again = await fixtures.rooms.append(address, CLAIM_1, 1, fixtures.turn(key="k", reply=False))
    assert again.duplicate
    assert again.reply_id is None


async def test_an_idempotency_key_with_another_body_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.append(address, CLAIM_1, 0, fixtures.turn(key="k", fingerprint="one"))
    before = await fixtures.dump()
    with pytest.raises(IdempotencyMismatch):
        await fixtures.rooms.append(address, CLAIM_1, 2, fixtures.turn(key="k", fingerprint="two"))
    assert await fixtures.dump() == before


async def test_idempotency_keys_are_each_rooms_own(fixtures: CacheFixtures) -> None:
    one, other = await fixtures.claimed(), await fixtures.claimed()
    for address in (one, other):
        assert not (await fixtures.rooms.append(address, CLAIM_1, 0, fixtures.turn(key="k"))).duplicate


async def test_a_replay_is_answered_whatever_else_would_refuse(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = fixtures.turn(key="k")
    first = await fixtures.rooms.append(address, CLAIM_1, 0, turn)
    await fill_queue(fixtures, 9)
    again = await fixtures.rooms.append(address, CLAIM_1, 77, structs.replace(turn, strict=True))
    assert again == structs.replace(first, duplicate=True)


async def test_an_idempotency_key_expires(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.append(address, CLAIM_1, 0, fixtures.turn(key="k"))
    ttl = await fixtures.redis.pttl(fixtures.keys.idempotency(fixtures.partition, address.room_id, "k"))
    assert 0 < ttl <= 24 * 3600 * 1000


async def test_new_work_takes_the_ttls_away(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    await fixtures.stored(address)
    names = ("room", "states", "messages", "account", "rooms")
    dumped = await fixtures.dump()
    assert all(dumped[fixtures.key(name, address)][1] for name in names)
    await fixtures.send(address, 1, reply=False)
    dumped = await fixtures.dump()
    assert not any(dumped[fixtures.key(name, address)][1] for name in names)
