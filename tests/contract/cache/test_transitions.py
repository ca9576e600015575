"""transition_room and transition_message: the tables of parlor/model/states.py, enforced in Lua, to the last pair."""

from __future__ import annotations

import itertools

import pytest

from parlor.cache.states import Step
from parlor.model.states import MESSAGE_TRANSITIONS, ROOM_TRANSITIONS, MessageState, RoomState
from tests.contract.cache.fixtures import NOW, CacheFixtures

pytestmark = pytest.mark.contract


async def test_every_step_of_a_message_is_made_exactly_if_it_is_legal(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    key = fixtures.key("states", address)
    for seq, (held, to) in enumerate(itertools.product(MessageState, MessageState), 1):
        await fixtures.redis.hset(key, f"s:{seq}", held)
        legal = to in MESSAGE_TRANSITIONS[held]
        step = await fixtures.states.transition_message(address.room_id, seq, None, to, "test")
        assert step == (Step(True, to) if legal else Step(False, held)), (held, to)
        found = await fixtures.states.message_state(address.room_id, seq)
        assert found is not None
        assert found[0] is (to if legal else held)
        steps = [(line.at, line.from_state, line.to_state, line.by) for line in found[1]]
        assert steps == ([(NOW, held, to, "test")] if legal else [])


async def test_every_step_of_a_room_is_made_exactly_if_it_is_legal(fixtures: CacheFixtures) -> None:
    for held, to in itertools.product(RoomState, RoomState):
        room_id = fixtures.address().room_id
        await fixtures.redis.hset(fixtures.keys.room(fixtures.partition, room_id), "state", held)
        legal = to in ROOM_TRANSITIONS[held]
        step = await fixtures.states.transition_room(room_id, None, to, "test")
        assert step == (Step(True, to) if legal else Step(False, held)), (held, to)
        found = await fixtures.states.room_state(room_id)
        assert found is not None
        assert found[0] is (to if legal else held)
        steps = [(line.at, line.from_state, line.to_state, line.by) for line in found[1]]
        assert steps == ([(NOW, held, to, "test")] if legal else [])


async def test_a_step_from_another_state_than_expected_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    before = await fixtures.dump()
    step = await fixtures.states.transition_message(
        address.room_id, 1, MessageState.SENT, MessageState.PROCESSING, "test"
    )
    assert step == Step(False, "PENDING")
    assert await fixtures.states.transition_room(address.room_id, RoomState.ACTIVE, RoomState.DELETING, "test") == Step(
        False, "PENDING"
    )
    assert await fixtures.dump() == before


async def test_a_step_from_the_expected_state_is_made(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    step = await fixtures.states.transition_message(
        address.room_id, 1, MessageState.PENDING, MessageState.PROCESSING, "test"
    )
    assert step == Step(True, "PROCESSING")


async def test_what_redis_does_not_know_makes_no_step(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    before = await fixtures.dump()
    nothing = Step(False, None)
    assert await fixtures.states.transition_room(address.room_id, None, RoomState.PENDING, "test") == nothing
    assert await fixtures.states.transition_message(address.room_id, 1, None, MessageState.SENT, "test") == nothing
    assert await fixtures.dump() == before


async def test_the_log_grows_by_a_line_a_step(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    for number, to in enumerate([MessageState.PROCESSING, MessageState.SENT, MessageState.DELETING], 1):
        fixtures.clock.ms = NOW + number
        await fixtures.states.transition_message(address.room_id, 1, None, to, f"by {number}")
    found = await fixtures.states.message_state(address.room_id, 1)
    assert found is not None
    assert [(line.at, line.to_state, line.by) for line in found[1]] == [
        (NOW, "PENDING", "room"),
        (NOW + 1, "PROCESSING", "by 1"),
        (NOW + 2, "SENT", "by 2"),
        (NOW + 3, "DELETING", "by 3"),
    ]


async def test_a_name_with_the_logs_own_marks_does_not_break_the_log(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.states.transition_room(address.room_id, None, RoomState.PROCESSING, "account:a,b;c")
    await fixtures.states.transition_room(address.room_id, None, RoomState.ACTIVE, "x")
    found = await fixtures.states.room_state(address.room_id)
    assert found is not None
    assert [line.by for line in found[1]] == ["account", "account:a b c", "x"]
