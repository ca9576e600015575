"""The ChatStateMachine: single steps, states, and the smart delete."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.errors import Fenced, IllegalTransition, MessageNotFound, OutOfStep, RoomNotFound
from parlor.model.ids import Claim, RoomId
from parlor.model.messages import Message
from parlor.model.requests import DeleteOutcome
from parlor.model.states import MESSAGE_TRANSITIONS, ROOM_TRANSITIONS, MessageState, RoomState
from parlor.state_machine import ChatStateMachine, get_chat_state_machine, set_chat_state_machine
from tests.unit.domain import HOME, Domain

pytestmark = pytest.mark.unit


async def message_in(domain: Domain) -> tuple[RoomId, Message]:
    room = domain.room(await domain.new_room())
    return room.room_id, await domain.say(room, "Hello")


def address(domain: Domain, room_id: RoomId) -> RoomAddress:
    return RoomAddress(room_id, domain.ada.account_id, domain.ada.account_db_key)


@pytest.mark.parametrize("start", MessageState)
async def test_every_step_of_a_message_is_taken_or_refused_by_the_table(domain: Domain, start: MessageState) -> None:
    room_id, message = await message_in(domain)
    for to in MessageState:
        await domain.redis.hset(domain.live.keys.states(HOME, room_id), "s:1", str(start))
        if to in MESSAGE_TRANSITIONS[start]:
            assert await domain.states.transition_message(room_id, message.message_id, to, by="test") is to
            report = await domain.states.get_message_state(room_id, message.message_id)
            assert report.state == to
            step = report.log[-1]
            assert (step.from_state, step.to_state, step.by, step.at) == (start, to, "test", domain.clock.now_ms())
        else:
            with pytest.raises(IllegalTransition) as refused:
                await domain.states.transition_message(room_id, message.message_id, to, by="test")
            assert refused.value.extra == {"from": start, "to": to}
            assert (await domain.states.get_message_state(room_id, message.message_id)).state == start


@pytest.mark.parametrize("start", RoomState)
async def test_every_step_of_a_room_is_taken_or_refused_by_the_table(domain: Domain, start: RoomState) -> None:
    room_id = await domain.new_room()
    for to in RoomState:
        await domain.redis.hset(domain.live.keys.room(HOME, room_id), "state", str(start))
        if to in ROOM_TRANSITIONS[start]:
            assert await domain.states.transition_room(room_id, to, by="test") is to
            report = await domain.states.get_room_state(room_id)
            assert (report.state, report.log[-1].by) == (to, "test")
        else:
            with pytest.raises(IllegalTransition) as refused:
                await domain.states.transition_room(room_id, to, by="test")
            assert refused.value.extra == {"from": start, "to": to}
            assert (await domain.states.get_room_state(room_id)).state == start


async def test_a_step_from_another_state_than_expected_is_refused(domain: Domain) -> None:
    room_id, message = await message_in(domain)
    with pytest.raises(IllegalTransition) as refused:
        await domain.states.transition_message(
            room_id, message.message_id, MessageState.DELETING, expected=MessageState.SENT, by="test"
        )
    assert refused.value.extra["from"] == "PENDING"
    with pytest.raises(IllegalTransition):
        await domain.states.transition_room(room_id, RoomState.DELETING, expected=RoomState.ACTIVE, by="test")


async def test_steps_of_what_is_not_there_are_not_found(domain: Domain) -> None:
    room_id = await domain.new_room()
    with pytest.raises(MessageNotFound):
        await domain.states.transition_message(room_id, domain.mint.message_id(HOME), MessageState.SENT, by="test")
    with pytest.raises(RoomNotFound):
        await domain.states.transition_room(domain.mint.room_id(HOME), RoomState.PENDING, by="test")
    with pytest.raises(MessageNotFound):
        await domain.states.get_message_state(room_id, domain.mint.message_id(HOME))
    with pytest.raises(RoomNotFound):
        await domain.states.get_room_state(domain.mint.room_id(HOME))


async def test_the_way_of_a_message_is_logged(domain: Domain) -> None:
    room_id, message = await message_in(domain)
    await domain.write_all()
    report = await domain.states.get_message_state(room_id, message.message_id)
    assert report.state == "SENT"
    assert [(step.from_state, step.to_state, step.by) for step in report.log] == [
        ("COMPOSING", "PENDING", "room"),
        ("PENDING", "PROCESSING", "writer"),
        ("PROCESSING", "SENT", "writer"),
    ]
    assert [step.to_state for step in (await domain.states.get_room_state(room_id)).log] == [
        "PENDING",
        "PROCESSING",
        "ACTIVE",
    ]


async def test_the_row_tells_the_state_that_redis_forgot(domain: Domain) -> None:
    room_id, message = await message_in(domain)
    await domain.write_all()
    await domain.forget_room(room_id)
    assert (await domain.states.get_message_state(room_id, message.message_id)).state == "SENT"
    assert (await domain.states.get_room_state(room_id)).state == "ACTIVE"


# Smart delete


async def test_a_delete_without_an_owner_needs_no_claim(domain: Domain) -> None:
    room_id, message = await message_in(domain)
    receipt = await domain.states.smart_delete_message(address(domain, room_id), message.message_id, by="operator")
    assert receipt.outcome is DeleteOutcome.CANCELLED
    assert (await domain.states.get_message_state(room_id, message.message_id)).log[-1].by == "operator"


async def test_a_delete_with_a_stale_claim_is_refused(domain: Domain) -> None:
    room_id, message = await message_in(domain)
    with pytest.raises(Fenced):
        await domain.states.owner_delete_message(
            address(domain, room_id), Claim("stale"), message.message_id, by="room"
        )
    assert (await domain.message(room_id, message.message_id)).content == "Hello"


async def test_a_delete_of_a_message_that_only_its_shard_has(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    message = await domain.say(room, "Hello")
    await domain.write_all()
    await domain.redis.delete(
        domain.live.keys.messages(HOME, room.room_id), domain.live.keys.states(HOME, room.room_id)
    )
    receipt = await domain.delete_message(room, message.message_id)
    assert receipt.outcome is DeleteOutcome.DELETING
    await domain.write_all()
    assert [(row.doc.content, row.deleted) for row in await domain.rows(room.room_id)] == [("", True)]


async def test_a_delete_of_a_tombstone_that_only_its_shard_has_is_harmless(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    message = await domain.say(room, "Hello")
    await domain.delete_message(room, message.message_id)
    await domain.write_all()
    await domain.redis.delete(
        domain.live.keys.messages(HOME, room.room_id), domain.live.keys.states(HOME, room.room_id)
    )
    count = (await domain.directory.room(room.room_id, domain.ada.account_id)).message_count
    receipt = await domain.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.ALREADY_DELETED, MessageState.DELETED)
    assert (await domain.directory.room(room.room_id, domain.ada.account_id)).message_count == count


async def test_a_delete_in_a_room_that_redis_does_not_have_asks_for_it(domain: Domain) -> None:
    room_id, message = await message_in(domain)
    await domain.write_all()
    await domain.forget_room(room_id)
    with pytest.raises(OutOfStep):
        await domain.states.smart_delete_message(address(domain, room_id), message.message_id, by="operator")


async def test_a_delete_of_nothing_is_not_found(domain: Domain) -> None:
    room_id = await domain.new_room()
    with pytest.raises(MessageNotFound):
        await domain.states.smart_delete_message(address(domain, room_id), domain.mint.message_id(HOME), by="operator")


# The one instance


def test_a_process_has_one_state_machine(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.state_machine._instance", None)
    set_chat_state_machine(domain.states)
    assert get_chat_state_machine() is domain.states
    other = ChatStateMachine(domain.live, domain.store, domain.loader)
    set_chat_state_machine(other)
    assert get_chat_state_machine() is other


def test_before_it_is_set_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.state_machine._instance", None)
    with pytest.raises(RuntimeError):
        get_chat_state_machine()
