"""The ChatStateMachine: single steps, states, and the smart delete."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.errors import Fenced, IllegalTransition, MessageNotFound, OutOfStep, RoomNotFound
from parlor.ids import RoomId
from parlor.model import DeleteOutcome, Message
from parlor.state_machine import ChatStateMachine, get_chat_state_machine, set_chat_state_machine
from parlor.states import MESSAGE_TRANSITIONS, ROOM_TRANSITIONS, MessageState, RoomState
from tests.unit.rig import HOME, Rig

pytestmark = pytest.mark.unit


async def message_in(rig: Rig) -> tuple[RoomId, Message]:
    room = rig.room(await rig.new_room())
    return room.room_id, await rig.say(room, "Hello")


def address(rig: Rig, room_id: RoomId) -> RoomAddress:
    return RoomAddress(room_id, rig.ada.account_id, rig.ada.account_db_key)


@pytest.mark.parametrize("start", MessageState)
async def test_every_step_of_a_message_is_taken_or_refused_by_the_table(rig: Rig, start: MessageState) -> None:
    room_id, message = await message_in(rig)
    for to in MessageState:
        await rig.redis.hset(rig.live.keys.states(HOME, room_id), "s:1", str(start))
        if to in MESSAGE_TRANSITIONS[start]:
            assert await rig.states.transition_message(room_id, message.message_id, to, by="test") is to
            report = await rig.states.get_message_state(room_id, message.message_id)
            assert report.state == to
            step = report.log[-1]
            assert (step.from_state, step.to_state, step.by, step.at) == (start, to, "test", rig.clock.now_ms())
        else:
            with pytest.raises(IllegalTransition) as refused:
                await rig.states.transition_message(room_id, message.message_id, to, by="test")
            assert refused.value.extra == {"from": start, "to": to}
            assert (await rig.states.get_message_state(room_id, message.message_id)).state == start


@pytest.mark.parametrize("start", RoomState)
async def test_every_step_of_a_room_is_taken_or_refused_by_the_table(rig: Rig, start: RoomState) -> None:
    room_id = await rig.new_room()
    for to in RoomState:
        await rig.redis.hset(rig.live.keys.room(HOME, room_id), "state", str(start))
        if to in ROOM_TRANSITIONS[start]:
            assert await rig.states.transition_room(room_id, to, by="test") is to
            report = await rig.states.get_room_state(room_id)
            assert (report.state, report.log[-1].by) == (to, "test")
        else:
            with pytest.raises(IllegalTransition) as refused:
                await rig.states.transition_room(room_id, to, by="test")
            assert refused.value.extra == {"from": start, "to": to}
            assert (await rig.states.get_room_state(room_id)).state == start


async def test_a_step_from_another_state_than_expected_is_refused(rig: Rig) -> None:
    room_id, message = await message_in(rig)
    with pytest.raises(IllegalTransition) as refused:
        await rig.states.transition_message(
            room_id, message.message_id, MessageState.DELETING, expected=MessageState.SENT, by="test"
        )
    assert refused.value.extra["from"] == "PENDING"
    with pytest.raises(IllegalTransition):
        await rig.states.transition_room(room_id, RoomState.DELETING, expected=RoomState.ACTIVE, by="test")


async def test_steps_of_what_is_not_there_are_not_found(rig: Rig) -> None:
    room_id = await rig.new_room()
    with pytest.raises(MessageNotFound):
        await rig.states.transition_message(room_id, rig.mint.message_id(HOME), MessageState.SENT, by="test")
    with pytest.raises(RoomNotFound):
        await rig.states.transition_room(rig.mint.room_id(HOME), RoomState.PENDING, by="test")
    with pytest.raises(MessageNotFound):
        await rig.states.get_message_state(room_id, rig.mint.message_id(HOME))
    with pytest.raises(RoomNotFound):
        await rig.states.get_room_state(rig.mint.room_id(HOME))


async def test_the_way_of_a_message_is_logged(rig: Rig) -> None:
    room_id, message = await message_in(rig)
    await rig.write_all()
    report = await rig.states.get_message_state(room_id, message.message_id)
    assert report.state == "SENT"
    assert [(step.from_state, step.to_state, step.by) for step in report.log] == [
        ("COMPOSING", "PENDING", "room"),
        ("PENDING", "PROCESSING", "writer"),
        ("PROCESSING", "SENT", "writer"),
    ]
    assert [step.to_state for step in (await rig.states.get_room_state(room_id)).log] == [
        "PENDING",
        "PROCESSING",
        "ACTIVE",
    ]


async def test_the_row_tells_the_state_that_redis_forgot(rig: Rig) -> None:
    room_id, message = await message_in(rig)
    await rig.write_all()
    await rig.forget_room(room_id)
    assert (await rig.states.get_message_state(room_id, message.message_id)).state == "SENT"
    assert (await rig.states.get_room_state(room_id)).state == "ACTIVE"


# Smart delete


async def test_a_delete_without_an_owner_needs_no_claim(rig: Rig) -> None:
    room_id, message = await message_in(rig)
    receipt = await rig.states.smart_delete_message(address(rig, room_id), "", message.message_id, "operator")
    assert receipt.outcome is DeleteOutcome.CANCELLED
    assert (await rig.states.get_message_state(room_id, message.message_id)).log[-1].by == "operator"


async def test_a_delete_with_a_stale_claim_is_refused(rig: Rig) -> None:
    room_id, message = await message_in(rig)
    with pytest.raises(Fenced):
        await rig.states.smart_delete_message(address(rig, room_id), "stale", message.message_id, "room")
    assert (await rig.message(room_id, message.message_id)).content == "Hello"


async def test_a_delete_of_a_message_that_only_its_shard_has(rig: Rig) -> None:
    room = rig.room(await rig.new_room())
    message = await rig.say(room, "Hello")
    await rig.write_all()
    await rig.redis.delete(rig.live.keys.messages(HOME, room.room_id), rig.live.keys.states(HOME, room.room_id))
    receipt = await rig.delete_message(room, message.message_id)
    assert receipt.outcome is DeleteOutcome.DELETING
    await rig.write_all()
    assert [(row.doc.content, row.deleted) for row in await rig.rows(room.room_id)] == [("", True)]


async def test_a_delete_of_a_tombstone_that_only_its_shard_has_is_harmless(rig: Rig) -> None:
    room = rig.room(await rig.new_room())
    message = await rig.say(room, "Hello")
    await rig.delete_message(room, message.message_id)
    await rig.write_all()
    await rig.redis.delete(rig.live.keys.messages(HOME, room.room_id), rig.live.keys.states(HOME, room.room_id))
    count = (await rig.directory.room(room.room_id, rig.ada.account_id)).message_count
    receipt = await rig.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.ALREADY_DELETED, MessageState.DELETED)
    assert (await rig.directory.room(room.room_id, rig.ada.account_id)).message_count == count


async def test_a_delete_in_a_room_that_redis_does_not_have_asks_for_it(rig: Rig) -> None:
    room_id, message = await message_in(rig)
    await rig.write_all()
    await rig.forget_room(room_id)
    with pytest.raises(OutOfStep):
        await rig.states.smart_delete_message(address(rig, room_id), "", message.message_id, "operator")


async def test_a_delete_of_nothing_is_not_found(rig: Rig) -> None:
    room_id = await rig.new_room()
    with pytest.raises(MessageNotFound):
        await rig.states.smart_delete_message(address(rig, room_id), "", rig.mint.message_id(HOME), "operator")


# The one instance


def test_a_process_has_one_state_machine(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.state_machine._instance", None)
    set_chat_state_machine(rig.states)
    assert get_chat_state_machine() is rig.states
    other = ChatStateMachine(rig.live, rig.store)
    set_chat_state_machine(other)
    assert get_chat_state_machine() is other


def test_before_it_is_set_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.state_machine._instance", None)
    with pytest.raises(RuntimeError):
        get_chat_state_machine()
