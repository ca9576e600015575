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
from parlor.states import SENDABLE, MessageState, RoomState
from tests.contract.cache.test_creation import fill_queue
from tests.contract.cache.world import NOW, World

pytestmark = pytest.mark.contract


async def test_a_turn_is_in_the_cache_the_states_the_queue_and_the_events(world: World) -> None:
    address = await world.claimed()
    await world.stored(address)
    turn = world.turn("Hello", urgent=True)
    assert turn.reply is not None
    world.clock.now += 10
    appended = await world.rooms.append(address, "claim-1", 0, turn)
    assert (appended.seq, appended.duplicate) == (1, False)
    assert (appended.message_id, appended.reply_id) == (turn.message.message_id, turn.reply.message_id)
    assert await world.states.message_doc(address.room_id, 1) == turn.message
    assert await world.states.message_doc(address.room_id, 2) == turn.reply
    assert await world.state(address, 1) is MessageState.PENDING
    assert await world.state(address, 2) is MessageState.COMPOSING
    assert await world.states.find_message(address.room_id, turn.reply.message_id) == 2
    first, second = await world.queued()
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
    created = await world.events(address, appended.cursor)
    assert [(event[b"type"], event[b"seq"], event[b"state"]) for event in created] == [
        (b"message.created", b"1", b"PENDING"),
        (b"message.created", b"2", b"COMPOSING"),
    ]
    room = await world.room(address)
    assert (room.last_seq, room.room.message_count, room.room.last_message_at) == (2, 2, NOW + 10)
    assert ("room.updated", address.room_id) in await world.account_events(address)
    assert await world.reader.overdue_rooms(world.partition, 10) == []
    world.clock.now += 5001
    assert await world.reader.overdue_rooms(world.partition, 10) == [address.room_id]


async def test_seq_is_contiguous_with_and_without_replies(world: World) -> None:
    address, last, seqs = await world.claimed(), 0, []
    for number in range(12):
        appended = await world.send(address, last, reply=number % 3 != 0)
        seqs.append(appended.seq)
        last = appended.seq + (1 if appended.reply_id else 0)
    assert [row.seq for row in (await world.page(address)).rows] == list(range(1, last + 1))
    assert all(row.doc is not None for row in (await world.page(address)).rows)
    entries = [entry for entry in await world.queued() if entry.op == "CHAT_MESSAGE_SAVE"]
    assert [entry.seq for entry in entries] == list(range(1, last + 1))
    assert [entry.position.number for entry in await world.queued()] == list(range(1, last + 2))


async def test_a_message_without_a_reply_leaves_the_room_quiet(world: World) -> None:
    address = await world.claimed()
    appended = await world.send(address, 0, reply=False)
    assert appended.reply_id is None
    assert await world.redis.zcard(world.keys.generating(world.partition)) == 0
    assert (await world.room(address)).last_seq == 1


@pytest.mark.parametrize("expected", [0, 1, 3, 99])
async def test_an_owner_that_is_out_of_step_is_refused(world: World, expected: int) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    before = await world.dump()
    with pytest.raises(OutOfStep):
        await world.send(address, expected)
    assert await world.dump() == before


async def test_a_full_queue_refuses_with_nothing_written(world: World) -> None:
    address = await world.claimed()
    await world.stored(address)
    await world.redis.xtrim(world.keys.queue(world.partition), maxlen=0)
    await world.redis.delete(world.keys.queue(world.partition))
    await fill_queue(world)
    before = await world.dump()
    with pytest.raises(Overloaded) as refused:
        await world.send(address, 0)
    assert refused.value.retry_after is not None
    assert await world.dump() == before


async def test_one_place_below_the_limit_is_still_taken(world: World) -> None:
    address = await world.claimed()
    await world.stored(address)
    await world.redis.delete(world.keys.queue(world.partition))
    await fill_queue(world)
    await world.redis.xdel(world.keys.queue(world.partition), "0-1")
    assert (await world.send(address, 0)).seq == 1


