"""What the language model used for a room is counted for its account, whatever became of the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parlor.errors import LlmError
from parlor.model.messages import FinishReason, Usage
from parlor.model.requests import OnBusy
from parlor.rooms.room import Room
from tests.unit.account_use import used_by_day
from tests.unit.domain import Domain, settle
from tests.unit.rooms.follow_up_fixture import FollowUpFixture
from tests.unit.scripted_model import USAGE, Talk

pytestmark = pytest.mark.unit

SAID = "x" * 40  # 10 tokens by the estimate


async def used(domain: Domain) -> tuple[int, int]:
    """Input and output tokens of the account."""
    await domain.write_all()
    days = await used_by_day(domain)
    return sum(day.input_tokens for day in days), sum(day.output_tokens for day in days)


async def begun(domain: Domain) -> tuple[Room, Talk]:
    """Returns a room whose first reply is being written."""
    room = domain.room(await domain.new_room())
    await domain.send(room)
    await settle()
    return room, domain.model.talks[0]


# Replies


@pytest.mark.parametrize("told", [None, Usage(1000, 1)])
@pytest.mark.parametrize("end", ["stop", "fail", "hang up", "no count"])
async def test_a_reply_that_ends_before_it_was_counted_is_estimated(
    domain: Domain, told: Usage | None, end: str
) -> None:
    room, talk = await begun(domain)
    if told is not None:
        talk.count(told)
    talk.say(SAID)
    await settle()
    match end:
        case "stop":
            room.end_replies(FinishReason.STOPPED)
        case "fail":
            talk.fail(LlmError("down"))
        case "hang up":
            talk.hang_up()
        case "no count":
            talk.finish(usage=None)
    await domain.clock.advance(1)
    expected = Usage(1000, 11) if told else Usage(talk.context.estimated_tokens, 10)
    assert (await domain.page(room.room_id)).messages[1].usage == expected
    assert await used(domain) == (expected.input_tokens, expected.output_tokens)


async def test_what_the_provider_counts_in_the_middle_is_not_estimated(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say(SAID)
    talk.count(Usage(7, 3))
    await settle()
    room.end_replies(FinishReason.STOPPED)
    await domain.clock.advance(1)
    assert await used(domain) == (7, 3)


@pytest.mark.parametrize("how", ["message", "room", "rollback"])
async def test_a_reply_that_is_deleted_while_it_is_written_is_counted(domain: Domain, how: str) -> None:
    room, talk = await begun(domain)
    talk.count(Usage(7, 0))
    talk.say(SAID)
    await settle()
    match how:
        case "message":
            await domain.delete_message(room, (await domain.page(room.room_id)).messages[1].message_id)
        case "room":
            await domain.delete_room(room)
        case "rollback":
            await domain.send(room, "no, wait", on_busy=OnBusy.ROLLBACK)
    await domain.clock.advance(1)
    assert talk.closed
    assert await used(domain) == (7, 10)


async def test_nothing_is_counted_of_a_reply_that_never_began(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.fail(LlmError("down"))
    await domain.clock.advance(1)
    assert (await domain.page(room.room_id)).messages[1].usage is None
    assert await used(domain) == (0, 0)


# Titles and summaries


@pytest.fixture
async def follow_ups(domain: Domain) -> AsyncIterator[FollowUpFixture]:
    made = FollowUpFixture(domain)
    yield made
    await made.follow_up.close()


async def test_titles_and_summaries_are_counted(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(12)
    await follow_ups.ended(address)
    await follow_ups.answer(0, "Green tea")
    await follow_ups.answer(1, "Ada likes tea.")
    assert await used(follow_ups.domain) == (2 * USAGE.input_tokens, 2 * USAGE.output_tokens)
    assert await follow_ups.title(address) == "Green tea"


async def test_a_title_that_fails_is_counted(follow_ups: FollowUpFixture) -> None:
    address = await follow_ups.room()
    follow_ups.say(2)
    await follow_ups.ended(address)
    follow_ups.talks[0].count(Usage(300, 1))
    follow_ups.talks[0].fail(LlmError("down"))
    await settle()
    await follow_ups.ended(address)
    await follow_ups.answer(1, " ")  # no title in it
    assert await used(follow_ups.domain) == (300 + USAGE.input_tokens, 1 + USAGE.output_tokens)
