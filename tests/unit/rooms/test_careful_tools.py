"""Tools of clients, and tools that may not be called twice (I26)."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from parlor.errors import AlreadyDecided, DigestMismatch, InvalidRequest
from parlor.model.messages import FinishReason
from parlor.model.parts import ToolCallPart
from parlor.model.states import MessageState
from parlor.model.tools import HttpTool, LostResult, McpServer, McpTool, ToolResult, ToolState
from parlor.rooms.tool_steps import SEND_WITHIN
from tests.unit.domain import Domain, crash, settle
from tests.unit.rooms.deciding import decide, finished, parked, post
from tests.unit.rooms.test_tools import begun, calls_of, passed, reply_of
from tests.unit.scripted_tools import client_tool, tool

pytestmark = pytest.mark.unit

PAY = structs.replace(tool("pay", to="", sum=""), approval="always", editable=True)
EVE = '{"to": "Eve"}'


@pytest.fixture
def domain(domain: Domain) -> Domain:
    domain.model.tools = (PAY, tool("weather"), client_tool())
    return domain


# Clients' tools


async def test_a_client_executes_its_tool_and_posts_the_result(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("browser", "{}"))
    assert (call.state, call.client, call.attempts) == (ToolState.RUNNING, True, 1)
    done = await post(domain, room, reply.message_id, call, "a page")
    assert (done.state, done.result) == (ToolState.DONE, ToolResult("a page"))
    assert await post(domain, room, reply.message_id, call, "a page") == done
    with pytest.raises(AlreadyDecided):
        await post(domain, room, reply.message_id, call, "another")
    await passed(domain)
    assert domain.model.talks[1].context.turns[-1].content == "a page"
    assert domain.tools.calls == []
    await finished(domain, room)


async def test_a_client_waits_for_the_approval_and_names_the_digest(domain: Domain) -> None:
    domain.model.tools = (client_tool(approval="always"),)
    room, reply, (call,) = await parked(domain, ("browser", "{}"))
    with pytest.raises(AlreadyDecided):
        await post(domain, room, reply.message_id, call, "too soon")
    running = await decide(domain, room, reply.message_id, call)
    assert (running.state, running.attempts) == (ToolState.RUNNING, 1)
    with pytest.raises(DigestMismatch):
        await post(domain, room, reply.message_id, structs.replace(call, digest="sha256:" + "0" * 64), "x")
    await post(domain, room, reply.message_id, call, "no page", is_error=True)
    await passed(domain)
    assert domain.model.talks[1].context.turns[-1].content == "Error: no page"


async def test_only_a_clients_tool_takes_results(domain: Domain) -> None:
    room, reply, (call,) = await parked(domain, ("pay", EVE))
    with pytest.raises(InvalidRequest):
        await post(domain, room, reply.message_id, call, "x")


# Tools that may not be called twice


@pytest.fixture(params=["http", "mcp"])
def careful(domain: Domain, request: pytest.FixtureRequest) -> HttpTool | McpTool:
    made = structs.replace(tool("launch"), idempotent=False)
    if request.param == "http":
        domain.model.tools = (made,)
        return made
    server = McpServer("sea", "https://sea.test/", {}, 7.0, False, None, (), False)
    listed = McpTool("launch", "Launch", "Launches", made.parameters, server, "launch", idempotent=False)
    domain.model.tools, domain.model.servers = (), (server,)
    domain.tools.servers["sea"] = (listed,)
    return listed


async def test_it_is_sent_when_the_shard_knows_of_it_and_not_before(
    domain: Domain, careful: HttpTool | McpTool
) -> None:
    room = await begun(domain)
    domain.model.talks[0].call(("launch", "{}"))
    await passed(domain)
    assert domain.tools.calls == []
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.RUNNING
    await domain.write_all()
    row = (await domain.rows(room.room_id))[1]
    assert [part.state for part in row.doc.parts or () if isinstance(part, ToolCallPart)] == [ToolState.RUNNING]
    await passed(domain)
    assert len(domain.tools.calls) == 1
    reply = await finished(domain, room)
    assert (reply.finish_reason, calls_of(reply)[0].state) == (FinishReason.STOP, ToolState.DONE)


async def test_it_is_not_sent_when_the_shard_does_not_answer_in_time(
    domain: Domain, careful: HttpTool | McpTool
) -> None:
    room = await begun(domain)
    domain.model.talks[0].call(("launch", "{}"))
    await passed(domain)
    await passed(domain, SEND_WITHIN + 1)
    await domain.write_all()
    await passed(domain)
    assert domain.tools.calls == []
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.FAILED
    assert "not sent" in domain.model.talks[1].context.turns[-1].content


@pytest.mark.parametrize("idempotent", [False, True])
async def test_an_owner_that_stood_still_behind_the_script_sends_nothing(domain: Domain, *, idempotent: bool) -> None:
    domain.model.tools = (structs.replace(tool("launch"), idempotent=idempotent),)
    room = await begun(domain)
    domain.pipeline.lose["dispatch_call"] += 1
    domain.model.talks[0].call(("launch", "{}"))
    await settle()
    assert domain.pipeline.ran[-1] == "dispatch_call"
    domain.clock.leap(SEND_WITHIN + 1)
    await passed(domain)
    assert domain.tools.calls == []
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.FAILED
    assert "not sent" in domain.model.talks[1].context.turns[-1].content


async def test_an_owner_that_stood_still_behind_the_shard_sends_nothing(
    domain: Domain, careful: HttpTool | McpTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stands_still(*_: object) -> bool:
        domain.clock.leap(SEND_WITHIN + 1)
        return True

    monkeypatch.setattr("parlor.rooms.reply_writer.in_shard", stands_still)
    room = await begun(domain)
    domain.model.talks[0].call(("launch", "{}"))
    await passed(domain)
    assert domain.tools.calls == []
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.FAILED


async def test_an_answer_that_is_lost_is_told_and_it_is_not_called_again(
    domain: Domain, careful: HttpTool | McpTool
) -> None:
    room = await begun(domain)
    domain.tools.results["launch"] = LostResult("No answer", is_error=True)
    domain.model.talks[0].call(("launch", "{}"))
    await passed(domain)
    await domain.write_all()
    await passed(domain)
    assert len(domain.tools.calls) == 1
    await passed(domain, SEND_WITHIN + careful.timeout - 4)
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.RUNNING, "the tool may be at work still"
    await passed(domain, 4)
    assert calls_of(await reply_of(domain, room))[0].state is ToolState.UNKNOWN
    assert len(domain.tools.calls) == 1
    assert "nobody knows" in domain.model.talks[1].context.turns[-1].content


async def test_the_next_owner_does_not_call_it_again(domain: Domain, careful: HttpTool | McpTool) -> None:
    room = await begun(domain)
    domain.tools.gate = asyncio.Event()
    domain.model.talks[0].call(("launch", "{}"))
    await passed(domain)
    await domain.write_all()
    await passed(domain)
    assert len(domain.tools.calls) == 1
    await crash(room)
    other = domain.room(room.room_id)
    await domain.wake(other)
    await passed(domain, SEND_WITHIN + careful.timeout - 1)
    assert calls_of(await reply_of(domain, other))[0].state is ToolState.RUNNING, "it may still be under way"
    await passed(domain, 2)
    assert calls_of(await reply_of(domain, other))[0].state is ToolState.UNKNOWN
    assert len(domain.tools.calls) == 1
    reply = await finished(domain, other)
    assert (reply.finish_reason, reply.state) == (FinishReason.STOP, MessageState.PENDING)


async def test_a_call_that_redis_forgot_has_the_same_id_and_key(domain: Domain) -> None:
    room = await begun(domain)
    await domain.write_all()
    domain.tools.gate = asyncio.Event()
    domain.model.talks[0].call(("weather", "{}"))
    await passed(domain)
    await crash(room)
    await domain.forget_room(room.room_id)
    domain.tools.gate.set()
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    domain.model.talks[1].call(("weather", "{}"))
    await passed(domain)
    first, second = domain.tools.calls
    assert first == second
