"""What happens to a reply in progress, and to those that wait, when the person writes again."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import RoomBusy
from parlor.model import FinishReason, OnBusy, ReplyMode
from parlor.room import Room
from parlor.states import MessageState
from tests.unit.clockwork import settle
from tests.unit.rig import Rig

pytestmark = pytest.mark.unit

GONE = MessageState.DELETED


async def talking(rig: Rig, *waiting: str) -> Room:
    """A room whose first reply has said "Part", and which has turns that wait."""
    room = await rig.opened()
    await rig.send(room, "first")
    await settle()
    rig.model.talks[0].say("Part")
    await rig.clock.advance(0.1)
    for text in waiting:
        await rig.send(room, text)
    return room


async def told(rig: Rig, room: Room) -> list[tuple[int, str, str]]:
    """What every client sees: seq, content or "-" for a tombstone, how it ended."""
    page = await rig.page(room.room_id)
    return [
        (message.seq, "-" if message.state in (GONE, "DELETING") else message.content, message.finish_reason or "")
        for message in page.messages
    ]


async def stored(rig: Rig, room: Room) -> list[tuple[int, str, str]]:
    await rig.write_all()
    rows = await rig.rows(room.room_id)
    return [(row.seq, "-" if row.deleted else row.doc.content, row.doc.finish_reason or "") for row in rows]


async def test_interrupt_keeps_the_partial_answer_before_the_next_turn(rig: Rig) -> None:
    room = await talking(rig)
    receipt = await rig.send(room, "second", on_busy=OnBusy.INTERRUPT)
    assert receipt.message.seq == 3
    assert rig.model.talks[0].closed
    kinds = await rig.kinds(room.room_id)
    assert kinds.index("message.stopped") < [i for i, kind in enumerate(kinds) if kind == "message.created"][2]
    await rig.answer(1, "Done")
    expected = [(1, "first", ""), (2, "Part", "stopped"), (3, "second", ""), (4, "Done", "stop")]
    assert await told(rig, room) == expected
    assert await stored(rig, room) == expected
    assert [turn.content for turn in rig.model.talks[1].context.turns] == ["first", "Part", "second"]


async def test_interrupt_before_the_first_token_stops_an_empty_reply(rig: Rig) -> None:
    room = await rig.opened()
    await rig.send(room, "first")
    receipt = await rig.send(room, "second", on_busy=OnBusy.INTERRUPT)
    await settle()
    assert await told(rig, room) == [(1, "first", ""), (2, "", "stopped"), (3, "second", ""), (4, "", "")]
    assert receipt.reply is not None
    assert (await rig.message(room.room_id, receipt.reply.message_id)).is_streaming


async def test_interrupt_answers_what_waited_with_the_new_reply(rig: Rig) -> None:
    room = await talking(rig, "second", "third")
    await rig.send(room, "fourth", on_busy=OnBusy.INTERRUPT)
    await rig.answer(1, "All of it")
    expected = [
        (1, "first", ""),
        (2, "Part", "stopped"),
        (3, "second", ""),
        (4, "-", ""),
        (5, "third", ""),
        (6, "-", ""),
        (7, "fourth", ""),
        (8, "All of it", "stop"),
    ]
    assert await told(rig, room) == expected
    assert await stored(rig, room) == expected
    assert len(rig.model.talks) == 2


async def test_rollback_drops_the_running_turn(rig: Rig) -> None:
    room = await talking(rig, "second")
    await rig.send(room, "third", on_busy=OnBusy.ROLLBACK)
    await settle()
    assert rig.model.talks[0].closed
    await rig.answer(1, "Answer")
    expected = [(1, "-", ""), (2, "-", ""), (3, "second", ""), (4, "-", ""), (5, "third", ""), (6, "Answer", "stop")]
    assert await told(rig, room) == expected
    assert await stored(rig, room) == expected
    assert [turn.content for turn in rig.model.talks[1].context.turns if turn.content] == ["second", "third"]


async def test_rollback_of_a_reply_that_has_just_ended_drops_nothing(rig: Rig) -> None:
    room = await talking(rig)
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    await rig.send(room, "second", on_busy=OnBusy.ROLLBACK)
    assert (await told(rig, room))[:3] == [(1, "first", ""), (2, "Part", "stop"), (3, "second", "")]


async def test_a_reply_that_ends_while_it_is_rolled_back_goes_or_stays_whole(rig: Rig) -> None:
    room = await talking(rig)
    gate = rig.pipeline.gates["complete_reply"] = asyncio.Event()
    rig.model.talks[0].finish()
    await settle()
    sending = rig.spawn(rig.send(room, "second", on_busy=OnBusy.ROLLBACK))
    await settle()
    gate.set()
    await sending
    await rig.clock.advance(0.1)
    first, reply = (await told(rig, room))[:2]
    assert (first[1] == "-") == (reply[1] == "-")
    assert (await rig.kinds(room.room_id)).count("message.completed") == (0 if reply[1] == "-" else 1)


async def test_merge_lets_the_running_reply_go_on_and_joins_what_waits(rig: Rig) -> None:
    room = await talking(rig, "second")
    await rig.send(room, "third", on_busy=OnBusy.MERGE)
    assert not rig.model.talks[0].closed
    rig.model.talks[0].say("ly")
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    await rig.answer(1, "Both")
    expected = [
        (1, "first", ""),
        (2, "Partly", "stop"),
        (3, "second", ""),
        (4, "-", ""),
        (5, "third", ""),
        (6, "Both", "stop"),
    ]
    assert await told(rig, room) == expected
    assert await stored(rig, room) == expected
    assert len(rig.model.talks) == 2


async def test_enqueue_answers_one_after_the_other(rig: Rig) -> None:
    room = await talking(rig, "second")
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    await rig.answer(1, "Two")
    expected = [(1, "first", ""), (2, "Part", "stop"), (3, "second", ""), (4, "Two", "stop")]
    assert await told(rig, room) == expected
    assert await stored(rig, room) == expected


async def test_reject_changes_nothing(rig: Rig) -> None:
    room = await talking(rig)
    with pytest.raises(RoomBusy):
        await rig.send(room, "second", on_busy=OnBusy.REJECT)
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    assert await told(rig, room) == [(1, "first", ""), (2, "Part", "stop")]


@pytest.mark.parametrize("policy", [OnBusy.INTERRUPT, OnBusy.ROLLBACK, OnBusy.MERGE])
async def test_a_quiet_room_takes_any_policy(rig: Rig, policy: OnBusy) -> None:
    room = await rig.opened()
    receipt = await rig.send(room, "hello", on_busy=policy)
    await rig.answer(0, "Hi")
    assert receipt.message.seq == 1
    assert await told(rig, room) == [(1, "hello", ""), (2, "Hi", "stop")]


@pytest.mark.parametrize("policy", [OnBusy.INTERRUPT, OnBusy.ROLLBACK, OnBusy.MERGE])
async def test_a_message_without_a_reply_takes_nobodys_answer_away(rig: Rig, policy: OnBusy) -> None:
    room = await talking(rig, "second")
    await rig.send(room, "a note", on_busy=policy, reply=ReplyMode.NONE)
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    await rig.answer(1, "Two")
    assert [line for line in await told(rig, room) if line[0] in (3, 4)] == [(3, "second", ""), (4, "Two", "stop")]


@pytest.mark.parametrize("policy", [OnBusy.INTERRUPT, OnBusy.ROLLBACK, OnBusy.MERGE])
async def test_asking_again_does_not_interrupt_ones_own_turn(rig: Rig, policy: OnBusy) -> None:
    room = await talking(rig, "second")
    command = rig.send_command(room.room_id, "third", on_busy=policy)
    first = await rig.do_send(room, command)
    await settle()
    again = await rig.do_send(room, command)
    assert (again.message.message_id, again.message.seq) == (first.message.message_id, first.message.seq)
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    await rig.answer(1, "Answer")
    assert (await told(rig, room))[-1] == (6, "Answer", "stop")


@pytest.mark.parametrize("policy", [OnBusy.INTERRUPT, OnBusy.ROLLBACK, OnBusy.MERGE])
async def test_a_turn_whose_answer_was_lost_is_taken_once(rig: Rig, policy: OnBusy) -> None:
    room = await talking(rig, "second")
    rig.pipeline.lose["append_turn"] = 1
    command = rig.send_command(room.room_id, "third", on_busy=policy)
    with pytest.raises(Exception, match="does not answer"):
        await rig.do_send(room, command)
    await rig.do_send(room, command)
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    await rig.wake(room)
    await rig.answer(len(rig.model.talks) - 1, "Answer")
    contents = [line[1] for line in await told(rig, room)]
    assert contents.count("third") == 1
    assert contents[-1] == "Answer"


async def test_a_new_owner_makes_way_for_what_it_did_not_begin(rig: Rig) -> None:
    room = await talking(rig, "second")
    other = rig.room(room.room_id)
    await rig.send(other, "third", on_busy=OnBusy.INTERRUPT)
    await settle()
    lines = await told(rig, other)
    assert [line[0] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[1] == (2, "Part", "stopped")
    assert lines[3] == (4, "-", "")


async def test_waiting_messages_are_listed_edited_and_withdrawn(rig: Rig) -> None:
    room = await talking(rig, "second", "third")
    queued = await rig.history.queued(room.room_id, rig.ada.account_id)
    assert [message.content for message in queued] == ["second", "third"]
    receipt = await rig.edit(room, queued[0].message_id, "second, better")
    assert receipt.reply is not None
    assert (receipt.reply.attempt, receipt.reply.is_streaming) == (0, True)
    await rig.delete_message(room, queued[1].message_id)
    queued = await rig.history.queued(room.room_id, rig.ada.account_id)
    assert [message.content for message in queued] == ["second, better"]
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    await rig.answer(1, "Two")
    assert await rig.history.queued(room.room_id, rig.ada.account_id) == []
    expected = [
        (1, "first", ""),
        (2, "Part", "stop"),
        (3, "second, better", ""),
        (4, "Two", "stop"),
        (5, "-", ""),
        (6, "-", ""),
    ]
    assert await told(rig, room) == expected
    assert await stored(rig, room) == expected
    assert [turn.content for turn in rig.model.talks[1].context.turns][-1] == "second, better"


async def test_a_merged_message_can_still_be_edited_before_its_turn(rig: Rig) -> None:
    room = await talking(rig, "second")
    await rig.send(room, "third", on_busy=OnBusy.MERGE)
    queued = await rig.history.queued(room.room_id, rig.ada.account_id)
    assert [message.content for message in queued] == ["second", "third"]
    await rig.edit(room, queued[0].message_id, "other")
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    await settle()
    assert [turn.content for turn in rig.model.talks[1].context.turns if turn.content][-2:] == ["other", "third"]


async def test_a_stop_ends_a_reply_that_waits(rig: Rig) -> None:
    room = await talking(rig, "second")
    waiting = (await rig.page(room.room_id)).messages[3]
    stopped = await rig.stop(room, waiting.message_id)
    assert (stopped.content, stopped.finish_reason) == ("", FinishReason.STOPPED)
    assert not rig.model.talks[0].closed
    rig.model.talks[0].finish()
    await rig.clock.advance(0.1)
    assert len(rig.model.talks) == 1
