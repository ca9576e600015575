"""A room's owner: order, acknowledgement, and account checks."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import (
    CacheUnavailable,
    IdempotencyMismatch,
    InternalError,
    Overloaded,
    ParlorError,
    RoomBusy,
    RoomNotFound,
)
from parlor.model.requests import OnBusy, ReplyMode
from parlor.model.states import MessageState
from parlor.rooms.commands import DeleteMessage, DeleteRoom, Send, UpdateRoom
from tests.unit.domain import HOME, Domain, DomainMaker, settle

pytestmark = pytest.mark.unit


# Order and acknowledgement


async def test_a_turn_gets_the_next_two_slots(domain: Domain) -> None:
    room = await domain.opened()
    first, second = await domain.send(room, "one"), await domain.send(room, "two")
    assert first.reply is not None
    assert second.reply is not None
    assert [first.message.seq, first.reply.seq, second.message.seq, second.reply.seq] == [1, 2, 3, 4]
    assert first.message.state is MessageState.PENDING
    assert (first.reply.state, first.reply.is_streaming) == (MessageState.COMPOSING, True)
    assert first.reply.parent_message_id == first.message.message_id


async def test_a_message_without_a_reply_takes_one_slot(domain: Domain) -> None:
    room = await domain.opened()
    receipt = await domain.send(room, reply=ReplyMode.NONE)
    assert receipt.reply is None
    assert (await domain.say(room)).seq == 2
    await settle()
    assert domain.model.talks == []


async def test_commands_are_served_one_at_a_time_in_the_order_of_arrival(domain: Domain) -> None:
    room = await domain.opened()
    gate = domain.pipeline.gates["append_turn"] = asyncio.Event()
    sends = [domain.spawn(domain.say(room, f"{n}")) for n in range(20)]
    await settle()
    renamed = domain.spawn(domain.rename(room, "after twenty"))
    await settle()
    assert not any(task.done() for task in [*sends, renamed])
    assert "update_room" not in domain.pipeline.ran
    gate.set()
    assert [(await send).seq for send in sends] == list(range(1, 21))
    await renamed
    assert [script for script in domain.pipeline.ran if script in ("append_turn", "update_room")] == [
        *["append_turn"] * 20,
        "update_room",
    ]
    assert await domain.texts(room.room_id) == [(n + 1, f"{n}") for n in range(20)]


async def test_another_persona_answers_from_the_next_turn_on(domain: Domain) -> None:
    room = await domain.opened()
    first, waiting = await domain.send(room, "one"), await domain.send(room, "two")
    changed = await domain.update_room(room, persona="BRIEF")
    assert (changed.ai_persona, changed.title) == ("BRIEF", "")
    await domain.send(room, "three")
    for talk in range(3):
        await domain.answer(talk, "answer")
    assert [talk.persona for talk in domain.model.talks] == ["GPT4O", "GPT4O", "BRIEF"]
    assert first.reply is not None
    assert waiting.reply is not None
    later = domain.room(room.room_id)
    await domain.send(later, "four")
    await domain.answer(3, "answer")
    assert domain.model.talks[3].persona == "BRIEF"
    await domain.write_all()
    await domain.forget_room(room.room_id)
    assert (await domain.directory.room(room.room_id, domain.ada.account_id)).ai_persona == "BRIEF"


async def test_the_sender_hears_of_a_message_only_after_it_is_in_redis(domain: Domain) -> None:
    room = await domain.opened()
    gate = domain.pipeline.gates["append_turn"] = asyncio.Event()
    sending = domain.spawn(domain.send(room))
    await settle()
    assert not sending.done()
    assert await domain.texts(room.room_id) == []
    gate.set()
    receipt = await sending
    assert (await domain.message(room.room_id, receipt.message.message_id)).content == "Hello"
    assert await domain.queued() == 3  # the room, the message, the reply's slot


async def test_a_command_is_served_although_its_caller_has_gone(domain: Domain) -> None:
    room = await domain.opened()
    gate = domain.pipeline.gates["append_turn"] = asyncio.Event()
    callers = [domain.spawn(domain.send(room, text)) for text in ("served now", "served later")]
    await settle()
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    gate.set()
    await settle()
    assert await domain.texts(room.room_id) == [(1, "served now"), (2, ""), (3, "served later"), (4, "")]
    assert len(domain.model.talks) == 1


async def test_a_full_mailbox_refuses(new_domain: DomainMaker) -> None:
    domain = new_domain(rooms={"mailbox_limit": 3})
    room = await domain.opened()
    domain.pipeline.gates["claim_room"] = asyncio.Event()
    served = domain.spawn(domain.say(room))
    await settle()
    waiting = [domain.spawn(domain.say(room)) for _ in range(3)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        await domain.say(room)
    assert refused.value.retry_after is not None
    domain.pipeline.gates["claim_room"].set()
    assert sorted([(await task).seq for task in [served, *waiting]]) == [1, 2, 3, 4]


async def test_a_fault_in_one_command_is_not_another_ones(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    room = await domain.opened()
    await domain.say(room)
    with monkeypatch.context() as broken:
        broken.setattr(domain.cache, "update", None)
        with pytest.raises(InternalError):
            await domain.rename(room, "x")
    assert (await domain.say(room)).seq == 2


# Asking again


async def test_asking_again_with_the_same_ids_changes_nothing(domain: Domain) -> None:
    room = await domain.opened()
    command = domain.send_command(room.room_id)
    first = await domain.do_send(room, command)
    again = await domain.do_send(room, command)
    assert (again.message.message_id, again.message.seq) == (first.message.message_id, 1)
    assert again.reply is not None
    assert first.reply is not None
    assert again.reply.message_id == first.reply.message_id
    assert again.cursor == first.cursor
    assert not again.replayed
    assert (await domain.send(room)).message.seq == 3


async def test_a_send_whose_answer_was_lost_is_stored_once_and_answered_once(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room)
    domain.pipeline.lose["append_turn"] = 1
    command = domain.send_command(room.room_id, "once")
    with pytest.raises(CacheUnavailable):
        await domain.do_send(room, command)
    receipt = await domain.do_send(room, command)
    assert receipt.reply is not None
    assert (receipt.message.seq, receipt.reply.seq) == (2, 3)
    await domain.answer(0, "fine")
    assert await domain.texts(room.room_id) == [(1, "Hello"), (2, "once"), (3, "fine")]
    assert len(domain.model.talks) == 1
    assert (await domain.send(room)).message.seq == 4


async def test_a_reply_is_written_although_nobody_asks_again_after_a_lost_answer(domain: Domain) -> None:
    """The message is stored, so its reply is owed (P3); the only further command is the sweeper's ``Wake``."""
    room = await domain.opened()
    await domain.say(room)
    domain.pipeline.lose["append_turn"] = 1
    with pytest.raises(CacheUnavailable):
        await domain.send(room, "once")
    await domain.clock.advance(6)
    assert await domain.reader.overdue_rooms(HOME, 10) == [room.room_id]
    await domain.wake(room)
    await domain.answer(0, "fine")
    assert await domain.texts(room.room_id) == [(1, "Hello"), (2, "once"), (3, "fine")]


