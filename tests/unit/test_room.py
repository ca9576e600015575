"""A room's owner: order, acknowledgement, and whose room it is."""

from __future__ import annotations

import asyncio

import pytest

from parlor.commands import DeleteMessage, DeleteRoom, Rename, Send
from parlor.errors import (
    CacheUnavailable,
    IdempotencyMismatch,
    InternalError,
    Overloaded,
    ParlorError,
    RoomBusy,
    RoomNotFound,
)
from parlor.model import OnBusy, ReplyMode
from parlor.states import MessageState
from tests.unit.rig import HOME, Rig, RigMaker, settle

pytestmark = pytest.mark.unit


# Order and acknowledgement


async def test_a_turn_gets_the_next_two_places(rig: Rig) -> None:
    room = await rig.opened()
    first, second = await rig.send(room, "one"), await rig.send(room, "two")
    assert first.reply is not None
    assert second.reply is not None
    assert [first.message.seq, first.reply.seq, second.message.seq, second.reply.seq] == [1, 2, 3, 4]
    assert first.message.state is MessageState.PENDING
    assert (first.reply.state, first.reply.is_streaming) == (MessageState.COMPOSING, True)
    assert first.reply.parent_message_id == first.message.message_id


async def test_a_message_without_a_reply_takes_one_place(rig: Rig) -> None:
    room = await rig.opened()
    receipt = await rig.send(room, reply=ReplyMode.NONE)
    assert receipt.reply is None
    assert (await rig.say(room)).seq == 2
    await settle()
    assert rig.model.talks == []


async def test_commands_are_served_one_at_a_time_in_the_order_of_arrival(rig: Rig) -> None:
    room = await rig.opened()
    gate = rig.pipeline.gates["append_turn"] = asyncio.Event()
    sends = [rig.spawn(rig.say(room, f"{n}")) for n in range(20)]
    await settle()
    renamed = rig.spawn(rig.rename(room, "after twenty"))
    await settle()
    assert not any(task.done() for task in [*sends, renamed])
    assert "rename_room" not in rig.pipeline.ran
    gate.set()
    assert [(await send).seq for send in sends] == list(range(1, 21))
    await renamed
    assert [script for script in rig.pipeline.ran if script in ("append_turn", "rename_room")] == [
        *["append_turn"] * 20,
        "rename_room",
    ]
    assert await rig.texts(room.room_id) == [(n + 1, f"{n}") for n in range(20)]


async def test_the_sender_hears_of_a_message_only_after_it_is_in_redis(rig: Rig) -> None:
    room = await rig.opened()
    gate = rig.pipeline.gates["append_turn"] = asyncio.Event()
    sending = rig.spawn(rig.send(room))
    await settle()
    assert not sending.done()
    assert await rig.texts(room.room_id) == []
    gate.set()
    receipt = await sending
    assert (await rig.message(room.room_id, receipt.message.message_id)).content == "Hello"
    assert await rig.queued() == 3  # the room, the message, the reply's place


async def test_a_command_is_served_although_its_caller_has_gone(rig: Rig) -> None:
    room = await rig.opened()
    gate = rig.pipeline.gates["append_turn"] = asyncio.Event()
    callers = [rig.spawn(rig.send(room, text)) for text in ("served now", "served later")]
    await settle()
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    gate.set()
    await settle()
    assert await rig.texts(room.room_id) == [(1, "served now"), (2, ""), (3, "served later"), (4, "")]
    assert len(rig.model.talks) == 1


