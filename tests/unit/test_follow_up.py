"""Titles and summaries behind a conversation: what is asked for when, and that none of it can harm a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from parlor import follow_up as module
from parlor.cache.summaries import SummaryCache
from parlor.errors import LlmError
from parlor.follow_up import SLOTS, TITLE_RETRIES, FollowUp
from parlor.llm import summary, title
from parlor.llm.memory import SUMMARY_HEADING, Memory
from parlor.model import FinishReason, RoomMemory
from tests.unit.clockwork import settle
from tests.unit.desk import CLAIM, PERSONA, STOP, Desk, material, told
from tests.unit.rig import Rig, RigMaker

pytestmark = pytest.mark.unit


@pytest.fixture
async def desk(rig: Rig) -> AsyncIterator[Desk]:
    made = Desk(rig)
    yield made
    await made.follow_up.close()
    assert not made.follow_up._tasks


# Titles


async def test_a_room_gets_a_title_when_its_first_reply_is_complete(desk: Desk) -> None:
    address = await desk.room()
    desk.say(2)
    await desk.ended(address)
    assert [asked.persona for asked in desk.talks] == [title.NAME]
    assert told(desk.talks[0]) == [1, 2]
    await desk.answer(0, '"Green tea."\n')
    assert await desk.title(address) == "Green tea"
    await desk.ended(address)
    assert len(desk.talks) == 1


async def test_a_room_with_a_title_asks_nobody_for_one(desk: Desk) -> None:
    address = await desk.room(title="Mine")
    desk.say(2)
    await desk.ended(address)
    await desk.ended(address)
    assert desk.talks == []


async def test_a_title_that_a_person_gives_meanwhile_stays(desk: Desk) -> None:
    address = await desk.room()
    desk.say(2)
    await desk.ended(address)
    await desk.rig.cache.rename(address, CLAIM, "Mine")
    await desk.answer(0, "Green tea")
    assert await desk.title(address) == "Mine"


@pytest.mark.parametrize("reason", [FinishReason.STOPPED, FinishReason.ERROR, FinishReason.INTERRUPTED])
async def test_a_reply_that_is_not_complete_gives_no_title(desk: Desk, reason: FinishReason) -> None:
    address = await desk.room()
    desk.say(2)
    await desk.ended(address, reason)
    assert desk.talks == []
    await desk.ended(address, FinishReason.LENGTH)
    assert len(desk.talks) == 1


async def test_a_title_that_fails_is_asked_for_after_the_next_replies_but_not_for_ever(desk: Desk) -> None:
    address = await desk.room()
    desk.say(2)
    for number in range(1 + TITLE_RETRIES):
        await desk.ended(address)
        desk.talks[number].fail(LlmError("down"))
        await settle()
    await desk.ended(address)
    assert len(desk.talks) == 1 + TITLE_RETRIES
    assert await desk.title(address) == ""


async def test_a_retry_gives_the_title(desk: Desk) -> None:
    address = await desk.room()
    desk.say(2)
    await desk.ended(address)
    await desk.answer(0, " \n")
    await desk.ended(address)
    await desk.answer(1, "Green tea")
    assert await desk.title(address) == "Green tea"


async def test_titles_can_be_switched_off(new_rig: RigMaker) -> None:
    desk = Desk(new_rig(llm={"titles": False}))
    desk.say(2)
    await desk.ended(await desk.room())
    assert desk.talks == []


async def test_rooms_that_are_done_are_not_remembered_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    desk.say(2)
    for _ in range(5):
        await desk.ended(await desk.room(title="Mine"))
    assert len(desk.follow_up._title_tries) == 2


# Summaries


async def test_turns_that_do_not_fit_any_more_become_a_summary(desk: Desk) -> None:
    address = await desk.room(title="Mine")
    desk.say(12)
    await desk.ended(address)
    assert [asked.persona for asked in desk.talks] == [summary.NAME]
    assert told(desk.talks[0]) == [1, 2, 3, 4]
    await desk.answer(0, "Ada likes tea.")
    assert await desk.known(address) == RoomMemory("Ada likes tea.", 4, desk.rig.clock.ms, 1)


async def test_the_summary_stands_in_the_next_prompt_for_the_turns_that_it_covers(desk: Desk) -> None:
    address = await desk.room(title="Mine")
    desk.say(12)
    await desk.ended(address)
    await desk.answer(0, "Ada likes tea.")
    system, *turns = (await desk.memory.assemble(address.room_id, PERSONA, 13)).turns
    assert system.content.endswith(f"{SUMMARY_HEADING} Ada likes tea.")
    assert [int(turn.content) for turn in turns] == list(range(5, 13))


async def test_nothing_is_asked_while_everything_fits(desk: Desk) -> None:
    address = await desk.room(title="Mine")
    for count in range(2, 10, 2):
        desk.say(count)
        await desk.ended(address)
    assert desk.talks == []


async def test_a_long_past_is_folded_call_by_call(desk: Desk) -> None:
    address = await desk.room(title="Mine")
    desk.say(24)
    await desk.ended(address)
    for number in range(4):
        assert material(desk.talks[number]).summary == (f"summary {number}" if number else "")
        assert told(desk.talks[number]) == list(range(4 * number + 1, 4 * number + 5))
        await desk.answer(number, f"summary {number + 1}")
    assert len(desk.talks) == 4
    assert (await desk.known(address)).through_seq == 16
    context = await desk.memory.assemble(address.room_id, PERSONA, 25)
    assert context.omitted == 0


async def test_one_reply_does_not_fold_without_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLDS", 2)
    address = await desk.room(title="Mine")
    desk.say(60)
    desk.rig.model.auto = ["so far"]
    await desk.ended(address)
    assert len(desk.talks) == 2
    await desk.ended(address)
    assert len(desk.talks) == 4


async def test_summaries_can_be_switched_off(new_rig: RigMaker) -> None:
    desk = Desk(new_rig(llm={"summaries": False}))
    desk.say(40)
    address = await desk.room(title="Mine")
    await desk.ended(address)
    assert desk.talks == []
    assert not desk.memory.take_crowded(address.room_id)


async def test_a_long_summary_is_cut_to_what_it_may_take(desk: Desk) -> None:
    address = await desk.room(title="Mine")
    desk.say(12)
    await desk.ended(address)
    await desk.answer(0, "tea " * 5000)
    assert 200 < len((await desk.known(address)).summary) <= 4 * desk.memory.summary_tokens


async def test_a_reset_while_a_fold_is_made_refuses_it(desk: Desk) -> None:
    address = await desk.room(title="Mine")
    await desk.summaries.set(address, CLAIM, 0, "so far", 2)
    desk.say(14)
    await desk.ended(address)
    await desk.summaries.reset(address, CLAIM)
    await desk.answer(0, "made of what was forgotten")
    assert await desk.known(address) == RoomMemory("", 0, None, 2)


async def test_a_deletion_while_a_fold_is_made_refuses_it_and_the_next_one_is_without_the_message(rig: Rig) -> None:
    room = await rig.opened()
    secret = await rig.say(room, "secret " + "x" * 400)
    for number in range(12):
        await rig.say(room, f"{number} " + "x" * 400)
    address, claim = room._address, room._claim
    assert address is not None
    memory = Memory(rig.history, rig.directory, 1000, 800)
    follow_up = FollowUp(rig.model, memory, rig.directory, SummaryCache(rig.live), rig.settings.llm)

    async def ended() -> None:
        await memory.assemble(room.room_id, PERSONA, 14)
        follow_up.reply_ended(address, claim, PERSONA.name, 13, FinishReason.STOPPED)
        await settle()

    await ended()
    assert "secret" in rig.model.talks[0].context.turns[-1].content
    await rig.delete_message(room, secret.message_id)
    rig.model.talks[0].say("They told a secret.")
    rig.model.talks[0].finish()
    await settle()
    assert (await rig.directory.memory(room.room_id, None)).summary == ""

    rig.model.auto = ["They counted."]
    await ended()
    assert (await rig.directory.memory(room.room_id, None)).summary == "They counted."
    assert all("secret" not in asked.context.turns[-1].content for asked in rig.model.talks[1:])
    await follow_up.close()


# No harm


@pytest.mark.parametrize(
    ("fault", "logged"),
    [(LlmError("down"), "follow_up_failed"), (ValueError("a bug"), "follow_up_faulty"), (None, "follow_up_failed")],
)
async def test_a_model_that_fails_is_logged_and_harms_nothing(desk: Desk, fault: Exception | None, logged: str) -> None:
    address = await desk.room()
    desk.say(12)
    await desk.ended(address)
    before = await desk.known(address)
    with capture_logs() as logs:
        for number in range(2):
            desk.talks[number].say("half an ans")
            if fault is None:
                desk.talks[number].hang_up()
            else:
                desk.talks[number].fail(fault)
            await settle()
    assert [(line["event"], line["what"]) for line in logs] == [(logged, "title"), (logged, "summary")]
    assert "half an ans" not in str(logs)
    assert (await desk.title(address), await desk.known(address)) == ("", before)

    await desk.ended(address)
    await desk.answer(2, "Green tea")
    await desk.answer(3, "Ada likes tea.")
    assert (await desk.title(address), (await desk.known(address)).summary) == ("Green tea", "Ada likes tea.")


async def test_a_conversation_goes_on_while_the_model_is_silent_behind_it(desk: Desk) -> None:
    address = await desk.room()
    desk.say(2)
    await desk.ended(address)
    room = await desk.rig.opened()
    receipt = await desk.rig.send(room, "Hello")
    await desk.rig.answer(1, "Hi")
    assert receipt.reply is not None
    assert (await desk.rig.history.message(room.room_id, None, receipt.reply.message_id)).content == "Hi"


async def test_redis_that_is_away_harms_nothing(desk: Desk) -> None:
    address = await desk.room()
    desk.say(12)
    await desk.ended(address)
    desk.rig.server.connected = False
    await desk.answer(0, "Green tea")
    desk.rig.server.connected = True
    await desk.ended(address)
    await desk.answer(len(desk.talks) - 1, "Green tea")
    assert await desk.title(address) == "Green tea"


async def test_an_owner_that_was_replaced_writes_nothing(desk: Desk) -> None:
    address = await desk.room()
    desk.say(12)
    await desk.ended(address)
    await desk.rig.cache.claim(address.room_id, "claim-2")
    await desk.answer(0, "Green tea")
    await desk.answer(1, "Ada likes tea.")
    assert (await desk.title(address), (await desk.known(address)).version) == ("", 0)


async def test_a_room_that_was_deleted_is_dropped(desk: Desk) -> None:
    address = await desk.room()
    desk.say(12)
    await desk.ended(address)
    await desk.rig.cache.delete(address, CLAIM, "account")
    await desk.answer(0, "Green tea")
    assert len(desk.talks) == 1


async def test_who_says_that_a_reply_has_ended_does_not_wait(desk: Desk) -> None:
    address = await desk.room()
    desk.say(2)
    desk.follow_up.reply_ended(address, CLAIM, PERSONA.name, 2, STOP)
    assert desk.talks == []
    await settle()
    assert len(desk.talks) == 1


async def test_a_room_is_served_by_one_task_and_what_comes_meanwhile_is_not_lost(desk: Desk) -> None:
    address = await desk.room()
    desk.say(2)
    await desk.ended(address)
    for _ in range(3):
        await desk.ended(address)
    assert len(desk.talks) == 1
    desk.talks[0].fail(LlmError("down"))
    await settle()
    assert len(desk.talks) == 2
    await desk.answer(1, "Green tea")
    assert (len(desk.talks), await desk.title(address)) == (2, "Green tea")


async def test_rooms_are_served_side_by_side_but_not_too_many(desk: Desk) -> None:
    desk.say(2)
    rooms = [await desk.room() for _ in range(SLOTS + 2)]
    for address in rooms:
        await desk.ended(address)
    assert len(desk.talks) == SLOTS
    for number in range(len(rooms)):
        await desk.answer(number, f"Tea {number}")
        assert len(desk.talks) == min(SLOTS + number + 1, len(rooms))
    assert [await desk.title(address) for address in rooms] == [f"Tea {number}" for number in range(len(rooms))]


async def test_a_title_that_is_due_stays_due_when_another_reply_ends_meanwhile(desk: Desk) -> None:
    desk.say(2)
    for _ in range(SLOTS):
        await desk.ended(await desk.room())
    waiting = await desk.room()
    await desk.ended(waiting)
    await desk.ended(waiting, FinishReason.STOPPED)
    assert len(desk.talks) == SLOTS
    await desk.answer(0, "Green tea")
    await desk.answer(SLOTS, "Black tea")
    assert await desk.title(waiting) == "Black tea"


async def test_at_the_end_what_is_under_way_is_dropped_and_nothing_begins(desk: Desk) -> None:
    address = await desk.room()
    desk.say(2)
    await desk.ended(address)
    before: set[asyncio.Task[None]] = set(desk.follow_up._tasks.values())
    await desk.follow_up.close()
    assert all(task.done() for task in before)
    assert desk.talks[0].closed
    await desk.ended(await desk.room())
    assert len(desk.talks) == 1
