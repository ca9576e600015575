"""Stop, regenerate, edit: earlier versions are kept, and a late command does not change them."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import CacheUnavailable, IllegalTransition, InvalidRequest, RoomBusy
from parlor.model.messages import Durability, FinishReason, Message
from parlor.model.requests import ReplyMode
from parlor.model.states import MessageState
from parlor.rooms.room import Room
from tests.unit.domain import HOME, Domain, DomainMaker
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit


async def answered(domain: Domain, text: str = "One") -> tuple[Room, Message]:
    """Returns a room with one turn that has ended."""
    room = await domain.opened()
    receipt = await domain.send(room, "question")
    await domain.answer(0, text)
    assert receipt.reply is not None
    return room, await domain.message(room.room_id, receipt.reply.message_id)


async def running(domain: Domain, text: str = "Part") -> tuple[Room, Message]:
    room = await domain.opened()
    receipt = await domain.send(room, "question")
    await settle()
    domain.model.talks[0].say(text)
    await domain.clock.advance(0.1)
    assert receipt.reply is not None
    return room, receipt.reply


async def variants(domain: Domain, room: Room, message: Message) -> list[tuple[int, str]]:
    found = (await domain.history.variants(room.room_id, domain.ada.account_id, message.message_id, limit=20)).messages
    return [(each.attempt, each.content) for each in found]


# Stop


async def test_a_stop_keeps_the_partial_text_and_hangs_up(domain: Domain) -> None:
    room, reply = await running(domain)
    stopped = await domain.stop(room, reply.message_id)
    assert (stopped.content, stopped.finish_reason, stopped.is_streaming) == ("Part", FinishReason.STOPPED, False)
    assert domain.model.talks[0].closed
    assert (await domain.kinds(room.room_id))[-2:] == ["message.delta", "message.stopped"]


async def test_a_stop_keeps_text_that_no_delta_has_carried_yet(domain: Domain) -> None:
    room, reply = await running(domain)
    domain.model.talks[0].say("ial")
    await settle()
    assert (await domain.stop(room, reply.message_id)).content == "Partial"
    deltas = [data["text"] for kind, data in await domain.events(room.room_id) if kind == "message.delta"]
    assert "".join(deltas) == "Partial"


async def test_a_second_stop_changes_nothing(domain: Domain) -> None:
    room, reply = await running(domain)
    first = await domain.stop(room, reply.message_id)
    before = await domain.kinds(room.room_id)
    assert await domain.stop(room, reply.message_id) == first
    assert await domain.kinds(room.room_id) == before


async def test_a_late_stop_never_ends_the_next_reply(domain: Domain) -> None:
    room, reply = await answered(domain)
    following = await domain.send(room, "next")
    await settle()
    assert (await domain.stop(room, reply.message_id)).finish_reason is FinishReason.STOP
    assert following.reply is not None
    assert (await domain.message(room.room_id, following.reply.message_id)).is_streaming


async def test_a_late_stop_of_one_attempt_does_not_end_the_next_attempt(domain: Domain) -> None:
    room, reply = await answered(domain)
    await domain.regenerate(room, reply.message_id)
    await settle()
    assert (await domain.stop(room, reply.message_id, attempt=1)).is_streaming
    assert not (await domain.stop(room, reply.message_id, attempt=2)).is_streaming


async def test_only_a_reply_can_be_stopped(domain: Domain) -> None:
    room = await domain.opened()
    message = await domain.say(room)
    with pytest.raises(InvalidRequest):
        await domain.stop(room, message.message_id)


async def test_a_stop_reaches_a_model_that_hangs_before_its_first_token(domain: Domain) -> None:
    room = await domain.opened()
    receipt = await domain.send(room)
    await settle()
    assert receipt.reply is not None
    stopped = await domain.stop(room, receipt.reply.message_id)
    assert (stopped.content, stopped.finish_reason) == ("", FinishReason.STOPPED)


async def test_a_new_owner_stops_what_another_one_was_writing(domain: Domain) -> None:
    room, reply = await running(domain)
    other = domain.room(room.room_id)
    stopped = await domain.stop(other, reply.message_id)
    assert (stopped.content, stopped.finish_reason) == ("Part", FinishReason.STOPPED)
    domain.model.talks[0].say("ly")
    await domain.clock.advance(1)
    assert (await domain.message(room.room_id, reply.message_id)).content == "Part"
    assert len(domain.model.talks) == 1


async def test_a_stop_that_cannot_be_written_says_so_and_happens_later(domain: Domain) -> None:
    room, reply = await running(domain)
    gate = domain.pipeline.gates["complete_reply"] = asyncio.Event()
    with pytest.MonkeyPatch.context() as short:
        short.setattr("parlor.rooms.reply_queue.STOP_SECONDS", 0.01)
        with pytest.raises(CacheUnavailable):
            await domain.stop(room, reply.message_id)
    gate.set()
    await settle()
    assert (await domain.message(room.room_id, reply.message_id)).finish_reason is FinishReason.STOPPED


# Regenerate


async def test_a_new_attempt_takes_the_same_slot_and_keeps_the_old_one(domain: Domain) -> None:
    room, reply = await answered(domain)
    begun = await domain.regenerate(room, reply.message_id)
    assert (begun.message_id, begun.seq, begun.attempt, begun.state) == (reply.message_id, 2, 2, "COMPOSING")
    assert (begun.content, begun.is_streaming, begun.finish_reason) == ("", True, None)
    await domain.answer(1, "Two")
    assert await variants(domain, room, reply) == [(1, "One"), (2, "Two")]
    assert await domain.texts(room.room_id) == [(1, "question"), (2, "Two")]
    kinds = await domain.kinds(room.room_id)
    assert kinds[-4:] == ["message.updated", "message.reset", "message.delta", "message.completed"]
    assert [turn.content for turn in domain.model.talks[1].context.turns] == ["question"]


@pytest.mark.parametrize("stored_first", [True, False])
async def test_every_attempt_is_stored(domain: Domain, stored_first: bool) -> None:
    room, reply = await answered(domain)
    if stored_first:
        await domain.write_all()
    await domain.regenerate(room, reply.message_id)
    await domain.answer(1, "Two")
    await domain.regenerate(room, reply.message_id)
    await domain.answer(2, "Three")
    await domain.write_all()
    now = await domain.message(room.room_id, reply.message_id)
    assert (now.state, now.durability) == (MessageState.SENT, Durability.PERSISTED)
    await domain.forget_room(room.room_id)
    assert await variants(domain, room, reply) == [(1, "One"), (2, "Two"), (3, "Three")]
    assert [(row.seq, row.doc.content, row.doc.attempt) for row in await domain.rows(room.room_id)] == [
        (1, "question", 0),
        (2, "Three", 3),
    ]


async def test_the_first_attempts_commit_does_not_settle_the_second(domain: Domain) -> None:
    room, reply = await answered(domain)
    domain.store.commit_gate = asyncio.Event()
    domain.spawn(domain.writer().run())
    await domain.clock.advance(5)
    await domain.regenerate(room, reply.message_id)
    domain.store.commit_gate.set()
    await domain.clock.advance(5)
    now = await domain.message(room.room_id, reply.message_id)
    assert (now.state, now.is_streaming) == (MessageState.COMPOSING, True)
    await domain.answer(1, "Two")
    assert (await domain.message(room.room_id, reply.message_id)).content == "Two"


async def test_asking_again_begins_no_second_attempt(domain: Domain) -> None:
    room, reply = await answered(domain)
    domain.pipeline.lose["regenerate_reply"] = 1
    with pytest.raises(CacheUnavailable):
        await domain.regenerate(room, reply.message_id, "nonce")
    again = await domain.regenerate(room, reply.message_id, "nonce")
    assert (again.attempt, again.is_streaming) == (2, True)
    await domain.answer(1, "Two")
    assert await variants(domain, room, reply) == [(1, "One"), (2, "Two")]


async def test_a_reply_in_progress_is_not_regenerated(domain: Domain) -> None:
    room, reply = await running(domain)
    with pytest.raises(RoomBusy):
        await domain.regenerate(room, reply.message_id)
    assert not domain.model.talks[0].closed


async def test_only_the_last_reply_is_regenerated(domain: Domain) -> None:
    room, reply = await answered(domain)
    last = await domain.send(room, "another", reply=ReplyMode.NONE)
    with pytest.raises(IllegalTransition) as refused:
        await domain.regenerate(room, reply.message_id)
    assert refused.value.extra == {"from": "PENDING", "to": "COMPOSING"}
    with pytest.raises(InvalidRequest):
        await domain.regenerate(room, last.message.message_id)
    await domain.delete_message(room, last.message.message_id)
    assert (await domain.regenerate(room, reply.message_id)).attempt == 2


async def test_a_deleted_reply_is_not_regenerated_and_its_attempts_are_gone(domain: Domain) -> None:
    room, reply = await answered(domain)
    await domain.regenerate(room, reply.message_id)
    await domain.answer(1, "Two")
    await domain.write_all()
    await domain.delete_message(room, reply.message_id)
    with pytest.raises(IllegalTransition):
        await domain.regenerate(room, reply.message_id)
    await domain.write_all()
    assert await variants(domain, room, reply) == [(2, "")]
    shard = await domain.store.shard_of(HOME)
    assert await domain.store.versions_get(shard, room.room_id, 2, limit=10) == []


async def test_a_stopped_attempt_is_a_variant_too(domain: Domain) -> None:
    room, reply = await running(domain)
    await domain.stop(room, reply.message_id)
    await domain.regenerate(room, reply.message_id)
    await domain.answer(1, "Whole")
    assert await variants(domain, room, reply) == [(1, "Part"), (2, "Whole")]


async def test_a_new_attempt_that_dies_with_its_owner_is_tried_again(domain: Domain) -> None:
    room, reply = await answered(domain)
    await domain.regenerate(room, reply.message_id)
    await settle()
    domain.model.talks[1].say("Lost")
    await domain.clock.advance(0.1)
    other = domain.room(room.room_id)
    await domain.wake(other)
    await domain.answer(2, "Three")
    now = await domain.message(room.room_id, reply.message_id)
    assert (now.content, now.attempt, now.finish_reason) == ("Three", 3, FinishReason.STOP)
    assert await variants(domain, other, reply) == [(1, "One"), (3, "Three")]


async def test_an_attempt_that_was_asked_for_survives_an_empty_redis(domain: Domain) -> None:
    room, reply = await answered(domain)
    await domain.regenerate(room, reply.message_id)
    await domain.write_all()
    await domain.forget_room(room.room_id)
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    await domain.answer(len(domain.model.talks) - 1, "Again")
    assert await variants(domain, other, reply) == [(1, "One"), (2, "Again")]


# Edit


async def test_each_version_of_a_question_says_from_which_attempt_on_it_is_answered(domain: Domain) -> None:
    room, reply = await answered(domain)
    question = (await domain.page(room.room_id)).messages[0]
    await domain.regenerate(room, reply.message_id)
    await domain.answer(1, "Two")
    await domain.edit(room, question.message_id, "better question")
    await domain.answer(2, "Three")
    await domain.write_all()
    await domain.forget_room(room.room_id)
    found = await domain.history.variants(room.room_id, domain.ada.account_id, question.message_id, limit=10)
    assert [message.metadata.get("answered_from") for message in found.messages] == [None, 3]


async def test_an_edit_begins_the_reply_anew_and_keeps_both_texts(domain: Domain) -> None:
    room, reply = await answered(domain)
    question = (await domain.page(room.room_id)).messages[0]
    receipt = await domain.edit(room, question.message_id, "better question")
    assert (receipt.message.content, receipt.message.state) == ("better question", MessageState.PENDING)
    assert "edited_at" in receipt.message.metadata
    assert receipt.reply is not None
    assert (receipt.reply.message_id, receipt.reply.attempt, receipt.reply.state) == (reply.message_id, 2, "COMPOSING")
    await domain.answer(1, "Better answer")
    assert await domain.texts(room.room_id) == [(1, "better question"), (2, "Better answer")]
    assert await variants(domain, room, question) == [(0, "question"), (0, "better question")]
    assert await variants(domain, room, reply) == [(1, "One"), (2, "Better answer")]
    await domain.write_all()
    await domain.forget_room(room.room_id)
    assert await variants(domain, room, question) == [(0, "question"), (0, "better question")]
    assert await domain.texts(room.room_id) == [(1, "better question"), (2, "Better answer")]
    assert [turn.content for turn in domain.model.talks[1].context.turns] == ["better question"]


async def test_an_edit_stops_the_reply_that_has_read_the_old_text(domain: Domain) -> None:
    room, reply = await running(domain)
    question = (await domain.page(room.room_id)).messages[0]
    receipt = await domain.edit(room, question.message_id, "better question")
    assert domain.model.talks[0].closed
    assert receipt.reply is not None
    assert receipt.reply.attempt == 2
    await domain.answer(1, "Better answer")
    assert await variants(domain, room, reply) == [(1, "Part"), (2, "Better answer")]


async def test_asking_again_edits_once(domain: Domain) -> None:
    room, reply = await answered(domain)
    question = (await domain.page(room.room_id)).messages[0]
    domain.pipeline.lose["edit_message"] = 1
    with pytest.raises(CacheUnavailable):
        await domain.edit(room, question.message_id, "better", "nonce")
    again = await domain.edit(room, question.message_id, "better", "nonce")
    assert again.reply is not None
    assert (again.message.content, again.reply.attempt) == ("better", 2)
    await domain.answer(1, "Two")
    assert await variants(domain, room, question) == [(0, "question"), (0, "better")]
    assert await variants(domain, room, reply) == [(1, "One"), (2, "Two")]


async def test_only_the_last_message_of_a_person_can_be_edited(domain: Domain) -> None:
    room, reply = await answered(domain)
    question = (await domain.page(room.room_id)).messages[0]
    await domain.send(room, "next")
    await settle()
    with pytest.raises(IllegalTransition):
        await domain.edit(room, question.message_id, "too late")
    assert not domain.model.talks[1].closed
    with pytest.raises(InvalidRequest):
        await domain.edit(room, reply.message_id, "words in its mouth")


async def test_a_message_without_a_reply_is_edited_alone(domain: Domain) -> None:
    room = await domain.opened()
    note = await domain.say(room, "note")
    receipt = await domain.edit(room, note.message_id, "note, edited")
    assert receipt.reply is None
    assert await domain.texts(room.room_id) == [(1, "note, edited")]
    await domain.write_all()
    assert (await domain.message(room.room_id, note.message_id)).state is MessageState.SENT


async def test_an_edit_is_sent_only_when_its_own_text_is_committed(domain: Domain) -> None:
    room = await domain.opened()
    note = await domain.say(room, "note")
    domain.store.commit_gate = gate = asyncio.Event()
    domain.spawn(domain.writer().run())
    await domain.clock.advance(5)
    await domain.edit(room, note.message_id, "note, edited")
    domain.store.commit_gate = again = asyncio.Event()
    gate.set()
    await domain.clock.advance(0.5)
    assert (await domain.message(room.room_id, note.message_id)).durability is Durability.CACHED
    again.set()
    await domain.clock.advance(10)
    assert (await domain.message(room.room_id, note.message_id)).state is MessageState.SENT
    assert [row.doc.content for row in await domain.rows(room.room_id)] == ["note, edited"]


# Death of an owner


async def test_by_policy_a_reply_whose_owner_died_ends_with_what_there_is(new_domain: DomainMaker) -> None:
    domain = new_domain(rooms={"crash_policy": "fail"})
    room, reply = await running(domain)
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    now = await domain.message(room.room_id, reply.message_id)
    assert (now.content, now.finish_reason, now.attempt) == ("Part", FinishReason.INTERRUPTED, 1)
    assert (await domain.kinds(room.room_id))[-1] == "message.failed"


async def test_by_policy_a_reply_that_was_not_begun_is_begun_all_the_same(new_domain: DomainMaker) -> None:
    domain = new_domain(rooms={"crash_policy": "fail"})
    room, _ = await running(domain)
    waiting = await domain.send(room, "second")
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    await domain.answer(1, "Two")
    assert waiting.reply is not None
    assert (await domain.message(room.room_id, waiting.reply.message_id)).content == "Two"