async def test_the_next_command_takes_up_a_reply_whose_send_lost_its_answer(domain: Domain) -> None:
    room = await domain.opened()
    domain.pipeline.lose["append_turn"] = 1
    with pytest.raises(CacheUnavailable):
        await domain.send(room, "once")
    await domain.say(room, "next")
    await domain.answer(0, "fine")
    assert await domain.texts(room.room_id) == [(1, "once"), (2, "fine"), (3, "next")]


async def test_the_same_idempotency_key_gives_the_same_turn(domain: Domain) -> None:
    room = await domain.opened()
    first = await domain.send(room, key="k")
    await domain.answer(0, "fine")
    again = await domain.send(room, key="k")
    assert again.replayed
    assert again.message.message_id == first.message.message_id
    assert again.reply is not None
    assert again.reply.content == "fine"
    assert again.cursor == first.cursor
    assert (await domain.send(room, key="other")).message.seq == 3
    await settle()
    assert len(domain.model.talks) == 2


async def test_an_idempotency_key_with_another_body_is_refused(domain: Domain) -> None:
    room = await domain.opened()
    await domain.send(room, key="k")
    with pytest.raises(IdempotencyMismatch):
        await domain.send(room, key="k", fingerprint="another")
    assert (await domain.send(room)).message.seq == 3


async def test_a_replay_of_a_running_turn_does_not_begin_it_again(domain: Domain) -> None:
    room = await domain.opened()
    await domain.send(room, key="k")
    await settle()
    domain.model.talks[0].say("so far")
    await settle()
    again = await domain.send(room, key="k")
    assert again.reply is not None
    assert (again.reply.is_streaming, again.reply.content) == (True, "so far")
    await settle()
    assert len(domain.model.talks) == 1


# Whose room it is


async def test_another_accounts_room_is_not_found_by_any_command(domain: Domain) -> None:
    room = await domain.opened()
    receipt = await domain.send(room, "private")
    eve = domain.session("eve")
    attempts: list[Send | UpdateRoom | DeleteRoom | DeleteMessage] = [
        domain.send_command(room.room_id, session=eve),
        UpdateRoom(eve, room.room_id, "", "mine"),
        DeleteRoom(eve, room.room_id, ""),
        DeleteMessage(eve, room.room_id, "", receipt.message.message_id),
    ]
    for command in attempts:
        with pytest.raises(RoomNotFound):
            await room.execute(command)
    assert (await domain.directory.room(room.room_id, domain.ada.account_id)).title == ""
    assert await domain.texts(room.room_id) == [(1, "private"), (2, "")]


@pytest.mark.parametrize("knock", [1, 3])
async def test_a_stranger_at_the_door_does_not_stop_the_replies(domain: Domain, knock: int) -> None:
    room = await domain.opened()
    await domain.send(room, "one")
    await domain.send(room, "two")
    await settle()
    for _ in range(knock):
        with pytest.raises(RoomNotFound):
            await domain.send(room, session=domain.session("eve"))
    await domain.answer(0, "first")
    await domain.answer(1, "second")
    assert await domain.texts(room.room_id) == [(1, "one"), (2, "first"), (3, "two"), (4, "second")]


async def test_a_room_that_never_was_is_not_found_and_not_kept(domain: Domain) -> None:
    await domain.new_room()
    host = domain.host()
    never = domain.mint.room_id(HOME)
    (outcome,) = await host.execute([domain.send_command(never)], activate=True)
    assert ParlorError.from_wire(outcome.error).code == "room-not-found"  # type: ignore[union-attr]
    await domain.clock.advance(1)
    assert host.rooms == []


# Busy


async def test_a_busy_room_refuses_when_it_is_asked_to(domain: Domain) -> None:
    room = await domain.opened()
    await domain.send(room)
    with pytest.raises(RoomBusy):
        await domain.send(room, on_busy=OnBusy.REJECT)
    await domain.answer(0, "done")
    assert (await domain.send(room, on_busy=OnBusy.REJECT)).message.seq == 3
