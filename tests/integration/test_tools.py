"""Tools through the whole program: proposed, decided, made by a real server, told, stored (I25, I26)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from parlor.model.tools import TOOL_TRANSITIONS, ToolState
from tests.integration.sse import EventReader, SseEvent
from tests.integration.user import Json, User, of, succeeded
from tests.integration.waiting import eventually
from tests.mcp_server import McpService, mcp_serving
from tests.tools import MCP_PORT, ToolService, tools_serving

pytestmark = pytest.mark.integration
KINDS = ("private",)
EVE = '[[call=pay args={"to":"Eve","sum":5.0}]]'


@pytest.fixture
def service() -> Iterator[ToolService]:
    with tools_serving() as served:
        yield served


@pytest.fixture
def sea() -> Iterator[McpService]:
    with mcp_serving(McpService(), port=MCP_PORT) as served:
        yield served


class Waiting:
    """A reply with a call that waits."""

    def __init__(self, user: User, room: str, cursor: str, message: str, part: Json) -> None:
        self.user, self.room, self.cursor, self.message, self.part = user, room, cursor, message, part
        self.path = f"{of(room)}/messages/{message}/tool-calls"

    async def post(self, what: str, status: int = 200, **body: Any) -> Json:
        answer = await self.user.http.post(
            f"{self.path}/{self.part['tool_call_id']}/{what}", json={"digest": self.part["digest"], **body}
        )
        if status == 200:
            return succeeded(answer, status)
        problem: Json = answer.json()
        assert (answer.status_code, problem["status"]) == (status, status), problem
        return problem

    async def events(self) -> list[SseEvent]:
        """All of the reply's, when it has ended."""
        async with self.user.events(of(self.room), after=self.cursor) as reader:
            return await reader.until("message.completed", "message.failed", "message.stopped")


async def asked(user: User, persona: str, content: str) -> Waiting:
    room = await user.create_room(persona=persona)
    sent = await user.send(room, content)
    async with user.events(of(room), after=sent["cursor"]) as reader:
        part = await _waits(reader)
    return Waiting(user, room, sent["cursor"], sent["reply"]["message_id"], part)


async def _waits(reader: EventReader) -> Json:
    while (event := (await reader.until("message.part"))[-1]).data["part"]["state"] not in ("waiting", "running"):
        pass
    part: Json = event.data["part"]
    return part


def folded(events: list[SseEvent]) -> list[Json]:
    """The parts that a client puts together from events, and the states of calls on the way are legal."""
    parts: dict[int, Json] = {}
    for event in events:
        if event.type == "message.reset":
            parts = {}
        elif event.type == "message.delta":
            text = parts.setdefault(event.data["index"], {"type": "text", "text": ""})
            text["text"] += event.data["text"]
        elif event.type == "message.part":
            part, was = event.data["part"], parts.get(event.data["index"])
            if was is not None and part["type"] == "tool_call" and part["state"] != was["state"]:
                assert ToolState(part["state"]) in TOOL_TRANSITIONS[ToolState(was["state"])]
            parts[event.data["index"]] = part
    return [parts[index] for index in sorted(parts)]


async def waiting_for(user: User) -> list[Json]:
    approvals: list[Json] = (await user.get("/v1/approvals"))["approvals"]
    return approvals


async def test_an_edited_call_is_made_as_it_was_approved_and_once(
    user: User, stranger: User, service: ToolService
) -> None:
    waits = await asked(user, "Clerk", EVE)
    assert (waits.part["arguments"], waits.part["approval"]) == ({"to": "Eve", "sum": 5.0}, "required")
    listed = {"room_id": waits.room, "message_id": waits.message, "part": waits.part}
    assert await waiting_for(user) == [listed]
    assert await waiting_for(stranger) == []
    assert (await user.get(waits.path))["tool_calls"] == [waits.part]
    assert service.requests == []

    wrong = await waits.post("decision", 409, decision="approve", digest="sha256:" + "0" * 64)
    assert (wrong["code"], wrong["digest"]) == ("digest-mismatch", waits.part["digest"])
    edit: Json = {"decision": "approve", "arguments": {"sum": 1, "to": "Bob"}}
    approved = await waits.post("decision", **edit)
    assert (approved["state"], approved["decided_by"]) == ("approved", user.account)
    assert approved["digest"] != waits.part["digest"]
    events = await waits.events()
    again = await waits.post("decision", **edit)
    assert (again["state"], again["digest"]) == ("done", approved["digest"])
    assert (await waits.post("decision", 409, decision="deny"))["code"] == "already-decided"

    ((path, key, body),) = service.requests
    assert (path, body, len(key)) == ("/pay", b'{"sum":1,"to":"Bob"}', 64)
    reply = await user.message(waits.room, waits.message)
    assert reply["finish_reason"] == "stop"
    assert folded(events) == reply["parts"] == events[-1].data["message"]["parts"]
    (call,) = (await user.get(waits.path))["tool_calls"]
    assert (call["state"], call["attempts"], call["arguments"]) == ("done", 1, {"sum": 1, "to": "Bob"})
    assert call["result"] == {"content": '{"was": {"sum": 1, "to": "Bob"}}', "is_error": False, "truncated": False}
    assert "Bob" in reply["content"], "the model was told"
    assert await waiting_for(user) == []
    await user.flush()
    assert (await user.history(waits.room))[1]["parts"] == reply["parts"]


