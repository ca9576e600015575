"""Continuing a reply that ended before it was whole: it goes on in its slot, from the text that it has."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import (
    AnswerEmpty,
    CacheUnavailable,
    IdempotencyMismatch,
    IllegalTransition,
    InvalidRequest,
    LimitReached,
    LlmError,
    RoomBusy,
)
from parlor.llm.ports import PromptTurn
from parlor.model.messages import FinishReason, Message
from parlor.model.requests import Idempotency, ReplyMode
from parlor.rooms.commands import Continue, MessageDone
from parlor.rooms.room import Room
from tests.unit.domain import Domain, DomainMaker, crash, settle

pytestmark = pytest.mark.unit

KEPT = "Ein Stück 🎉, "


async def cut(domain: Domain, reason: FinishReason = FinishReason.LENGTH, text: str = KEPT) -> tuple[Room, Message]:
    """Returns a room whose last reply ended by ``reason``."""
    room = await domain.opened()
    receipt = await domain.send(room, "question")
    await settle()
    assert receipt.reply is not None
    reply_id = receipt.reply.message_id
    domain.model.talks[0].say(text)
    await domain.clock.advance(0.1)
    match reason:
        case FinishReason.STOPPED:
            await domain.stop(room, reply_id)
        case FinishReason.ERROR:
            domain.model.talks[0].fail(LlmError())
        case FinishReason.INTERRUPTED:
            room = domain.room(room.room_id)
            await domain.wake(room)
        case _:
            domain.model.talks[0].finish(reason)
    await domain.clock.advance(0.1)
    reply = await domain.message(room.room_id, reply_id)
    assert (reply.content, reply.finish_reason) == (text, reason)
    return room, reply


async def variants(domain: Domain, room: Room, message: Message) -> list[tuple[int, str]]:
    found = (await domain.history.variants(room.room_id, domain.ada.account_id, message.message_id, limit=20)).messages
    return [(each.attempt, each.content) for each in found]


async def told(domain: Domain, room: Room, attempt: int) -> str:
    """Returns the text of an attempt as a reader puts it together, from a reset and pieces without a hole."""
    text: str | None = None
    for kind, data in await domain.events(room.room_id):
        if data.get("attempt") == attempt and kind == "message.reset":
            text = ""
        elif data.get("attempt") == attempt and kind == "message.delta":
            assert text is not None
            assert data["offset"] == len(text)
            text += data["text"]
    assert text is not None
    return text


@pytest.mark.parametrize(
    "reason", [FinishReason.LENGTH, FinishReason.STOPPED, FinishReason.ERROR, FinishReason.INTERRUPTED]
)
async def test_a_reply_goes_on_from_what_it_has(new_domain: DomainMaker, reason: FinishReason) -> None:
    domain = new_domain(rooms={"crash_policy": "fail"})
    room, reply = await cut(domain, reason)
    begun = await domain.go_on(room, reply.message_id)
    assert (begun.message_id, begun.seq, begun.attempt, begun.state) == (reply.message_id, 2, 2, "COMPOSING")
    assert (begun.content, begun.is_streaming, begun.finish_reason) == (KEPT, True, None)
    await domain.answer(1, "das letzte.")
    now = await domain.message(room.room_id, reply.message_id)
    assert (now.content, now.finish_reason, now.error) == (f"{KEPT}das letzte.", FinishReason.STOP, None)
    assert await variants(domain, room, reply) == [(1, KEPT), (2, f"{KEPT}das letzte.")]
    kinds = await domain.kinds(room.room_id)
    assert kinds[-5:] == ["message.updated", "message.reset", "message.delta", "message.delta", "message.completed"]
    assert await told(domain, room, 2) == f"{KEPT}das letzte."


async def test_the_model_is_asked_to_go_on_from_its_own_words(domain: Domain) -> None:
    room, reply = await cut(domain)
    await domain.go_on(room, reply.message_id)
    await settle()
    assert domain.model.talks[1].context.turns == [PromptTurn("user", "question"), PromptTurn("assistant", KEPT)]


async def test_a_reply_to_which_nothing_is_added_is_whole(domain: Domain) -> None:
    room, reply = await cut(domain)
    await domain.go_on(room, reply.message_id)
    await settle()
    domain.model.talks[1].fail(AnswerEmpty())
    await domain.clock.advance(0.1)
    now = await domain.message(room.room_id, reply.message_id)
    assert (now.content, now.finish_reason, now.error) == (KEPT, FinishReason.STOP, None)


async def test_a_page_shows_what_is_kept_from_the_first_moment(domain: Domain) -> None:
    room, reply = await cut(domain)
    domain.pipeline.gates["start_attempt"] = gate = asyncio.Event()
    await domain.go_on(room, reply.message_id)
    await settle()
    before = await domain.message(room.room_id, reply.message_id)
    assert (before.content, before.attempt, before.is_streaming) == (KEPT, 2, True)
    gate.set()
    await settle()
    domain.model.talks[1].say("more")
    await domain.clock.advance(0.1)
    assert (await domain.message(room.room_id, reply.message_id)).content == f"{KEPT}more"


async def test_a_reply_without_a_word_begins_with_none(domain: Domain) -> None:
    room, reply = await cut(domain, FinishReason.STOPPED, text="")
    await domain.go_on(room, reply.message_id)
    await domain.answer(1, "All of it")
    assert await told(domain, room, 2) == "All of it"
    assert domain.model.talks[1].context.turns == [PromptTurn("user", "question")]


async def test_a_continued_reply_can_be_continued_and_regenerated(domain: Domain) -> None:
    room, reply = await cut(domain, text="one ")
    await domain.go_on(room, reply.message_id)
    await settle()
    domain.model.talks[1].say("two ")
    domain.model.talks[1].finish(FinishReason.LENGTH)
    await domain.clock.advance(0.1)
    await domain.go_on(room, reply.message_id)
    await domain.answer(2, "three")
    await domain.regenerate(room, reply.message_id)
    await domain.answer(3, "anew")
    assert await variants(domain, room, reply) == [(1, "one "), (2, "one two "), (3, "one two three"), (4, "anew")]
    await domain.write_all()
    await domain.forget_room(room.room_id)
    assert await variants(domain, room, reply) == [(1, "one "), (2, "one two "), (3, "one two three"), (4, "anew")]


async def test_a_continuation_that_is_stopped_keeps_both_parts(domain: Domain) -> None:
    room, reply = await cut(domain)
    await domain.go_on(room, reply.message_id)
    await settle()
    domain.model.talks[1].say("more")
    await settle()
    stopped = await domain.stop(room, reply.message_id)
    assert (stopped.content, stopped.finish_reason) == (f"{KEPT}more", FinishReason.STOPPED)


async def test_a_continuation_that_is_stopped_before_it_begins_keeps_what_there_was(domain: Domain) -> None:
    room, reply = await cut(domain)
    domain.pipeline.gates["start_attempt"] = gate = asyncio.Event()
    await domain.go_on(room, reply.message_id)
    await settle()
    stopping = domain.spawn(domain.stop(room, reply.message_id))
    await settle()
    gate.set()
    assert (await stopping).content == KEPT


@pytest.mark.parametrize("reason", [FinishReason.STOP, None])
async def test_a_reply_that_is_whole_or_gone_is_not_continued(domain: Domain, reason: FinishReason | None) -> None:
    room, reply = await cut(domain, reason or FinishReason.LENGTH)
    if reason is None:
        await domain.delete_message(room, reply.message_id)
    with pytest.raises(IllegalTransition) as refused:
        await domain.go_on(room, reply.message_id)
    assert refused.value.extra["to"] == "COMPOSING"
    assert len(domain.model.talks) == 1


async def test_only_the_last_reply_is_continued_and_nothing_but_a_reply(domain: Domain) -> None:
    room, reply = await cut(domain)
    last = await domain.send(room, "another", reply=ReplyMode.NONE)
    with pytest.raises(IllegalTransition):
        await domain.go_on(room, reply.message_id)
    with pytest.raises(InvalidRequest):
        await domain.go_on(room, last.message.message_id)


async def test_a_reply_in_progress_is_not_continued(domain: Domain) -> None:
    room, reply = await cut(domain)
    await domain.go_on(room, reply.message_id)
    with pytest.raises(RoomBusy):
        await domain.go_on(room, reply.message_id)


async def test_a_reply_at_the_size_limit_is_not_continued(new_domain: DomainMaker) -> None:
    domain = new_domain(llm={"reply_max": len(KEPT)})
    room, reply = await cut(domain)
    with pytest.raises(LimitReached):
        await domain.go_on(room, reply.message_id)
    assert (await domain.message(room.room_id, reply.message_id)).content == KEPT


async def test_asking_again_begins_no_second_attempt(domain: Domain) -> None:
    room, reply = await cut(domain)
    domain.pipeline.lose["regenerate_reply"] = 1
    with pytest.raises(CacheUnavailable):
        await domain.go_on(room, reply.message_id, "nonce")
    again = await domain.go_on(room, reply.message_id, "nonce")
    assert (again.attempt, again.is_streaming) == (2, True)
    await domain.answer(1, "whole")
    late = await domain.go_on(room, reply.message_id, "nonce")
    assert (late.content, late.finish_reason) == (f"{KEPT}whole", FinishReason.STOP)
    assert await variants(domain, room, reply) == [(1, KEPT), (2, f"{KEPT}whole")]


@pytest.mark.parametrize("moment", ["before it begins", "while it is written"])
@pytest.mark.parametrize("cache", ["there", "empty"])
async def test_who_takes_it_over_begins_with_what_was_kept(domain: Domain, moment: str, cache: str) -> None:
    room, reply = await cut(domain)
    if moment == "before it begins":
        domain.pipeline.gates["start_attempt"] = asyncio.Event()
    await domain.go_on(room, reply.message_id)
    await settle()
    if moment == "while it is written":
        domain.model.talks[1].say("lost")
        await domain.clock.advance(0.1)
    await crash(room)
    domain.pipeline.gates.clear()
    if cache == "empty":
        await domain.write_all()
        await domain.forget_room(room.room_id)
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    assert (await domain.message(room.room_id, reply.message_id)).content == KEPT
    await domain.answer(len(domain.model.talks) - 1, "whole")
    now = await domain.message(room.room_id, reply.message_id)
    assert (now.content, now.finish_reason) == (f"{KEPT}whole", FinishReason.STOP)
    assert (await variants(domain, other, reply))[0] == (1, KEPT)


async def test_a_continuation_that_nobody_may_try_again_keeps_what_there_is(new_domain: DomainMaker) -> None:
    domain = new_domain(rooms={"crash_policy": "fail"})
    room, reply = await cut(domain)
    await domain.go_on(room, reply.message_id)
    await settle()
    domain.model.talks[1].say("more")
    await domain.clock.advance(0.1)
    await crash(room)
    await domain.wake(domain.room(room.room_id))
    await settle()
    now = await domain.message(room.room_id, reply.message_id)
    assert (now.content, now.finish_reason) == (f"{KEPT}more", FinishReason.INTERRUPTED)


async def test_a_repeat_with_its_key_is_answered_though_the_reply_is_whole_by_then(domain: Domain) -> None:
    room, reply = await cut(domain)
    once = Idempotency("k", "continue")
    command = [Continue(domain.ada, room.room_id, "", reply.message_id, nonce, once) for nonce in ("n1", "n2", "n3")]
    first = await room.execute(command[0])
    again = await room.execute(command[1])
    await domain.answer(1, "das letzte.")
    late = await room.execute(command[2])
    assert isinstance(first, MessageDone)
    assert isinstance(again, MessageDone)
    assert isinstance(late, MessageDone)
    assert [first.replayed, again.replayed, late.replayed] == [False, True, True]
    assert again.message == first.message
    assert (late.message.attempt, late.message.content) == (2, f"{KEPT}das letzte.")
    other = Continue(domain.ada, room.room_id, "", reply.message_id, "n4", Idempotency("k", "another"))
    with pytest.raises(IdempotencyMismatch):
        await room.execute(other)
