"""A reply whose model uses tools: recorded steps, which whoever takes it over inherits (I25)."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from parlor.llm.ports import PromptTurn
from parlor.model.ids import home_of
from parlor.model.messages import FinishReason, Message, Usage
from parlor.model.parts import Part, TextPart, ToolCallPart, parts_of
from parlor.model.tools import TOOL_TRANSITIONS, McpServer, McpTool, PromptCall, ToolResult, ToolState
from parlor.rooms.room import Room
from tests.unit.domain import Domain, DomainMaker, crash, settle
from tests.unit.rooms.test_reasoning import folded
from tests.unit.scripted_tools import tool

pytestmark = pytest.mark.unit

KIEL = '{"city": "Kiel"}'


@pytest.fixture
def domain(domain: Domain) -> Domain:
    domain.model.tools = (tool("weather", city=""), tool("clock"))
    return domain


async def begun(domain: Domain) -> Room:
    room = domain.room(await domain.new_room())
    await domain.send(room)
    await settle()
    return room


async def passed(domain: Domain, seconds: float = 1.0) -> None:
    await domain.clock.advance(seconds)
    await settle()


async def reply_of(domain: Domain, room: Room) -> Message:
    return (await domain.page(room.room_id)).messages[1]


def shown(message: Message) -> list[Part]:
    return parts_of(message.content, message.parts)


def calls_of(message: Message) -> list[ToolCallPart]:
    return [part for part in shown(message) if isinstance(part, ToolCallPart)]


async def told(domain: Domain, room: Room) -> list[dict[str, Any]]:
    """The calls as events told them, in order."""
    return [
        data["part"]
        for kind, data in await domain.events(room.room_id)
        if kind == "message.part" and data["part"]["type"] == "tool_call"
    ]


async def test_a_call_is_recorded_made_and_told_to_the_model(domain: Domain) -> None:
    room = await begun(domain)
    domain.tools.results["weather"] = ToolResult("Sun")
    domain.model.talks[0].say("Let me see. ")
    domain.model.talks[0].call(("weather", KIEL))
    await passed(domain)
    (asked,) = domain.tools.calls
    assert asked[:2] == ("weather", '{"city":"Kiel"}'), "the canonical bytes"
    (call,) = calls_of(await reply_of(domain, room))
    turns = domain.model.talks[1].context.turns[-2:]
    assert turns == [
        PromptTurn("assistant", "Let me see. ", calls=(PromptCall(call.tool_call_id, "weather", '{"city":"Kiel"}'),)),
        PromptTurn("tool", "Sun", call_id=call.tool_call_id),
    ]
    domain.model.talks[1].say("It is sunny.")
    domain.model.talks[1].finish()
    await passed(domain)
    reply = await reply_of(domain, room)
    assert (reply.content, reply.finish_reason) == ("Let me see. It is sunny.", FinishReason.STOP)
    assert reply.usage == Usage(6, 10), "of both steps"
    (call,) = calls_of(reply)
    assert (call.state, call.result, call.attempts, call.title) == (ToolState.DONE, ToolResult("Sun"), 1, "Weather")
    assert [type(part) for part in shown(reply)] == [TextPart, ToolCallPart, TextPart]
    states = [part["state"] for part in await told(domain, room)]
    assert states == ["approved", "running", "done"]
    assert all(ToolState(b) in TOOL_TRANSITIONS[ToolState(a)] for a, b in pairwise(states))
    events = await domain.events(room.room_id)
    assert folded(events) == events[-1][1]["message"]["parts"]
    assert events[-1][1]["message"]["parts"][1]["arguments"] == {"city": "Kiel"}
    await domain.write_all()
    row = (await domain.rows(room.room_id))[1]
    assert parts_of(row.doc.content, row.doc.parts) == shown(reply)


async def test_parallel_calls_are_made_at_once(domain: Domain) -> None:
    room = await begun(domain)
    domain.tools.gate = asyncio.Event()
    domain.model.talks[0].call(("weather", KIEL), ("clock", "{}"), ("weather", "{}"))
    await passed(domain)
    assert len(domain.tools.calls) == 3
    assert len({key for _, _, key in domain.tools.calls}) == 3
    assert [call.state for call in calls_of(await reply_of(domain, room))] == [ToolState.RUNNING] * 3
    domain.tools.gate.set()
    await passed(domain)
    assert [turn.role for turn in domain.model.talks[1].context.turns[-4:]] == ["assistant", "tool", "tool", "tool"]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("unheard_of", "{}", "There is no tool"),
        ("weather", "{oops", "not JSON"),
        ("weather", "[]", "not an object"),
        ("weather", '{"city": 5}', "do not fit"),
        ("weather", '{"city": "a", "city": "b"}', "twice"),
        ("weather", '{"city": "a", "n": 9007199254740993}', "2^53"),
        ("weather", '{"city": "\\ud83e"}', "surrogate"),
    ],
)
async def test_a_call_that_cannot_be_made_is_told_to_the_model(
    domain: Domain, name: str, arguments: str, words: str
) -> None:
    room = await begun(domain)
    domain.model.talks[0].call((name, arguments))
    await passed(domain)
    assert domain.tools.calls == []
    assert words in domain.model.talks[1].context.turns[-1].content
    assert domain.model.talks[1].context.turns[-1].content.startswith("Error: ")
    (call,) = calls_of(await reply_of(domain, room))
    assert (call.state, call.attempts) == (ToolState.FAILED, 0)


async def test_a_failure_of_a_tool_is_told_to_the_model(domain: Domain) -> None:
    room = await begun(domain)
    domain.tools.results["clock"] = ToolResult("HTTP 500", is_error=True, truncated=True)
    domain.model.talks[0].call(("clock", ""))
    await passed(domain)
    assert domain.model.talks[1].context.turns[-1].content == "Error: HTTP 500\n[the rest was left out]"
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.FAILED


async def test_a_reply_ends_at_the_limit_of_its_steps(domain: Domain) -> None:
    domain.model.max_steps = 2
    room = await begun(domain)
    for step in range(3):
        domain.model.talks[step].call(("clock", "{}"))
        await passed(domain)
    assert len(domain.tools.calls) == 2
    reply = await reply_of(domain, room)
    assert (reply.finish_reason, len(calls_of(reply))) == (FinishReason.TOOL_LIMIT, 2)


async def test_a_model_without_tools_is_asked_once(domain: Domain) -> None:
    domain.model.tools = ()
    await begun(domain)
    domain.model.talks[0].say("plain")
    domain.model.talks[0].finish()
    await passed(domain)
    assert len(domain.model.talks) == 1


# Budgets


async def test_each_step_is_reserved_beside_those_before(domain: Domain) -> None:
    room = await begun(domain)
    key = domain.live.keys.account(home_of(room.room_id), domain.ada.account_id)

    async def reserved() -> int:
        return int(await domain.redis.hget(key, "held:day_tokens") or 0)

    first = await reserved()
    assert first > 0
    domain.model.talks[0].call(("clock", "{}"), usage=Usage(300, 40))
    await passed(domain)
    second = await reserved()
    assert second >= first + 340 - domain.model.talks[0].context.estimated_tokens
    assert domain.model.talks[1].context.answer_tokens is not None
    domain.model.talks[1].finish(usage=Usage(10, 5))
    await passed(domain)
    assert await reserved() == 0
    reply = await reply_of(domain, room)
    assert reply.usage == Usage(310, 45)


async def test_a_budget_that_is_used_up_ends_the_reply_and_keeps_what_it_has(new_domain: DomainMaker) -> None:
    domain = new_domain(limits={"tokens_per_day": 20_000})
    domain.model.tools = (tool("clock"),)
    room = await begun(domain)
    domain.model.talks[0].say("Let me see. ")
    domain.model.talks[0].call(("clock", "{}"), usage=Usage(19_000, 900))
    await passed(domain)
    assert len(domain.model.talks) == 1, "no further step"
    reply = await reply_of(domain, room)
    assert (reply.content, reply.finish_reason) == ("Let me see. ", FinishReason.ERROR)
    assert reply.error is not None
    assert reply.error.code == "quota-exceeded"
    assert calls_of(reply)[0].state is ToolState.DONE


# Who takes it over


async def test_the_next_owner_goes_on_behind_the_last_step(domain: Domain) -> None:
    room = await begun(domain)
    domain.model.talks[0].say("First. ")
    domain.model.talks[0].call(("weather", KIEL))
    await passed(domain)
    domain.model.talks[1].say("lost words")
    await passed(domain)
    await crash(room)
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    assert [turn.role for turn in domain.model.talks[2].context.turns] == ["user", "assistant", "tool"]
    reply = await reply_of(domain, other)
    assert (reply.content, reply.attempt) == ("First. ", 2)
    domain.model.talks[2].say("Sunny.")
    domain.model.talks[2].finish()
    await passed(domain)
    reply = await reply_of(domain, other)
    assert reply.content == "First. Sunny."
    assert len(domain.tools.calls) == 1, "what has a result is not called again"
    events = await domain.events(room.room_id)
    assert folded(events) == events[-1][1]["message"]["parts"]
    anew = [kind for kind, _ in events][[kind for kind, _ in events].index("message.reset") :]
    assert anew[:3] == ["message.reset", "message.delta", "message.part"], "what stands is told at once"


async def test_a_call_without_a_result_is_made_again_with_the_same_key(domain: Domain) -> None:
    room = await begun(domain)
    domain.tools.gate = asyncio.Event()
    domain.model.talks[0].call(("weather", KIEL))
    await passed(domain)
    await crash(room)
    domain.tools.gate.set()
    other = domain.room(room.room_id)
    await domain.wake(other)
    await passed(domain)
    first, second = domain.tools.calls
    assert first == second
    (call,) = calls_of(await reply_of(domain, other))
    assert (call.state, call.attempts) == (ToolState.DONE, 2)
    assert len(domain.model.talks) == 2, "the model was not asked for the call again"


async def test_a_reply_of_many_steps_outlives_a_death_in_each(domain: Domain) -> None:
    steps = 12
    domain.model.max_steps = 50
    room = await begun(domain)
    for _ in range(steps):
        domain.model.talks[-1].call(("clock", "{}"))
        await passed(domain)
        domain.model.talks[-1].say("half a ")
        await passed(domain)
        await crash(room)
        room = domain.room(room.room_id)
        await domain.wake(room)
        await settle()
    domain.model.talks[-1].say("whole")
    domain.model.talks[-1].finish()
    await passed(domain)
    reply = await reply_of(domain, room)
    assert (reply.content, reply.finish_reason, len(calls_of(reply))) == ("whole", FinishReason.STOP, steps)
    assert len(domain.tools.calls) == steps
    events = await domain.events(room.room_id)
    assert folded(events) == events[-1][1]["message"]["parts"]


async def test_deaths_count_since_the_last_step(domain: Domain) -> None:
    room = await begun(domain)
    domain.model.talks[0].call(("clock", "{}"))
    await passed(domain)
    for _ in range(2):
        await crash(room)
        room = domain.room(room.room_id)
        await domain.wake(room)
        await passed(domain)
    reply = await reply_of(domain, room)
    assert reply.finish_reason is FinishReason.INTERRUPTED
    assert [call.state for call in calls_of(reply)] == [ToolState.DONE], "what was done is kept"


# Stopping


async def test_a_stop_ends_the_calls_and_says_what_is_not_known(domain: Domain) -> None:
    room = await begun(domain)
    domain.tools.gate = asyncio.Event()
    domain.model.talks[0].say("Let me see. ")
    domain.model.talks[0].call(("weather", KIEL))
    await passed(domain)
    await domain.stop(room, (await reply_of(domain, room)).message_id)
    await passed(domain)
    reply = await reply_of(domain, room)
    assert (reply.content, reply.finish_reason) == ("Let me see. ", FinishReason.STOPPED)
    assert [call.state for call in calls_of(reply)] == [ToolState.UNKNOWN]


@pytest.mark.parametrize("script", ["append_delta", "record_part"])
@pytest.mark.parametrize("fault", ["lost", "unheard"])
async def test_a_stop_while_redis_does_not_answer_loses_nothing(domain: Domain, script: str, fault: str) -> None:
    room = await begun(domain)
    (domain.pipeline.refuse if fault == "lost" else domain.pipeline.lose)[script] += 1
    domain.model.talks[0].say("Let me see. ")
    domain.model.talks[0].call(("weather", KIEL))
    await settle()
    stopping = domain.spawn(domain.stop(room, (await reply_of(domain, room)).message_id))
    await passed(domain, 3)
    await stopping
    reply = await reply_of(domain, room)
    assert (reply.content, reply.finish_reason) == ("Let me see. ", FinishReason.STOPPED)
    events = await domain.events(room.room_id)
    stored = events[-1][1]["message"]["parts"]
    ends = {"approved": "cancelled", "running": "unknown"}
    seen = [
        {**part, "state": ends.get(part["state"], part["state"])} if "state" in part else part
        for part in folded(events)
    ]
    assert seen == stored


async def test_a_stale_owner_sends_nothing(domain: Domain) -> None:
    room = await begun(domain)
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    domain.model.talks[0].call(("weather", KIEL))
    await passed(domain)
    assert domain.tools.calls == []


async def test_arguments_are_told_byte_for_byte(domain: Domain) -> None:
    domain.model.tools = (tool("any"),)
    room = await begun(domain)
    domain.model.talks[0].call(("any", '{"b": [], "a": 1.0, "c": {"d": 1e3, "e": "\\u00fc"}}'))
    await passed(domain)
    canonical = '{"a":1,"b":[],"c":{"d":1000,"e":"\u00fc"}}'
    assert domain.tools.calls[0][1] == canonical
    (call,) = calls_of(await reply_of(domain, room))
    assert call.arguments == canonical
    assert (
        json.dumps((await told(domain, room))[0]["arguments"], ensure_ascii=False, separators=(",", ":")) == canonical
    )


async def test_a_servers_tools_are_used_like_any_other(domain: Domain) -> None:
    server = McpServer("sea", "https://sea.test", {}, 5.0, False, None, None, trust_hints=False)
    tides = McpTool("sea_tides", "Tides", "Tells the tides", {"type": "object"}, server, "tides")
    domain.model.servers, domain.tools.servers["sea"] = (server,), (tides,)
    room = await begun(domain)
    assert [each.name for each in domain.model.talks[0].context.tools] == ["weather", "clock", "sea_tides"]
    domain.model.talks[0].call(("sea_tides", "{}"))
    await passed(domain)
    assert [name for name, _, _ in domain.tools.calls] == ["sea_tides"]
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.DONE


async def test_a_reply_goes_on_without_a_server_that_is_away_and_says_so_to_the_model(domain: Domain) -> None:
    domain.model.servers = (McpServer("sea", "https://sea.test", {}, 5.0, False, None, None, trust_hints=False),)
    room = await begun(domain)
    context = domain.model.talks[0].context
    assert [each.name for each in context.tools] == ["weather", "clock"]
    assert "cannot be reached at the moment: sea." in context.turns[0].content
    assert context.turns[0].role == "system"
    domain.model.talks[0].say("It is dry.")
    domain.model.talks[0].finish()
    await passed(domain)
    assert (await reply_of(domain, room)).content == "It is dry."
