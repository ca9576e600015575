"""Edits and attempts that are asked for again with their idempotency key; and by another persona."""

from __future__ import annotations

import pytest

from parlor.errors import IdempotencyMismatch, LimitReached
from parlor.model.ids import MessageId
from parlor.model.requests import EditReceipt, Idempotency
from parlor.rooms.commands import Edit, EditDone, MessageDone, Regenerate
from parlor.rooms.room import Room
from tests.unit.domain import Domain, DomainMaker
from tests.unit.fake_clock import settle
from tests.unit.rooms.test_revision import answered, variants

pytestmark = pytest.mark.unit


async def edit(domain: Domain, room: Room, message_id: MessageId, content: str, key: Idempotency) -> EditReceipt:
    nonce = domain.mint.token()
    done = await room.execute(Edit(domain.ada, room.room_id, "", message_id, content, nonce, key))
    assert isinstance(done, EditDone)
    return done.receipt


async def regenerate(
    domain: Domain, room: Room, message_id: MessageId, key: Idempotency | None, persona: str | None = None
) -> MessageDone:
    nonce = domain.mint.token()
    done = await room.execute(Regenerate(domain.ada, room.room_id, "", message_id, nonce, key, persona))
    assert isinstance(done, MessageDone)
    return done


async def test_an_edit_is_repeated_harmlessly_whatever_came_after_it(domain: Domain) -> None:
    room, reply = await answered(domain)
    (question,) = [message for message in (await domain.page(room.room_id)).messages if message.seq == 1]
    once = Idempotency("k", "edit")
    first, again = [await edit(domain, room, question.message_id, "Better", once) for _ in range(2)]
    assert (first.replayed, again.replayed) == (False, True)
    assert again.reply is not None
    assert (again.cursor, again.reply.message_id, again.reply.attempt) == (first.cursor, reply.message_id, 2)
    await domain.answer(1, "Two")
    await domain.send(room, "next")
    await settle()
    late = await edit(domain, room, question.message_id, "Better", once)
    assert late.reply is not None
    assert (late.replayed, late.message.content, late.reply.content) == (True, "Better", "Two")
    with pytest.raises(IdempotencyMismatch):
        await edit(domain, room, question.message_id, "Best", Idempotency("k", "another edit"))
    assert await variants(domain, room, question) == [(0, "question"), (0, "Better")]


async def test_an_attempt_is_repeated_harmlessly_whatever_came_after_it(domain: Domain) -> None:
    room, reply = await answered(domain)
    once = Idempotency("k", "regenerate")
    first, again = [await regenerate(domain, room, reply.message_id, once) for _ in range(2)]
    assert (first.replayed, again.replayed, again.message) == (False, True, first.message)
    await domain.answer(1, "Two")
    await domain.say(room, "next")
    late = await regenerate(domain, room, reply.message_id, once)
    assert (late.replayed, late.message.attempt, late.message.content) == (True, 2, "Two")
    assert len(domain.model.talks) == 2


async def test_a_repeat_is_answered_though_there_may_be_no_more_versions(new_domain: DomainMaker) -> None:
    domain = new_domain(limits={"versions": 2})
    room, reply = await answered(domain)
    once = Idempotency("k", "regenerate")
    await regenerate(domain, room, reply.message_id, once)
    await domain.answer(1, "Two")
    assert (await regenerate(domain, room, reply.message_id, once)).replayed
    with pytest.raises(LimitReached):
        await regenerate(domain, room, reply.message_id, None)


async def test_another_persona_may_answer_this_time(domain: Domain) -> None:
    room, reply = await answered(domain)
    begun = (await regenerate(domain, room, reply.message_id, None, "TUTOR")).message
    assert begun.ai_persona == "TUTOR"
    await domain.answer(1, "Two")
    assert domain.model.talks[1].persona == "TUTOR"
    assert (await domain.regenerate(room, reply.message_id)).ai_persona == "TUTOR"
    await domain.answer(2, "Three")
    following = await domain.send(room, "next")
    assert following.reply is not None
    assert following.reply.ai_persona == "GPT4O", "the room keeps its own"