async def test_a_full_mailbox_refuses(new_rig: RigMaker) -> None:
    rig = new_rig(rooms={"mailbox_limit": 3})
    room = await rig.opened()
    rig.pipeline.gates["claim_room"] = asyncio.Event()
    served = rig.spawn(rig.say(room))
    await settle()
    waiting = [rig.spawn(rig.say(room)) for _ in range(3)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        await rig.say(room)
    assert refused.value.retry_after is not None
    rig.pipeline.gates["claim_room"].set()
    assert sorted([(await task).seq for task in [served, *waiting]]) == [1, 2, 3, 4]


async def test_a_fault_in_one_command_is_not_another_ones(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    room = await rig.opened()
    await rig.say(room)
    with monkeypatch.context() as broken:
        broken.setattr(rig.cache, "rename", None)
        with pytest.raises(InternalError):
            await rig.rename(room, "x")
    assert (await rig.say(room)).seq == 2


# Asking again


async def test_asking_again_with_the_same_ids_changes_nothing(rig: Rig) -> None:
    room = await rig.opened()
    command = rig.send_command(room.room_id)
    first = await rig.do_send(room, command)
    again = await rig.do_send(room, command)
    assert (again.message.message_id, again.message.seq) == (first.message.message_id, 1)
    assert again.reply is not None
    assert first.reply is not None
    assert again.reply.message_id == first.reply.message_id
    assert again.cursor == first.cursor
    assert not again.replayed
    assert (await rig.send(room)).message.seq == 3


async def test_a_send_whose_answer_was_lost_is_stored_once_and_answered_once(rig: Rig) -> None:
    room = await rig.opened()
    await rig.say(room)
    rig.pipeline.lose["append_turn"] = 1
    command = rig.send_command(room.room_id, "once")
    with pytest.raises(CacheUnavailable):
        await rig.do_send(room, command)
    receipt = await rig.do_send(room, command)
    assert receipt.reply is not None
    assert (receipt.message.seq, receipt.reply.seq) == (2, 3)
    await rig.answer(0, "fine")
    assert await rig.texts(room.room_id) == [(1, "Hello"), (2, "once"), (3, "fine")]
    assert len(rig.model.talks) == 1
    assert (await rig.send(room)).message.seq == 4


async def test_a_reply_is_written_although_nobody_asks_again_after_a_lost_answer(rig: Rig) -> None:
    """The message is stored: its reply is owed (P3), and the sweeper's wake is all that comes."""
    room = await rig.opened()
    await rig.say(room)
    rig.pipeline.lose["append_turn"] = 1
    with pytest.raises(CacheUnavailable):
        await rig.send(room, "once")
    await rig.clock.advance(6)
    assert await rig.reader.overdue_rooms(HOME, 10) == [room.room_id]
    await rig.wake(room)
    await rig.answer(0, "fine")
    assert await rig.texts(room.room_id) == [(1, "Hello"), (2, "once"), (3, "fine")]


async def test_the_next_command_takes_up_a_reply_whose_send_lost_its_answer(rig: Rig) -> None:
    room = await rig.opened()
    rig.pipeline.lose["append_turn"] = 1
    with pytest.raises(CacheUnavailable):
        await rig.send(room, "once")
    await rig.say(room, "next")
    await rig.answer(0, "fine")
    assert await rig.texts(room.room_id) == [(1, "once"), (2, "fine"), (3, "next")]


async def test_the_same_idempotency_key_gives_the_same_turn(rig: Rig) -> None:
    room = await rig.opened()
    first = await rig.send(room, key="k")
    await rig.answer(0, "fine")
    again = await rig.send(room, key="k")
    assert again.replayed
    assert again.message.message_id == first.message.message_id
    assert again.reply is not None
    assert again.reply.content == "fine"
    assert again.cursor == first.cursor
    assert (await rig.send(room, key="other")).message.seq == 3
    await settle()
    assert len(rig.model.talks) == 2


async def test_an_idempotency_key_with_another_body_is_refused(rig: Rig) -> None:
    room = await rig.opened()
    await rig.send(room, key="k")
    with pytest.raises(IdempotencyMismatch):
        await rig.send(room, key="k", fingerprint="another")
    assert (await rig.send(room)).message.seq == 3


async def test_a_replay_of_a_running_turn_does_not_begin_it_again(rig: Rig) -> None:
    room = await rig.opened()
    await rig.send(room, key="k")
    await settle()
    rig.model.talks[0].say("so far")
    await settle()
    again = await rig.send(room, key="k")
    assert again.reply is not None
    assert (again.reply.is_streaming, again.reply.content) == (True, "so far")
    await settle()
    assert len(rig.model.talks) == 1


# Whose room it is


async def test_another_accounts_room_is_not_found_by_any_command(rig: Rig) -> None:
    room = await rig.opened()
    receipt = await rig.send(room, "private")
    eve = rig.session("eve")
    attempts: list[Send | Rename | DeleteRoom | DeleteMessage] = [
        rig.send_command(room.room_id, session=eve),
        Rename(eve, room.room_id, "", "mine"),
        DeleteRoom(eve, room.room_id, ""),
        DeleteMessage(eve, room.room_id, "", receipt.message.message_id),
    ]
    for command in attempts:
        with pytest.raises(RoomNotFound):
            await room.execute(command)
    assert (await rig.directory.room(room.room_id, rig.ada.account_id)).title == ""
    assert await rig.texts(room.room_id) == [(1, "private"), (2, "")]


@pytest.mark.parametrize("knock", [1, 3])
async def test_a_stranger_at_the_door_does_not_stop_the_replies(rig: Rig, knock: int) -> None:
    room = await rig.opened()
    await rig.send(room, "one")
    await rig.send(room, "two")
    await settle()
    for _ in range(knock):
        with pytest.raises(RoomNotFound):
            await rig.send(room, session=rig.session("eve"))
    await rig.answer(0, "first")
    await rig.answer(1, "second")
    assert await rig.texts(room.room_id) == [(1, "one"), (2, "first"), (3, "two"), (4, "second")]


async def test_a_room_that_never_was_is_not_found_and_not_kept(rig: Rig) -> None:
    await rig.new_room()
    host = rig.host()
    never = rig.mint.room_id(HOME)
    (outcome,) = await host.execute([rig.send_command(never)], activate=True)
    assert ParlorError.from_wire(outcome.error).code == "room-not-found"  # type: ignore[union-attr]
    await rig.clock.advance(1)
    assert host.rooms == []


# Busy


async def test_a_busy_room_refuses_when_it_is_asked_to(rig: Rig) -> None:
    room = await rig.opened()
    await rig.send(room)
    with pytest.raises(RoomBusy):
        await rig.send(room, on_busy=OnBusy.REJECT)
    await rig.answer(0, "done")
    assert (await rig.send(room, on_busy=OnBusy.REJECT)).message.seq == 3