@pytest.mark.parametrize("state", list(RoomState))
async def test_sends_are_taken_in_the_sendable_states_only(world: World, state: RoomState) -> None:
    address = await world.claimed()
    await world.redis.hset(world.key("room", address), "state", state)
    if state in SENDABLE:
        assert (await world.send(address, 0)).seq == 1
    elif state is RoomState.CREATING:
        before = await world.dump()
        with pytest.raises(RoomNotActive):
            await world.send(address, 0)
        assert await world.dump() == before


async def test_reject_refuses_while_a_reply_is_open(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    before = await world.dump()
    with pytest.raises(RoomBusy):
        await world.rooms.append(address, "claim-1", 2, world.turn(strict=True))
    assert await world.dump() == before
    await world.start(address, turn)
    await world.complete(address, turn)
    assert (await world.rooms.append(address, "claim-1", 2, world.turn(strict=True))).seq == 3


async def test_the_same_message_again_gets_its_first_place(world: World) -> None:
    address, turn = await world.claimed(), world.turn()
    first = await world.rooms.append(address, "claim-1", 0, turn)
    before = await world.dump()
    again = await world.rooms.append(address, "claim-1", 2, turn)
    assert again == structs.replace(first, duplicate=True)
    assert await world.dump() == before


async def test_the_same_message_is_known_after_others_came(world: World) -> None:
    address, turn = await world.claimed(), world.turn()
    await world.rooms.append(address, "claim-1", 0, turn)
    await world.send(address, 2)
    again = await world.rooms.append(address, "claim-1", 0, turn)
    assert (again.seq, again.message_id, again.duplicate) == (1, turn.message.message_id, True)


async def test_an_idempotency_key_gives_the_first_ids_and_cursor_again(world: World) -> None:
    address = await world.claimed()
    first = await world.rooms.append(address, "claim-1", 0, world.turn(key="k", fingerprint="same"))
    await world.send(address, 2)
    before = await world.dump()
    again = await world.rooms.append(address, "claim-1", 4, world.turn(key="k", fingerprint="same"))
    assert again == structs.replace(first, duplicate=True)
    assert await world.dump() == before


async def test_a_replay_of_a_turn_without_a_reply_has_none(world: World) -> None:
    address = await world.claimed()
    await world.rooms.append(address, "claim-1", 0, world.turn(key="k", reply=False))
    again = await world.rooms.append(address, "claim-1", 1, world.turn(key="k", reply=False))
    assert again.duplicate
    assert again.reply_id is None


async def test_an_idempotency_key_with_another_body_is_refused(world: World) -> None:
    address = await world.claimed()
    await world.rooms.append(address, "claim-1", 0, world.turn(key="k", fingerprint="one"))
    before = await world.dump()
    with pytest.raises(IdempotencyMismatch):
        await world.rooms.append(address, "claim-1", 2, world.turn(key="k", fingerprint="two"))
    assert await world.dump() == before


async def test_idempotency_keys_are_each_rooms_own(world: World) -> None:
    one, other = await world.claimed(), await world.claimed()
    for address in (one, other):
        assert not (await world.rooms.append(address, "claim-1", 0, world.turn(key="k"))).duplicate


async def test_a_replay_is_answered_whatever_else_would_refuse(world: World) -> None:
    address = await world.claimed()
    turn = world.turn(key="k")
    first = await world.rooms.append(address, "claim-1", 0, turn)
    await fill_queue(world, 9)
    again = await world.rooms.append(address, "claim-1", 77, structs.replace(turn, strict=True))
    assert again == structs.replace(first, duplicate=True)


async def test_an_idempotency_key_expires(world: World) -> None:
    address = await world.claimed()
    await world.rooms.append(address, "claim-1", 0, world.turn(key="k"))
    ttl = await world.redis.pttl(world.keys.idempotency(world.partition, address.room_id, "k"))
    assert 0 < ttl <= 24 * 3600 * 1000


async def test_new_work_takes_the_ttls_away(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    await world.stored(address)
    names = ("room", "states", "messages", "account", "rooms")
    dumped = await world.dump()
    assert all(dumped[world.key(name, address)][1] for name in names)
    await world.send(address, 1, reply=False)
    dumped = await world.dump()
    assert not any(dumped[world.key(name, address)][1] for name in names)
