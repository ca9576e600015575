"""Stop, regenerate, edit: what was said is kept, and nothing that comes late changes it."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import CacheUnavailable, IllegalTransition, InvalidRequest, RoomBusy
from parlor.model import Durability, FinishReason, Message, ReplyMode
from parlor.room import Room
from parlor.states import MessageState
from tests.unit.clockwork import settle
from tests.unit.rig import HOME, Rig, RigMaker

pytestmark = pytest.mark.unit


async def answered(rig: Rig, text: str = "One") -> tuple[Room, Message]:
    """A room with one turn that has ended."""
    room = await rig.opened()
    receipt = await rig.send(room, "question")
    await rig.answer(0, text)
    assert receipt.reply is not None
    return room, await rig.message(room.room_id, receipt.reply.message_id)


async def running(rig: Rig, text: str = "Part") -> tuple[Room, Message]:
    room = await rig.opened()
    receipt = await rig.send(room, "question")
    await settle()
    rig.model.talks[0].say(text)
    await rig.clock.advance(0.1)
    assert receipt.reply is not None
    return room, receipt.reply


async def variants(rig: Rig, room: Room, message: Message) -> list[tuple[int, str]]:
    found = await rig.history.variants(room.room_id, rig.ada.account_id, message.message_id)
    return [(each.attempt, each.content) for each in found]


# Stop


async def test_a_stop_keeps_the_partial_text_and_hangs_up(rig: Rig) -> None:
    room, reply = await running(rig)
    stopped = await rig.stop(room, reply.message_id)
    assert (stopped.content, stopped.finish_reason, stopped.is_streaming) == ("Part", FinishReason.STOPPED, False)
    assert rig.model.talks[0].closed
    assert (await rig.kinds(room.room_id))[-2:] == ["message.delta", "message.stopped"]


async def test_a_stop_keeps_text_that_no_delta_has_carried_yet(rig: Rig) -> None:
    room, reply = await running(rig)
    rig.model.talks[0].say("ial")
    await settle()
    assert (await rig.stop(room, reply.message_id)).content == "Partial"
    deltas = [data["text"] for kind, data in await rig.events(room.room_id) if kind == "message.delta"]
    assert "".join(deltas) == "Partial"


async def test_a_second_stop_changes_nothing(rig: Rig) -> None:
    room, reply = await running(rig)
    first = await rig.stop(room, reply.message_id)
    before = await rig.kinds(room.room_id)
    assert await rig.stop(room, reply.message_id) == first
    assert await rig.kinds(room.room_id) == before


async def test_a_late_stop_never_ends_the_next_reply(rig: Rig) -> None:
    room, reply = await answered(rig)
    following = await rig.send(room, "next")
    await settle()
    assert (await rig.stop(room, reply.message_id)).finish_reason is FinishReason.STOP
    assert following.reply is not None
    assert (await rig.message(room.room_id, following.reply.message_id)).is_streaming


async def test_a_late_stop_of_one_attempt_does_not_end_the_next_attempt(rig: Rig) -> None:
    room, reply = await answered(rig)
    await rig.regenerate(room, reply.message_id)
    await settle()
    assert (await rig.stop(room, reply.message_id, attempt=1)).is_streaming
    assert not (await rig.stop(room, reply.message_id, attempt=2)).is_streaming


async def test_only_a_reply_can_be_stopped(rig: Rig) -> None:
    room = await rig.opened()
    message = await rig.say(room)
    with pytest.raises(InvalidRequest):
        await rig.stop(room, message.message_id)


async def test_a_stop_reaches_a_model_that_hangs_before_its_first_token(rig: Rig) -> None:
    room = await rig.opened()
    receipt = await rig.send(room)
    await settle()
    assert receipt.reply is not None
    stopped = await rig.stop(room, receipt.reply.message_id)
    assert (stopped.content, stopped.finish_reason) == ("", FinishReason.STOPPED)


async def test_a_new_owner_stops_what_another_one_was_writing(rig: Rig) -> None:
    room, reply = await running(rig)
    other = rig.room(room.room_id)
    stopped = await rig.stop(other, reply.message_id)
    assert (stopped.content, stopped.finish_reason) == ("Part", FinishReason.STOPPED)
    rig.model.talks[0].say("ly")
    await rig.clock.advance(1)
    assert (await rig.message(room.room_id, reply.message_id)).content == "Part"
    assert len(rig.model.talks) == 1


async def test_a_stop_that_cannot_be_written_says_so_and_happens_later(rig: Rig) -> None:
    room, reply = await running(rig)
    gate = rig.pipeline.gates["complete_reply"] = asyncio.Event()
    with pytest.MonkeyPatch.context() as short:
        short.setattr("parlor.reply_queue.STOP_SECONDS", 0.01)
        with pytest.raises(CacheUnavailable):
            await rig.stop(room, reply.message_id)
    gate.set()
    await settle()
    assert (await rig.message(room.room_id, reply.message_id)).finish_reason is FinishReason.STOPPED


# Regenerate


async def test_a_new_attempt_takes_the_same_place_and_keeps_the_old_one(rig: Rig) -> None:
    room, reply = await answered(rig)
    begun = await rig.regenerate(room, reply.message_id)
    assert (begun.message_id, begun.seq, begun.attempt, begun.state) == (reply.message_id, 2, 2, "COMPOSING")
    assert (begun.content, begun.is_streaming, begun.finish_reason) == ("", True, None)
    await rig.answer(1, "Two")
    assert await variants(rig, room, reply) == [(1, "One"), (2, "Two")]
    assert await rig.texts(room.room_id) == [(1, "question"), (2, "Two")]
    kinds = await rig.kinds(room.room_id)
    assert kinds[-4:] == ["message.updated", "message.reset", "message.delta", "message.completed"]
    assert [turn.content for turn in rig.model.talks[1].context.turns] == ["question"]


@pytest.mark.parametrize("stored_first", [True, False])
async def test_every_attempt_is_stored(rig: Rig, stored_first: bool) -> None:
    room, reply = await answered(rig)
    if stored_first:
        await rig.write_all()
    await rig.regenerate(room, reply.message_id)
    await rig.answer(1, "Two")
    await rig.regenerate(room, reply.message_id)
    await rig.answer(2, "Three")
    await rig.write_all()
    now = await rig.message(room.room_id, reply.message_id)
    assert (now.state, now.durability) == (MessageState.SENT, Durability.PERSISTED)
    await rig.forget_room(room.room_id)
    assert await variants(rig, room, reply) == [(1, "One"), (2, "Two"), (3, "Three")]
    assert [(row.seq, row.doc.content, row.doc.attempt) for row in await rig.rows(room.room_id)] == [
        (1, "question", 0),
        (2, "Three", 3),
    ]


async def test_the_first_attempts_commit_does_not_settle_the_second(rig: Rig) -> None:
    room, reply = await answered(rig)
    rig.store.commit_gate = asyncio.Event()
    rig.spawn(rig.writer().run())
    await rig.clock.advance(5)
    await rig.regenerate(room, reply.message_id)
    rig.store.commit_gate.set()
    await rig.clock.advance(5)
    now = await rig.message(room.room_id, reply.message_id)
    assert (now.state, now.is_streaming) == (MessageState.COMPOSING, True)
    await rig.answer(1, "Two")
    assert (await rig.message(room.room_id, reply.message_id)).content == "Two"


async def test_asking_again_begins_no_second_attempt(rig: Rig) -> None:
    room, reply = await answered(rig)
    rig.pipeline.lose["regenerate_reply"] = 1
    with pytest.raises(CacheUnavailable):
        await rig.regenerate(room, reply.message_id, "nonce")
    again = await rig.regenerate(room, reply.message_id, "nonce")
    assert (again.attempt, again.is_streaming) == (2, True)
    await rig.answer(1, "Two")
    assert await variants(rig, room, reply) == [(1, "One"), (2, "Two")]


async def test_a_reply_in_progress_is_not_regenerated(rig: Rig) -> None:
    room, reply = await running(rig)
    with pytest.raises(RoomBusy):
        await rig.regenerate(room, reply.message_id)
    assert not rig.model.talks[0].closed


async def test_only_the_last_reply_is_regenerated(rig: Rig) -> None:
    room, reply = await answered(rig)
    last = await rig.send(room, "another", reply=ReplyMode.NONE)
    with pytest.raises(IllegalTransition) as refused:
        await rig.regenerate(room, reply.message_id)
    assert refused.value.extra == {"from": "PENDING", "to": "COMPOSING"}
    with pytest.raises(InvalidRequest):
        await rig.regenerate(room, last.message.message_id)
    await rig.delete_message(room, last.message.message_id)
    assert (await rig.regenerate(room, reply.message_id)).attempt == 2


async def test_a_deleted_reply_is_not_regenerated_and_its_attempts_are_gone(rig: Rig) -> None:
    room, reply = await answered(rig)
    await rig.regenerate(room, reply.message_id)
    await rig.answer(1, "Two")
    await rig.write_all()
    await rig.delete_message(room, reply.message_id)
    with pytest.raises(IllegalTransition):
        await rig.regenerate(room, reply.message_id)
    await rig.write_all()
    assert await variants(rig, room, reply) == [(2, "")]
    shard = await rig.store.shard_of(HOME)
    assert await rig.store.versions_get(shard, room.room_id, 2) == []


async def test_a_stopped_attempt_is_a_variant_too(rig: Rig) -> None:
    room, reply = await running(rig)
    await rig.stop(room, reply.message_id)
    await rig.regenerate(room, reply.message_id)
    await rig.answer(1, "Whole")
    assert await variants(rig, room, reply) == [(1, "Part"), (2, "Whole")]


async def test_a_new_attempt_that_dies_with_its_owner_is_tried_again(rig: Rig) -> None:
    room, reply = await answered(rig)
    await rig.regenerate(room, reply.message_id)
    await settle()
    rig.model.talks[1].say("Lost")
    await rig.clock.advance(0.1)
    other = rig.room(room.room_id)
    await rig.wake(other)
    await rig.answer(2, "Three")
    now = await rig.message(room.room_id, reply.message_id)
    assert (now.content, now.attempt, now.finish_reason) == ("Three", 3, FinishReason.STOP)
    assert await variants(rig, other, reply) == [(1, "One"), (3, "Three")]


async def test_an_attempt_that_was_asked_for_survives_an_empty_redis(rig: Rig) -> None:
    room, reply = await answered(rig)
    await rig.regenerate(room, reply.message_id)
    await rig.write_all()
    await rig.forget_room(room.room_id)
    other = rig.room(room.room_id)
    await rig.wake(other)
    await settle()
    await rig.answer(len(rig.model.talks) - 1, "Again")
    assert await variants(rig, other, reply) == [(1, "One"), (2, "Again")]


# Edit


async def test_an_edit_begins_the_reply_anew_and_keeps_both_texts(rig: Rig) -> None:
    room, reply = await answered(rig)
    question = (await rig.page(room.room_id)).messages[0]
    receipt = await rig.edit(room, question.message_id, "better question")
    assert (receipt.message.content, receipt.message.state) == ("better question", MessageState.PENDING)
    assert "edited_at" in receipt.message.metadata
    assert receipt.reply is not None
    assert (receipt.reply.message_id, receipt.reply.attempt, receipt.reply.state) == (reply.message_id, 2, "COMPOSING")
    await rig.answer(1, "Better answer")
    assert await rig.texts(room.room_id) == [(1, "better question"), (2, "Better answer")]
    assert await variants(rig, room, question) == [(0, "question"), (0, "better question")]
    assert await variants(rig, room, reply) == [(1, "One"), (2, "Better answer")]
    await rig.write_all()
    await rig.forget_room(room.room_id)
    assert await variants(rig, room, question) == [(0, "question"), (0, "better question")]
    assert await rig.texts(room.room_id) == [(1, "better question"), (2, "Better answer")]
    assert [turn.content for turn in rig.model.talks[1].context.turns] == ["better question"]


async def test_an_edit_stops_the_reply_that_has_read_the_old_text(rig: Rig) -> None:
    room, reply = await running(rig)
    question = (await rig.page(room.room_id)).messages[0]
    receipt = await rig.edit(room, question.message_id, "better question")
    assert rig.model.talks[0].closed
    assert receipt.reply is not None
    assert receipt.reply.attempt == 2
    await rig.answer(1, "Better answer")
    assert await variants(rig, room, reply) == [(1, "Part"), (2, "Better answer")]


async def test_asking_again_edits_once(rig: Rig) -> None:
    room, reply = await answered(rig)
    question = (await rig.page(room.room_id)).messages[0]
    rig.pipeline.lose["edit_message"] = 1
    with pytest.raises(CacheUnavailable):
        await rig.edit(room, question.message_id, "better", "nonce")
    again = await rig.edit(room, question.message_id, "better", "nonce")
    assert again.reply is not None
    assert (again.message.content, again.reply.attempt) == ("better", 2)
    await rig.answer(1, "Two")
    assert await variants(rig, room, question) == [(0, "question"), (0, "better")]
    assert await variants(rig, room, reply) == [(1, "One"), (2, "Two")]


async def test_only_the_last_message_of_a_person_can_be_edited(rig: Rig) -> None:
    room, reply = await answered(rig)
    question = (await rig.page(room.room_id)).messages[0]
    await rig.send(room, "next")
    await settle()
    with pytest.raises(IllegalTransition):
        await rig.edit(room, question.message_id, "too late")
    assert not rig.model.talks[1].closed
    with pytest.raises(InvalidRequest):
        await rig.edit(room, reply.message_id, "words in its mouth")


async def test_a_message_without_a_reply_is_edited_alone(rig: Rig) -> None:
    room = await rig.opened()
    note = await rig.say(room, "note")
    receipt = await rig.edit(room, note.message_id, "note, edited")
    assert receipt.reply is None
    assert await rig.texts(room.room_id) == [(1, "note, edited")]
    await rig.write_all()
    assert (await rig.message(room.room_id, note.message_id)).state is MessageState.SENT


async def test_an_edit_is_sent_only_when_its_own_text_is_committed(rig: Rig) -> None:
    room = await rig.opened()
    note = await rig.say(room, "note")
    rig.store.commit_gate = gate = asyncio.Event()
    rig.spawn(rig.writer().run())
    await rig.clock.advance(5)
    await rig.edit(room, note.message_id, "note, edited")
    rig.store.commit_gate = again = asyncio.Event()
    gate.set()
    await rig.clock.advance(0.5)
    assert (await rig.message(room.room_id, note.message_id)).durability is Durability.CACHED
    again.set()
    await rig.clock.advance(10)
    assert (await rig.message(room.room_id, note.message_id)).state is MessageState.SENT
    assert [row.doc.content for row in await rig.rows(room.room_id)] == ["note, edited"]


# Death of an owner


async def test_by_policy_a_reply_whose_owner_died_ends_with_what_there_is(new_rig: RigMaker) -> None:
    rig = new_rig(rooms={"crash_policy": "fail"})
    room, reply = await running(rig)
    other = rig.room(room.room_id)
    await rig.wake(other)
    await settle()
    now = await rig.message(room.room_id, reply.message_id)
    assert (now.content, now.finish_reason, now.attempt) == ("Part", FinishReason.INTERRUPTED, 1)
    assert (await rig.kinds(room.room_id))[-1] == "message.failed"


async def test_by_policy_a_reply_that_was_not_begun_is_begun_all_the_same(new_rig: RigMaker) -> None:
    rig = new_rig(rooms={"crash_policy": "fail"})
    room, _ = await running(rig)
    waiting = await rig.send(room, "second")
    other = rig.room(room.room_id)
    await rig.wake(other)
    await settle()
    await rig.answer(1, "Two")
    assert waiting.reply is not None
    assert (await rig.message(room.room_id, waiting.reply.message_id)).content == "Two"
