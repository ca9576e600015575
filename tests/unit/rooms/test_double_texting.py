"""What happens to a reply in progress, and to those that wait, when the person writes again."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import RoomBusy
from parlor.model.messages import FinishReason, Message
from parlor.model.requests import OnBusy, ReplyMode
from parlor.model.states import MessageState
from parlor.rooms.room import Room
from tests.unit.domain import Domain
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit

GONE = MessageState.DELETED


async def talking(domain: Domain, *waiting: str) -> Room:
    """Returns a room whose first reply has said "Part", with waiting turns."""
    room = await domain.opened()
    await domain.send(room, "first")
    await settle()
    domain.model.talks[0].say("Part")
    await domain.clock.advance(0.1)
    for text in waiting:
        await domain.send(room, text)
    return room


async def shown(domain: Domain, room: Room) -> list[tuple[int, str, str]]:
    """Returns what every client sees: seq, content (or "-" for a tombstone), and how the message ended."""
    page = await domain.page(room.room_id)
    return [
        (message.seq, "-" if message.state in (GONE, "DELETING") else message.content, message.finish_reason or "")
        for message in page.messages
    ]


async def stored(domain: Domain, room: Room) -> list[tuple[int, str, str]]:
    await domain.write_all()
    rows = await domain.rows(room.room_id)
    return [(row.seq, "-" if row.deleted else row.doc.content, row.doc.finish_reason or "") for row in rows]


async def waiting(domain: Domain, room: Room) -> list[Message]:
    return (await domain.history.queued(room.room_id, domain.ada.account_id, limit=20)).messages


async def test_interrupt_keeps_the_partial_answer_before_the_next_turn(domain: Domain) -> None:
    room = await talking(domain)
    receipt = await domain.send(room, "second", on_busy=OnBusy.INTERRUPT)
    assert receipt.message.seq == 3
    assert domain.model.talks[0].closed
    kinds = await domain.kinds(room.room_id)
    assert kinds.index("message.stopped") < [i for i, kind in enumerate(kinds) if kind == "message.created"][2]
    await domain.answer(1, "Done")
    expected = [(1, "first", ""), (2, "Part", "stopped"), (3, "second", ""), (4, "Done", "stop")]
    assert await shown(domain, room) == expected
    assert await stored(domain, room) == expected
    assert [turn.content for turn in domain.model.talks[1].context.turns] == ["first", "Part", "second"]


async def test_interrupt_before_the_first_token_stops_an_empty_reply(domain: Domain) -> None:
    room = await domain.opened()
    await domain.send(room, "first")
    receipt = await domain.send(room, "second", on_busy=OnBusy.INTERRUPT)
    await settle()
    assert await shown(domain, room) == [(1, "first", ""), (2, "", "stopped"), (3, "second", ""), (4, "", "")]
    assert receipt.reply is not None
    assert (await domain.message(room.room_id, receipt.reply.message_id)).is_streaming


async def test_interrupt_answers_what_waited_with_the_new_reply(domain: Domain) -> None:
    room = await talking(domain, "second", "third")
    await domain.send(room, "fourth", on_busy=OnBusy.INTERRUPT)
    await domain.answer(1, "All of it")
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
    assert await shown(domain, room) == expected
    assert await stored(domain, room) == expected
    assert len(domain.model.talks) == 2


async def test_rollback_drops_the_running_turn(domain: Domain) -> None:
    room = await talking(domain, "second")
    await domain.send(room, "third", on_busy=OnBusy.ROLLBACK)
    await settle()
    assert domain.model.talks[0].closed
    await domain.answer(1, "Answer")
    expected = [(1, "-", ""), (2, "-", ""), (3, "second", ""), (4, "-", ""), (5, "third", ""), (6, "Answer", "stop")]
    assert await shown(domain, room) == expected
    assert await stored(domain, room) == expected
    assert [turn.content for turn in domain.model.talks[1].context.turns if turn.content] == ["second", "third"]


async def test_rollback_of_a_reply_that_has_just_ended_drops_nothing(domain: Domain) -> None:
    room = await talking(domain)
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    await domain.send(room, "second", on_busy=OnBusy.ROLLBACK)
    assert (await shown(domain, room))[:3] == [(1, "first", ""), (2, "Part", "stop"), (3, "second", "")]


async def test_a_reply_that_ends_while_it_is_rolled_back_goes_or_stays_whole(domain: Domain) -> None:
    room = await talking(domain)
    gate = domain.pipeline.gates["complete_reply"] = asyncio.Event()
    domain.model.talks[0].finish()
    await settle()
    sending = domain.spawn(domain.send(room, "second", on_busy=OnBusy.ROLLBACK))
    await settle()
    gate.set()
    await sending
    await domain.clock.advance(0.1)
    first, reply = (await shown(domain, room))[:2]
    assert (first[1] == "-") == (reply[1] == "-")
    assert (await domain.kinds(room.room_id)).count("message.completed") == (0 if reply[1] == "-" else 1)


async def test_merge_lets_the_running_reply_go_on_and_joins_what_waits(domain: Domain) -> None:
    room = await talking(domain, "second")
    await domain.send(room, "third", on_busy=OnBusy.MERGE)
    assert not domain.model.talks[0].closed
    domain.model.talks[0].say("ly")
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    await domain.answer(1, "Both")
    expected = [
        (1, "first", ""),
        (2, "Partly", "stop"),
        (3, "second", ""),
        (4, "-", ""),
        (5, "third", ""),
        (6, "Both", "stop"),
    ]
    assert await shown(domain, room) == expected
    assert await stored(domain, room) == expected
    assert len(domain.model.talks) == 2


async def test_enqueue_answers_one_after_the_other(domain: Domain) -> None:
    room = await talking(domain, "second")
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    await domain.answer(1, "Two")
    expected = [(1, "first", ""), (2, "Part", "stop"), (3, "second", ""), (4, "Two", "stop")]
    assert await shown(domain, room) == expected
    assert await stored(domain, room) == expected


async def test_reject_changes_nothing(domain: Domain) -> None:
    room = await talking(domain)
    with pytest.raises(RoomBusy):
        await domain.send(room, "second", on_busy=OnBusy.REJECT)
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    assert await shown(domain, room) == [(1, "first", ""), (2, "Part", "stop")]


@pytest.mark.parametrize("policy", [OnBusy.INTERRUPT, OnBusy.ROLLBACK, OnBusy.MERGE])
async def test_a_quiet_room_takes_any_policy(domain: Domain, policy: OnBusy) -> None:
    room = await domain.opened()
    receipt = await domain.send(room, "hello", on_busy=policy)
    await domain.answer(0, "Hi")
    assert receipt.message.seq == 1
    assert await shown(domain, room) == [(1, "hello", ""), (2, "Hi", "stop")]


@pytest.mark.parametrize("policy", [OnBusy.INTERRUPT, OnBusy.ROLLBACK, OnBusy.MERGE])
async def test_a_message_without_a_reply_takes_nobodys_answer_away(domain: Domain, policy: OnBusy) -> None:
    room = await talking(domain, "second")
    await domain.send(room, "a note", on_busy=policy, reply=ReplyMode.NONE)
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    await domain.answer(1, "Two")
    assert [line for line in await shown(domain, room) if line[0] in (3, 4)] == [(3, "second", ""), (4, "Two", "stop")]


@pytest.mark.parametrize("policy", [OnBusy.INTERRUPT, OnBusy.ROLLBACK, OnBusy.MERGE])
async def test_asking_again_does_not_interrupt_ones_own_turn(domain: Domain, policy: OnBusy) -> None:
    room = await talking(domain, "second")
    command = domain.send_command(room.room_id, "third", on_busy=policy)
    first = await domain.do_send(room, command)
    await settle()
    again = await domain.do_send(room, command)
    assert (again.message.message_id, again.message.seq) == (first.message.message_id, first.message.seq)
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    await domain.answer(1, "Answer")
    assert (await shown(domain, room))[-1] == (6, "Answer", "stop")


@pytest.mark.parametrize("policy", [OnBusy.INTERRUPT, OnBusy.ROLLBACK, OnBusy.MERGE])
async def test_a_turn_whose_answer_was_lost_is_taken_once(domain: Domain, policy: OnBusy) -> None:
    room = await talking(domain, "second")
    domain.pipeline.lose["append_turn"] = 1
    command = domain.send_command(room.room_id, "third", on_busy=policy)
    with pytest.raises(Exception, match="does not answer"):
        await domain.do_send(room, command)
    await domain.do_send(room, command)
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    await domain.wake(room)
    await domain.answer(len(domain.model.talks) - 1, "Answer")
    contents = [line[1] for line in await shown(domain, room)]
    assert contents.count("third") == 1
    assert contents[-1] == "Answer"


async def test_a_new_owner_makes_way_for_what_it_did_not_begin(domain: Domain) -> None:
    room = await talking(domain, "second")
    other = domain.room(room.room_id)
    await domain.send(other, "third", on_busy=OnBusy.INTERRUPT)
    await settle()
    lines = await shown(domain, other)
    assert [line[0] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[1] == (2, "Part", "stopped")
    assert lines[3] == (4, "-", "")


async def test_waiting_messages_are_listed_edited_and_withdrawn(domain: Domain) -> None:
    room = await talking(domain, "second", "third")
    queued = await waiting(domain, room)
    assert [message.content for message in queued] == ["second", "third"]
    receipt = await domain.edit(room, queued[0].message_id, "second, better")
    assert receipt.reply is not None
    assert (receipt.reply.attempt, receipt.reply.is_streaming) == (0, True)
    await domain.delete_message(room, queued[1].message_id)
    queued = await waiting(domain, room)
    assert [message.content for message in queued] == ["second, better"]
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    await domain.answer(1, "Two")
    assert await waiting(domain, room) == []
    expected = [
        (1, "first", ""),
        (2, "Part", "stop"),
        (3, "second, better", ""),
        (4, "Two", "stop"),
        (5, "-", ""),
        (6, "-", ""),
    ]
    assert await shown(domain, room) == expected
    assert await stored(domain, room) == expected
    assert [turn.content for turn in domain.model.talks[1].context.turns][-1] == "second, better"


async def test_a_merged_message_can_still_be_edited_before_its_turn(domain: Domain) -> None:
    room = await talking(domain, "second")
    await domain.send(room, "third", on_busy=OnBusy.MERGE)
    queued = await waiting(domain, room)
    assert [message.content for message in queued] == ["second", "third"]
    await domain.edit(room, queued[0].message_id, "other")
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    await settle()
    assert [turn.content for turn in domain.model.talks[1].context.turns if turn.content][-2:] == ["other", "third"]


async def test_a_stop_ends_a_reply_that_waits(domain: Domain) -> None:
    room = await talking(domain, "second")
    waiting = (await domain.page(room.room_id)).messages[3]
    stopped = await domain.stop(room, waiting.message_id)
    assert (stopped.content, stopped.finish_reason) == ("", FinishReason.STOPPED)
    assert not domain.model.talks[0].closed
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    assert len(domain.model.talks) == 1