async def test_a_denied_call_is_never_made_and_the_account_is_told(user: User, service: ToolService) -> None:
    async with user.events("/v1") as account:
        waits = await asked(user, "Clerk", EVE)
        await waits.post("decision", decision="deny", reason="Not to Eve")
        reply = await user.ended(waits.room, waits.message)
        told = await account.until("approval.decided")
    assert [part["state"] for part in reply["parts"] if part["type"] == "tool_call"] == ["denied"]
    assert service.requests == []
    ours = [event for event in told if event.type.startswith("approval.")]
    assert [event.type for event in ours] == ["approval.requested", "approval.decided"]
    for event, state in zip(ours, ["waiting", "denied"], strict=True):
        assert event.data.keys() == {"room_id", "message_id", "part"}
        assert (event.data["room_id"], event.data["message_id"]) == (waits.room, waits.message)
        assert event.data["part"]["state"] == state


async def test_a_stopped_reply_takes_its_call_back(user: User, service: ToolService) -> None:
    waits = await asked(user, "Clerk", EVE)
    stopped = await user.stop(waits.room, waits.message)
    assert [part["state"] for part in stopped["parts"] if part["type"] == "tool_call"] == ["cancelled"]
    problem = await waits.post("decision", 409, decision="approve")
    assert (problem["code"], problem["errorCode"]) == ("already-decided", 1015)
    assert await waiting_for(user) == []
    assert service.requests == []


async def test_what_is_approved_once_is_not_asked_again_in_its_room(user: User, service: ToolService) -> None:
    waits = await asked(user, "Clerk", "[[call=lookup args={}]]")
    await waits.post("decision", decision="approve")
    await user.ended(waits.room, waits.message)
    reply = (await user.converse(waits.room, "[[call=lookup args={}]]"))["reply"]
    assert [part["state"] for part in reply["parts"] if part["type"] == "tool_call"] == ["done"]
    assert len({request.key for request in service.requests}) == len(service.requests) == 2
    other = await asked(user, "Clerk", "[[call=lookup args={}]]")
    assert other.part["state"] == "waiting"


async def test_a_callers_tool_gets_the_callers_result(user: User) -> None:
    waits = await asked(user, "Clerk", '[[call=browse args={"page":"tides"}]]')
    assert (waits.part["client"], waits.part["state"], waits.part["approval"]) == (True, "running", "none")
    assert await waiting_for(user) == []
    result: Json = {"content": "High water at noon"}
    done = await waits.post("result", **result)
    assert (done["state"], done["result"]["content"]) == ("done", "High water at noon")
    assert (await waits.post("result", **result))["state"] == "done"
    assert (await waits.post("result", 409, content="Another"))["code"] == "already-decided"
    assert "High water at noon" in (await user.ended(waits.room, waits.message))["content"]


@pytest.mark.parametrize("tool", ["tides", "forecast"], ids=["may be called twice", "sent once"])
async def test_a_tool_of_an_mcp_server_is_approved_and_called(user: User, sea: McpService, tool: str) -> None:
    waits = await asked(user, "Sailor", f'[[call=sea_{tool} args={{"city":"Kiel"}}]]')
    assert sea.calls == []
    await waits.post("decision", decision="approve")
    reply = await eventually(partial(user.message, waits.room, waits.message), lambda it: not it["is_streaming"])
    (call,) = (part for part in reply["parts"] if part["type"] == "tool_call")
    assert (call["state"], call["result"]["content"]) == ("done", '{"city": "Kiel"}')
    ((name, arguments, meta),) = sea.calls
    assert (name, arguments) == (tool, {"city": "Kiel"})
    assert len(meta["parlor.idempotency-key"]) == 64
