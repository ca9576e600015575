"""What came of a call is told after the reply has gone on, or ended, without it (I26)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import pytest
from msgspec import structs

from parlor.errors import AlreadyDecided, CacheUnavailable, DigestMismatch
from parlor.model.messages import FinishReason, Message
from parlor.model.parts import ToolCallPart
from parlor.model.states import MessageState
from parlor.model.tools import ToolResult, ToolState
from parlor.rooms.room import Room
from tests.unit.account_use import used_by_day
from tests.unit.domain import Domain, crash
from tests.unit.rooms.deciding import finished, parked, post
from tests.unit.rooms.test_tools import calls_of, passed, reply_of, told
from tests.unit.scripted_tools import client_tool, tool

pytestmark = pytest.mark.unit

Before: TypeAlias = Callable[[Domain], Awaitable[tuple[Room, Message, ToolCallPart]]]


@pytest.fixture
def domain(domain: Domain) -> Domain:
    domain.model.tools = (client_tool(), structs.replace(tool("pay"), approval="always"))
    return domain


async def given_up(domain: Domain, *others: tuple[str, str]) -> tuple[Room, Message, ToolCallPart]:
    """A reply that goes on without the result of its client."""
    room, reply, calls = await parked(domain, ("browser", "{}"), *others)
    await passed(domain, domain.settings.rooms.approval_ttl.total_seconds() + 1)
    await domain.wake(room)
    await passed(domain)
    seen = calls_of(await reply_of(domain, room))[0]
    assert seen.state is ToolState.UNKNOWN
    return room, reply, calls[0]


async def ended(domain: Domain) -> tuple[Room, Message, ToolCallPart]:
    room, _, call = await given_up(domain)
    return room, await finished(domain, room), call


async def stopped(domain: Domain) -> tuple[Room, Message, ToolCallPart]:
    room, reply, (call,) = await parked(domain, ("browser", "{}"))
    await domain.stop(room, reply.message_id)
    await passed(domain)
    return room, await reply_of(domain, room), call


@pytest.mark.parametrize("is_error", [False, True])
@pytest.mark.parametrize("before", [ended, stopped])
@pytest.mark.parametrize("stored", [False, True])
async def test_a_result_after_the_end_is_what_became_of_the_call(
    domain: Domain, before: Before, *, is_error: bool, stored: bool
) -> None:
    room, reply, call = await before(domain)
    if stored:
        await domain.write_all()
    used = await used_by_day(domain)
    done = await post(domain, room, reply.message_id, call, "a page", is_error=is_error)
    outcome = (ToolState.FAILED if is_error else ToolState.DONE, ToolResult("a page", is_error))
    assert (done.state, done.result) == outcome
    assert await post(domain, room, reply.message_id, call, "a page", is_error=is_error) == done
    with pytest.raises(AlreadyDecided):
        await post(domain, room, reply.message_id, call, "another")
    now = await reply_of(domain, room)
    assert (now.content, now.finish_reason, now.usage) == (reply.content, reply.finish_reason, reply.usage)
    assert [(each.state, each.result) for each in calls_of(now)] == [outcome]
    assert (await told(domain, room))[-1]["state"] == outcome[0]
    await domain.write_all()
    row = (await domain.rows(room.room_id))[1]
    assert [part for part in row.doc.parts or () if isinstance(part, ToolCallPart)] == [done]
    assert (await reply_of(domain, room)).state is MessageState.SENT
    assert not stored or await used_by_day(domain) == used


async def test_a_result_while_the_reply_goes_on_is_told_to_the_model_with_its_next_step(domain: Domain) -> None:
    room, reply, call = await given_up(domain)
    assert (await post(domain, room, reply.message_id, call, "a page")).state is ToolState.DONE
    domain.model.talks[1].call(("unheard_of", "{}"))
    await passed(domain)
    assert next(turn.content for turn in domain.model.talks[2].context.turns if turn.role == "tool") == "a page"
    assert [call.state for call in calls_of(await finished(domain, room))] == [ToolState.DONE, ToolState.FAILED]


async def test_a_result_while_the_reply_waits_for_others(domain: Domain) -> None:
    room, reply, call = await given_up(domain)
    domain.model.talks[1].call(("pay", "{}"))
    await passed(domain)
    assert (await post(domain, room, reply.message_id, call, "a page")).state is ToolState.DONE
    states = [call.state for call in calls_of(await reply_of(domain, room))]
    assert states == [ToolState.DONE, ToolState.WAITING]


async def test_a_late_result_outlives_its_owner(domain: Domain) -> None:
    room, reply, call = await ended(domain)
    await post(domain, room, reply.message_id, call, "a page")
    await crash(room)
    await domain.write_all()
    await domain.forget_room(room.room_id)
    other = domain.room(room.room_id)
    assert [call.state for call in calls_of(await reply_of(domain, other))] == [ToolState.DONE]


async def test_a_late_result_names_the_digest_and_comes_too_late_for_another_attempt(domain: Domain) -> None:
    room, reply, call = await ended(domain)
    with pytest.raises(DigestMismatch):
        await post(domain, room, reply.message_id, structs.replace(call, digest="sha256:" + "0" * 64), "x")
    await post(domain, room, reply.message_id, call, "a page")
    again = await domain.regenerate(room, reply.message_id)
    await passed(domain)
    domain.model.talks[-1].say("Anew.")
    domain.model.talks[-1].finish()
    await passed(domain)
    now = await reply_of(domain, room)
    assert (now.content, now.attempt, now.finish_reason) == ("Anew.", again.attempt or 2, FinishReason.STOP)


@pytest.mark.parametrize("fault", ["lose", "refuse"])
async def test_a_late_result_whose_answer_is_lost_is_taken_once(domain: Domain, fault: str) -> None:
    room, reply, call = await ended(domain)
    getattr(domain.pipeline, fault)["settle_late"] += 1
    with suppress(CacheUnavailable):
        await post(domain, room, reply.message_id, call, "a page")
    assert (await post(domain, room, reply.message_id, call, "a page")).state is ToolState.DONE
    assert [part["state"] for part in await told(domain, room)].count("done") == 1
