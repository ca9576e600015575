"""Work in the background: summaries, and that none of it, titles included, can harm a conversation."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from parlor.errors import LlmError
from parlor.llm import summary
from parlor.llm.memory import SUMMARY_HEADING, Memory
from parlor.model.ids import Claim
from parlor.model.messages import FinishReason
from parlor.model.rooms import RoomMemory
from parlor.rooms import follow_up as module
from parlor.rooms.follow_up import SLOTS
from tests.unit.domain import Domain, DomainMaker
from tests.unit.fake_clock import settle
from tests.unit.rooms.follow_up_fixture import CLAIM, PERSONA, STOP, FollowUpFixture, material, turn_numbers

pytestmark = pytest.mark.unit


# Summaries


async def test_turns_that_do_not_fit_any_more_become_a_summary(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room(title="Mine")
    follow_ups.say(12)
    await follow_ups.ended(address)
    assert [asked.persona for asked in follow_ups.talks] == [summary.NAME]
    assert turn_numbers(follow_ups.talks[0]) == [1, 2, 3, 4]
    await follow_ups.answer(0, "Ada likes tea.")
    assert await follow_ups.known(address) == RoomMemory("Ada likes tea.", 4, follow_ups.domain.clock.ms, 1)


async def test_the_summary_stands_in_the_next_prompt_for_the_turns_that_it_covers(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room(title="Mine")
    follow_ups.say(12)
    await follow_ups.ended(address)
    await follow_ups.answer(0, "Ada likes tea.")
    system, *turns = (await follow_ups.memory.build_prompt(address.room_id, PERSONA, 13)).turns
    assert system.content.endswith(f"{SUMMARY_HEADING} Ada likes tea.")
    assert [int(turn.content) for turn in turns] == list(range(5, 13))


async def test_nothing_is_asked_while_everything_fits(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room(title="Mine")
    for count in range(2, 10, 2):
        follow_ups.say(count)
        await follow_ups.ended(address)
    assert follow_ups.talks == []


async def test_a_long_past_is_folded_call_by_call(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room(title="Mine")
    follow_ups.say(24)
    await follow_ups.ended(address)
    for number in range(4):
        assert material(follow_ups.talks[number]).summary == (f"summary {number}" if number else "")
        assert turn_numbers(follow_ups.talks[number]) == list(range(4 * number + 1, 4 * number + 5))
        await follow_ups.answer(number, f"summary {number + 1}")
    assert len(follow_ups.talks) == 4
    assert (await follow_ups.known(address)).through_seq == 16
    context = await follow_ups.memory.build_prompt(address.room_id, PERSONA, 25)
    assert context.omitted == 0


async def test_one_reply_does_not_fold_without_end(
    follow_ups: FollowUpFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLDS", 2)
    address = await follow_ups.room(title="Mine")
    follow_ups.say(60)
    follow_ups.domain.model.auto = ["so far"]
    await follow_ups.ended(address)
    assert len(follow_ups.talks) == 2
    await follow_ups.ended(address)
    assert len(follow_ups.talks) == 4


async def test_summaries_can_be_switched_off(new_domain: DomainMaker) -> None:
    follow_ups = FollowUpFixture(new_domain(llm={"summaries": False}))
    follow_ups.say(40)
    address = await follow_ups.room(title="Mine")
    await follow_ups.ended(address)
    assert follow_ups.talks == []
    assert not follow_ups.memory.take_crowded(address.room_id)


async def test_a_long_summary_is_cut_to_what_it_may_take(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room(title="Mine")
    follow_ups.say(12)
    await follow_ups.ended(address)
    await follow_ups.answer(0, "tea " * 5000)
    assert 200 < len((await follow_ups.known(address)).summary) <= 4 * follow_ups.memory.summary_tokens


async def test_a_reset_while_a_fold_is_made_refuses_it(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room(title="Mine")
    await follow_ups.summaries.set(address, CLAIM, 0, "so far", 2)
    follow_ups.say(14)
    await follow_ups.ended(address)
    await follow_ups.summaries.reset(address, CLAIM)
    await follow_ups.answer(0, "made of what was forgotten")
    assert await follow_ups.known(address) == RoomMemory("", 0, None, 2)


async def test_a_deletion_while_a_fold_is_made_refuses_it_and_the_next_one_is_without_the_message(
    domain: Domain,
) -> None:
    room = await domain.opened()
    secret = await domain.say(room, "secret " + "x" * 400)
    for number in range(12):
        await domain.say(room, f"{number} " + "x" * 400)
    address, claim = room._own.address, room._own.claim
    assert address is not None
    memory = Memory(domain.internal_history, domain.memories, 1000, 800)
    follow_up = domain.new_follow_up(memory, domain.settings.llm)

    async def ended() -> None:
        await memory.build_prompt(room.room_id, PERSONA, 14)
        follow_up.reply_ended(address, claim, PERSONA.name, 13, FinishReason.STOPPED)
        await settle()

    await ended()
    assert "secret" in domain.model.talks[0].context.turns[-1].content
    await domain.delete_message(room, secret.message_id)
    domain.model.talks[0].say("They told a secret.")
    domain.model.talks[0].finish()
    await settle()
    assert (await domain.memories.memory(room.room_id)).summary == ""

    domain.model.auto = ["They counted."]
    await ended()
    assert (await domain.memories.memory(room.room_id)).summary == "They counted."
    assert all("secret" not in asked.context.turns[-1].content for asked in domain.model.talks[1:])
    await follow_up.close()


# No harm


@pytest.mark.parametrize(
    ("fault", "logged"),
    [(LlmError("down"), "follow_up_failed"), (ValueError("a bug"), "follow_up_faulty"), (None, "follow_up_failed")],
)
async def test_a_model_that_fails_is_logged_and_harms_nothing(
    follow_ups: FollowUpFixture, fault: Exception | None, logged: str
) -> None:
    address = await follow_ups.room()
    follow_ups.say(12)
    await follow_ups.ended(address)
    before = await follow_ups.known(address)
    with capture_logs() as logs:
        for number in range(2):
            follow_ups.talks[number].say("half an ans")
            if fault is None:
                follow_ups.talks[number].hang_up()
            else:
                follow_ups.talks[number].fail(fault)
            await settle()
    assert [(line["event"], line["what"]) for line in logs] == [(logged, "title"), (logged, "summary")]
    assert "half an ans" not in str(logs)
    assert await follow_ups.known(address) == before
    assert (await follow_ups.title(address) == "") is isinstance(fault, ValueError)

    await follow_ups.ended(address)
    await follow_ups.answer(2, "Green tea")
    await follow_ups.answer(3, "Ada likes tea.")
    assert (await follow_ups.title(address), (await follow_ups.known(address)).summary) == (
        "Green tea",
        "Ada likes tea.",
    )


async def test_a_conversation_goes_on_while_the_model_is_silent_behind_it(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address)
    room = await follow_ups.domain.opened()
    receipt = await follow_ups.domain.send(room, "Hello")
    await follow_ups.domain.answer(1, "Hi")
    assert receipt.reply is not None
    assert (await follow_ups.domain.internal_history.message(room.room_id, receipt.reply.message_id)).content == "Hi"


async def test_redis_that_is_away_harms_nothing(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(12)
    await follow_ups.ended(address)
    follow_ups.domain.server.connected = False
    await follow_ups.answer(0, "Green tea")
    follow_ups.domain.server.connected = True
    await follow_ups.ended(address)
    await follow_ups.answer(len(follow_ups.talks) - 1, "Green tea")
    assert await follow_ups.title(address) == "Green tea"


async def test_an_owner_that_was_replaced_writes_nothing(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(12)
    await follow_ups.ended(address)
    await follow_ups.domain.cache.claim(address.room_id, Claim("claim-2"), 1)
    await follow_ups.answer(0, "Green tea")
    await follow_ups.answer(1, "Ada likes tea.")
    assert (await follow_ups.title(address), (await follow_ups.known(address)).version) == ("", 0)


async def test_a_room_that_was_deleted_is_dropped(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(12)
    await follow_ups.ended(address)
    await follow_ups.domain.cache.delete(address, CLAIM, "account")
    await follow_ups.answer(0, "Green tea")
    assert len(follow_ups.talks) == 1


async def test_who_says_that_a_reply_has_ended_does_not_wait(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    follow_ups.follow_up.reply_ended(address, CLAIM, PERSONA.name, 2, STOP)
    assert follow_ups.talks == []
    await settle()
    assert len(follow_ups.talks) == 1


async def test_a_room_is_served_by_one_task_and_what_comes_meanwhile_is_not_lost(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address)
    for _ in range(3):
        await follow_ups.ended(address)
    assert len(follow_ups.talks) == 1
    follow_ups.talks[0].fail(LlmError("down"))
    await settle()
    assert len(follow_ups.talks) == 2
    await follow_ups.answer(1, "Green tea")
    assert (len(follow_ups.talks), await follow_ups.title(address)) == (2, "Green tea")


async def test_rooms_are_served_side_by_side_but_not_too_many(follow_ups: FollowUpFixture) -> None:
    follow_ups.say(2)
    rooms = [await follow_ups.room() for _ in range(SLOTS + 2)]
    for address in rooms:
        await follow_ups.ended(address)
    assert len(follow_ups.talks) == SLOTS
    for number in range(len(rooms)):
        await follow_ups.answer(number, f"Tea {number}")
        assert len(follow_ups.talks) == min(SLOTS + number + 1, len(rooms))
    assert [await follow_ups.title(address) for address in rooms] == [f"Tea {number}" for number in range(len(rooms))]


async def test_a_title_that_is_due_stays_due_when_another_reply_ends_meanwhile(follow_ups: FollowUpFixture) -> None:
    follow_ups.say(2)
    for _ in range(SLOTS):
        await follow_ups.ended(await follow_ups.room())
    waiting = await follow_ups.room()
    await follow_ups.ended(waiting)
    await follow_ups.ended(waiting, FinishReason.STOPPED)
    assert len(follow_ups.talks) == SLOTS
    await follow_ups.answer(0, "Green tea")
    await follow_ups.answer(SLOTS, "Black tea")
    assert await follow_ups.title(waiting) == "Black tea"


async def test_at_the_end_what_is_under_way_is_dropped_and_nothing_begins(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address)
    before: set[asyncio.Task[None]] = set(follow_ups.follow_up._tasks.values())
    await follow_ups.follow_up.close()
    assert all(task.done() for task in before)
    assert follow_ups.talks[0].closed
    await follow_ups.ended(await follow_ups.room())
    assert len(follow_ups.talks) == 1
