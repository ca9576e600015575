"""Titles in the background: who gets one, what stands in for it, and that a person's stays."""

from __future__ import annotations

import pytest

from parlor.errors import LlmError
from parlor.llm import title
from parlor.llm.memory import Memory
from parlor.model.messages import FinishReason
from parlor.rooms import follow_up as module
from parlor.rooms.follow_up import TITLE_RETRIES
from tests.unit.domain import SHARD, Domain, DomainMaker
from tests.unit.fake_clock import settle
from tests.unit.llm.fake_history import AI, USER, talk
from tests.unit.rooms.follow_up_fixture import CLAIM, PERSONA, STOP, FollowUpFixture, turn_numbers

pytestmark = pytest.mark.unit


async def test_a_room_gets_a_title_when_its_first_reply_is_complete(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address)
    assert [asked.persona for asked in follow_ups.talks] == [title.NAME]
    assert turn_numbers(follow_ups.talks[0]) == [1, 2]
    await follow_ups.answer(0, '"Green tea."\n')
    assert await follow_ups.title(address) == "Green tea"
    await follow_ups.ended(address)
    assert len(follow_ups.talks) == 1


async def test_a_room_with_a_title_asks_nobody_for_one(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room(title="Mine")
    follow_ups.say(2)
    await follow_ups.ended(address)
    await follow_ups.ended(address)
    assert follow_ups.talks == []


async def test_a_title_that_a_person_gives_meanwhile_stays(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address)
    await follow_ups.domain.cache.update(address, CLAIM, "Mine", None)
    await follow_ups.answer(0, "Green tea")
    assert await follow_ups.title(address) == "Mine"


@pytest.mark.parametrize("reason", [FinishReason.STOPPED, FinishReason.ERROR])
async def test_after_a_reply_that_is_not_complete_the_room_has_the_first_words(
    follow_ups: FollowUpFixture, reason: FinishReason
) -> None:
    address = await follow_ups.room()
    follow_ups.history.messages = talk((USER, "How do I make\n\ngreen tea?"), (AI, ""))
    await follow_ups.ended(address, reason)
    assert follow_ups.talks == []
    assert await follow_ups.title(address) == "How do I make green tea?"
    await follow_ups.ended(address, FinishReason.LENGTH)
    await follow_ups.answer(0, "Green tea")
    assert await follow_ups.title(address) == "Green tea"


async def test_a_reply_that_is_interrupted_is_not_the_end_of_its_turn(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address, FinishReason.INTERRUPTED)
    assert (follow_ups.talks, await follow_ups.title(address)) == ([], "")


async def test_a_title_that_fails_is_asked_for_after_the_next_replies_but_not_for_ever(
    follow_ups: FollowUpFixture,
) -> None:
    address = await follow_ups.room()
    follow_ups.history.messages = talk((USER, "How do I make green tea?"), (AI, "With water."))
    for number in range(1 + TITLE_RETRIES):
        await follow_ups.ended(address)
        follow_ups.talks[number].fail(LlmError("down"))
        await settle()
        assert await follow_ups.title(address) == "How do I make green tea?"
    await follow_ups.ended(address)
    assert len(follow_ups.talks) == 1 + TITLE_RETRIES


@pytest.mark.parametrize("answer", [" \n", "<think>I keep thinking", '""', "\u200b", "\u202e\n***"])
async def test_an_answer_without_a_title_leaves_the_first_words_until_one_has_it(
    follow_ups: FollowUpFixture, answer: str
) -> None:
    address = await follow_ups.room()
    follow_ups.history.messages = talk((USER, "green tea " * 100), (AI, "Yes."))
    await follow_ups.ended(address)
    await follow_ups.answer(0, answer)
    assert await follow_ups.title(address) == "green tea " * 5 + "green…"
    await follow_ups.ended(address)
    await follow_ups.answer(1, "Learning C#")
    assert await follow_ups.title(address) == "Learning C#"
    await follow_ups.ended(address)
    assert len(follow_ups.talks) == 2


@pytest.mark.parametrize("mine", ["Mine", "How do I make green tea?"])
async def test_a_title_that_a_person_gives_instead_of_the_first_words_stays(
    follow_ups: FollowUpFixture, mine: str
) -> None:
    address = await follow_ups.room()
    follow_ups.history.messages = talk((USER, "How do I make green tea?"), (AI, "With water."))
    await follow_ups.ended(address)
    await follow_ups.answer(0, "")
    await follow_ups.ended(address)
    await follow_ups.domain.cache.update(address, CLAIM, mine, None)
    await follow_ups.answer(1, "Green tea")
    assert await follow_ups.title(address) == mine
    await follow_ups.ended(address)
    assert len(follow_ups.talks) == 2


async def test_a_question_that_is_deleted_while_its_title_is_found_is_in_no_title(domain: Domain) -> None:
    room = await domain.opened()
    secret = await domain.say(room, "My secret")
    address, claim = room._own.address, room._own.claim
    assert address is not None
    memory = Memory(domain.internal_history, domain.memories, 1000, 800)
    follow_up = domain.new_follow_up(memory, domain.settings.llm)

    async def title_after(reason: FinishReason) -> str:
        follow_up.reply_ended(address, claim, PERSONA.name, 1, reason)
        await settle()
        return (await domain.directory.room(room.room_id, address.account_id)).title

    assert await title_after(FinishReason.STOPPED) == "My secret"
    assert await title_after(STOP) == "My secret"
    await domain.delete_message(room, secret.message_id)
    domain.model.talks[0].say("A secret")
    domain.model.talks[0].finish()
    await settle()
    assert (await domain.directory.room(room.room_id, address.account_id)).title == ""
    assert await title_after(FinishReason.STOPPED) == ""
    await follow_up.close()


@pytest.mark.parametrize(
    ("title", "stays"), [("My secret", False), ("My", True), ("My secret is not safe", True), ("", True)]
)
async def test_first_words_go_with_their_message_also_when_redis_forgot_whose_they_are(
    domain: Domain, title: str, stays: bool
) -> None:
    room = domain.room(await domain.new_room(title=title))
    await domain.say(room, "Something else")
    secret = await domain.say(room, "My  secret")
    await domain.write_all()
    await domain.forget_room(room.room_id)
    await domain.delete_message(room, secret.message_id)
    assert (await domain.directory.room(room.room_id, domain.ada.account_id)).title == (title if stays else "")
    await domain.write_all()
    row = await domain.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert row.title == (title if stays else "")


async def test_a_person_who_gives_the_first_words_again_keeps_them(domain: Domain) -> None:
    room = domain.room(await domain.new_room(title="My secret"))
    secret = await domain.say(room, "My secret")
    await domain.write_all()
    await domain.forget_room(room.room_id)
    await domain.rename(room, "My secret")
    await domain.delete_message(room, secret.message_id)
    assert (await domain.directory.room(room.room_id, domain.ada.account_id)).title == "My secret"


async def test_another_process_knows_that_the_first_words_only_stand_in(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address, FinishReason.STOPPED)
    domain = follow_ups.domain
    another = domain.new_follow_up(follow_ups.memory, domain.settings.llm)
    another.reply_ended(address, CLAIM, PERSONA.name, 2, STOP)
    await settle()
    await follow_ups.answer(0, "Green tea")
    assert await follow_ups.title(address) == "Green tea"
    await another.close()


async def test_a_room_without_a_question_has_no_first_words(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.history.messages = talk((AI, "Hello!"))
    await follow_ups.ended(address, FinishReason.STOPPED)
    assert await follow_ups.title(address) == ""


async def test_a_retry_gives_the_title(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address)
    await follow_ups.answer(0, " \n")
    await follow_ups.ended(address)
    await follow_ups.answer(1, "Green tea")
    assert await follow_ups.title(address) == "Green tea"


async def test_titles_can_be_switched_off(new_domain: DomainMaker) -> None:
    follow_ups = FollowUpFixture(new_domain(llm={"titles": False}))
    follow_ups.say(2)
    await follow_ups.ended(await follow_ups.room())
    await follow_ups.ended(await follow_ups.room(), FinishReason.STOPPED)
    assert follow_ups.talks == []
    assert "give_title" not in follow_ups.domain.pipeline.ran


async def test_rooms_that_are_done_are_not_remembered_for_ever(
    follow_ups: FollowUpFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    follow_ups.say(2)
    for _ in range(5):
        await follow_ups.ended(await follow_ups.room(title="Mine"))
    assert len(follow_ups.follow_up._title_tries) == 2
