"""Calls that wait for people: a reply parks, and goes on with what they decided (I26)."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from msgspec import structs

from parlor.errors import (
    AlreadyDecided,
    CacheUnavailable,
    DigestMismatch,
    InvalidRequest,
    MessageNotFound,
    RoomMoved,
    RoomNotFound,
)
from parlor.llm.ports import PromptTurn
from parlor.model.budgets import Payer, Period
from parlor.model.ids import home_of
from parlor.model.messages import FinishReason, Usage
from parlor.model.parts import parts_of
from parlor.model.requests import OnBusy
from parlor.model.tools import TOOL_TRANSITIONS, ToolState
from tests.unit.domain import HOME, Domain, crash, settle
from tests.unit.rooms.deciding import decide, finished, parked
from tests.unit.rooms.test_reasoning import folded
from tests.unit.rooms.test_tools import calls_of, passed, reply_of, shown, told
from tests.unit.scripted_tools import client_tool, tool

pytestmark = pytest.mark.unit

WEEK = 7 * 86_400
PAY = structs.replace(tool("pay", to="", sum=""), approval="always", editable=True)
EVE = '{"to": "Eve"}'


@pytest.fixture
def domain(domain: Domain) -> Domain:
    domain.model.tools = (PAY, tool("weather"), structs.replace(tool("once"), approval="first"), client_tool())
    return domain


async def test_an_approved_call_is_made_with_the_bytes_that_were_shown(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    assert (call.state, call.approval, call.arguments) == (ToolState.WAITING, "required", '{"to":"Eve"}')
    assert reply.is_streaming
    assert domain.tools.calls == []
    assert not room.busy, "the room may be given up while it waits"
    decided = await decide(domain, room, reply.message_id, call)
    assert (decided.state, decided.decided_by, decided.decided_at) == (ToolState.APPROVED, "ada", domain.clock.now_ms())
    await passed(domain)
    assert [made[:2] for made in domain.tools.calls] == [("pay", '{"to":"Eve"}')]
    assert domain.model.talks[1].context.turns[-1] == PromptTurn("tool", "ok", call_id=call.tool_call_id)
    reply = await finished(domain, room)
    assert (reply.content, reply.attempt, reply.usage) == ("Let me see. Done.", 1, Usage(6, 10))
    states = [part["state"] for part in await told(domain, room)]
    assert states == ["waiting", "approved", "running", "done"]
    assert all(ToolState(b) in TOOL_TRANSITIONS[ToolState(a)] for a, b in pairwise(states))
    events = await domain.events(room.room_id)
    assert "message.reset" not in [kind for kind, _ in events]
    assert folded(events) == events[-1][1]["message"]["parts"]
    await domain.write_all()
    row = (await domain.rows(room.room_id))[1]
    assert parts_of(row.doc.content, row.doc.parts) == shown(reply)


async def test_a_denied_call_is_not_made_and_the_model_is_told_why(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    await decide(domain, room, reply.message_id, call, approve=False, reason="Not to Eve")
    await passed(domain)
    assert domain.tools.calls == []
    assert domain.model.talks[1].context.turns[-1].content == "Error: A person denied this call: Not to Eve"
    reply = await finished(domain, room)
    assert calls_of(reply)[0].state is ToolState.DENIED


async def test_an_edit_is_another_digest_and_what_is_sent(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    edited = await decide(domain, room, reply.message_id, call, arguments='{"to": "Bob"}')
    assert edited.digest != call.digest
    again = await decide(domain, room, reply.message_id, call, arguments='{"to": "Bob"}')
    assert again == edited, "the same edit after a lost answer"
    await passed(domain)
    assert [made[:2] for made in domain.tools.calls] == [("pay", '{"to":"Bob"}')]


@pytest.mark.parametrize("arguments", ['{"to": 1}', "[]", '{"to": "\\ud800"}'])
async def test_an_edit_that_the_tool_does_not_take_is_refused(domain: Domain, arguments: str) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    with pytest.raises(InvalidRequest):
        await decide(domain, room, reply.message_id, call, arguments=arguments)
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.WAITING


async def test_a_call_that_may_not_be_edited_is_not(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("once", "{}"))
    with pytest.raises(InvalidRequest):
        await decide(domain, room, reply.message_id, call, arguments="{}")


async def test_decisions_are_compared_with_what_is_recorded(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    with pytest.raises(DigestMismatch):
        await decide(domain, room, reply.message_id, call, digest="sha256:" + "0" * 64)
    with pytest.raises(MessageNotFound):
        await decide(domain, room, reply.message_id, structs.replace(call, tool_call_id="call_other"))
    approved = await decide(domain, room, reply.message_id, call)
    assert await decide(domain, room, reply.message_id, call) == approved
    with pytest.raises(AlreadyDecided):
        await decide(domain, room, reply.message_id, call, approve=False)
    await passed(domain)
    reply = await finished(domain, room)
    assert (await decide(domain, room, reply.message_id, call)).state is ToolState.DONE, "after its end too"
    with pytest.raises(AlreadyDecided):
        await decide(domain, room, reply.message_id, call, approve=False)


async def test_a_step_goes_on_when_each_of_its_calls_is_decided(domain: Domain) -> None:
    room, reply, calls = await parked(domain, ("pay", EVE), ("weather", "{}"), ("pay", "{}"), ("none", "{}"))
    assert [call.state for call in calls] == ["waiting", "approved", "waiting", "failed"]
    await decide(domain, room, reply.message_id, calls[0])
    await passed(domain)
    assert domain.tools.calls == []
    await decide(domain, room, reply.message_id, calls[2], approve=False)
    await passed(domain)
    assert sorted(name for name, _, _ in domain.tools.calls) == ["pay", "weather"]
    reply = await finished(domain, room)
    assert [call.state for call in calls_of(reply)] == ["done", "done", "denied", "failed"]


async def test_the_same_call_is_approved_once_in_a_room(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("once", "{}"))
    await decide(domain, room, reply.message_id, call)
    await passed(domain)
    domain.model.talks[1].call(("once", "{}"))
    await passed(domain)
    assert len(domain.tools.calls) == 2, "not asked again"
    domain.model.talks[2].call(("once", '{"other": "1"}'))
    await passed(domain)
    assert len(domain.tools.calls) == 2, "another digest is"


@pytest.mark.parametrize(("away", "asks"), [(False, False), (True, True)], ids=["shard", "shard away"])
@pytest.mark.parametrize("edited", [False, True])
async def test_what_was_approved_once_is_known_after_redis_came_back_empty(
    domain: Domain, edited: bool, away: bool, asks: bool
) -> None:
    tools = {each.name: each for each in domain.model.tools}
    domain.model.tools = (structs.replace(tools["once"], editable=True),)
    room, reply, (call,) = await parked(domain, ("once", '{"a": "1"}' if edited else "{}"))
    await decide(domain, room, reply.message_id, call, arguments="{}" if edited else None)
    await passed(domain)
    await finished(domain, room)
    await domain.write_all()
    await crash(room)
    await domain.redis.flushall()
    other = domain.room(room.room_id)
    await domain.send(other, "Again")
    await settle()
    domain.store.down = away
    domain.model.talks[-1].call(("once", "{}"))
    await passed(domain)
    assert len(domain.tools.calls) == (1 if asks else 2)
    assert (await domain.page(room.room_id)).messages[-1].is_streaming


# Parked


async def test_a_reply_that_waits_has_given_back_its_reservation(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    key = domain.live.keys.account(home_of(room.room_id), domain.ada.account_id)

    async def counted(name: str) -> int:
        return int(await domain.redis.hget(key, name) or 0)

    assert await counted("held:day_tokens") == 0
    assert await counted("day_tokens") == 8
    await decide(domain, room, reply.message_id, call)
    await passed(domain)
    assert await counted("held:day_tokens") > 0
    await finished(domain, room)
    assert (await counted("held:day_tokens"), await counted("day_tokens")) == (0, 16)
    await domain.write_all()
    payer = Payer(domain.ada.account_id, domain.ada.account_db_key, HOME)
    assert (await domain.loader.used(payer, Period.at(domain.clock.now_ms()))).day_tokens == 16


async def test_what_waits_survives_its_owner_and_the_loss_of_redis(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    await domain.write_all()
    await crash(room)
    await domain.forget_room(room.room_id)
    await domain.redis.delete(domain.live.keys.generating(HOME))
    other = domain.room(room.room_id)
    await decide(domain, other, reply.message_id, call)
    await passed(domain)
    assert [made[:2] for made in domain.tools.calls] == [("pay", '{"to":"Eve"}')]
    assert (await finished(domain, other)).finish_reason is FinishReason.STOP


@pytest.mark.parametrize("when", ["decided", "running"])
async def test_a_decision_survives_its_owner(domain: Domain, when: str) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    if when == "running":
        domain.tools.gate = asyncio.Event()
    await decide(domain, room, reply.message_id, call)
    if when == "running":
        await passed(domain)
    await crash(room)
    if domain.tools.gate is not None:
        domain.tools.gate.set()
    other = domain.room(room.room_id)
    await domain.wake(other)
    await passed(domain)
    assert len(set(domain.tools.calls)) == 1
    assert (await finished(domain, other)).finish_reason is FinishReason.STOP


async def test_a_decision_whose_answer_was_lost_is_taken_all_the_same(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    domain.pipeline.lose["decide_call"] += 1
    with pytest.raises(CacheUnavailable):
        await decide(domain, room, reply.message_id, call)
    await domain.wake(room)
    await passed(domain)
    assert (await decide(domain, room, reply.message_id, call)).state is ToolState.DONE
    assert len(domain.tools.calls) == 1


@pytest.mark.parametrize("way", ["rolled back", "deleted"])
async def test_a_reply_that_waited_is_over_though_its_owner_did_not_hear_of_it(domain: Domain, way: str) -> None:
    """What comes behind it does not wait for people who can decide nothing any more."""
    room, reply, _ = await parked(domain, ("pay", EVE))
    if way == "rolled back":
        domain.pipeline.lose["append_turn"] += 1
        with pytest.raises(CacheUnavailable):
            await domain.send(room, "Something else", on_busy=OnBusy.ROLLBACK)
    else:
        await domain.send(room, "Something else")
        domain.pipeline.lose["delete_message"] += 1
        with pytest.raises(CacheUnavailable):
            await domain.delete_message(room, reply.message_id)
    await domain.wake(room)
    await passed(domain)
    await domain.answer(1, "Gladly")
    assert (await domain.page(room.room_id)).messages[-1].content == "Gladly"
    await domain.clock.advance(WEEK)
    await domain.wake(room)


async def test_nobody_decides_for_a_week_and_the_model_is_told(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    await domain.clock.advance(WEEK)
    await crash(room)
    other = domain.room(room.room_id)
    with pytest.raises(AlreadyDecided):
        await decide(domain, other, reply.message_id, call)
    await domain.wake(other)
    await passed(domain)
    assert domain.tools.calls == []
    assert "in time" in domain.model.talks[1].context.turns[-1].content
    assert calls_of(await finished(domain, other))[0].state is ToolState.EXPIRED


async def test_turns_wait_behind_a_reply_that_waits(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    await domain.send(room, "And?")
    await passed(domain)
    assert len(domain.model.talks) == 1
    await decide(domain, room, reply.message_id, call)
    await passed(domain)
    await finished(domain, room)
    assert len(domain.model.talks) == 3


@pytest.mark.parametrize("way", ["stop", "delete", "regenerate", "edit", "interrupt", "rollback", "delete room"])
async def test_what_was_not_sent_is_cancelled(domain: Domain, way: str) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    question = (await domain.page(room.room_id)).messages[0]
    match way:
        case "stop":
            stopped = await domain.stop(room, reply.message_id)
            assert [part.state for part in calls_of(stopped)] == [ToolState.CANCELLED]
            assert stopped.content == "Let me see. "
        case "delete":
            await domain.delete_message(room, reply.message_id)
        case "regenerate":
            await domain.regenerate(room, reply.message_id)
        case "edit":
            await domain.edit(room, question.message_id, "Something else")
        case "interrupt":
            await domain.send(room, "No!", on_busy=OnBusy.INTERRUPT)
        case "rollback":
            await domain.send(room, "No!", on_busy=OnBusy.ROLLBACK)
        case _:
            await domain.delete_room(room)
    with pytest.raises((AlreadyDecided, MessageNotFound, RoomMoved, RoomNotFound)):
        await decide(domain, room, reply.message_id, call)
    await passed(domain)
    assert domain.tools.calls == []
    if way in ("regenerate", "edit", "interrupt", "rollback"):
        assert len(domain.model.talks) == 2, "what comes next is written"
    names = list(await domain.redis.hkeys(domain.live.keys.states(HOME, room.room_id)))
    assert not [name for name in names if name[:2] in (b"c:", b"t:")]
