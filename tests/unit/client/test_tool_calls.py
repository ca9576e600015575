"""Calls of tools that wait: listed, decided, and their results posted."""

from __future__ import annotations

import pytest

from parlor.client import Conflict
from tests.both_clients import KINDS, Clients
from tests.unit.client.scripted_server import REPLY, ROOM, Answer, Json, Request, ScriptedServer, answer, problem

pytestmark = [pytest.mark.unit, pytest.mark.parametrize("kind", KINDS)]


CALL: Json = {
    "type": "tool_call",
    "tool_call_id": "call/1",
    "name": "pay",
    "title": "Pay",
    "arguments": {"sum": 5.0},
    "digest": "sha256:aa",
    "state": "waiting",
    "approval": "required",
    "decided_by": None,
    "decided_at": None,
    "result": None,
    "attempts": 0,
    "expires_at": "2026-11-30T10:00:00.000Z",
    "editable": True,
    "client": False,
}


async def test_what_waits_is_listed_over_its_pages(kind: str) -> None:
    def script(request: Request) -> Answer:
        more = "cursor=" not in request.path
        found = {"room_id": ROOM, "message_id": "m-1" if more else "m-2", "part": CALL}
        return answer({"approvals": [found], "next_cursor": "m-2.0" if more else None})

    async with ScriptedServer(script) as server:
        found = await Clients(kind, server.base_url).all(lambda client: client.approvals())
    assert [(each.message_id, each.part.arguments, each.part.editable) for each in found] == [
        ("m-1", {"sum": 5.0}, True),
        ("m-2", {"sum": 5.0}, True),
    ]
    assert found[0].part.waits_for_decision
    assert not found[0].part.waits_for_result


@pytest.mark.parametrize("lost", [[], [0]])
async def test_a_decision_names_what_was_seen_and_is_repeated(kind: str, lost: list[int]) -> None:
    cuts: list[int] = []

    def script(request: Request) -> Answer:
        if request.method == "GET":
            return answer({"tool_calls": [CALL]})
        return answer({**CALL, "state": "approved"}, cut=cuts.pop() if cuts else None)

    async with ScriptedServer(script) as server:
        clients = Clients(kind, server.base_url)
        (call,) = await clients.call(lambda client: client.tool_calls(ROOM, REPLY))
        server.requests.clear()
        for decide in (
            lambda client: client.approve(ROOM, REPLY, call),
            lambda client: client.approve(ROOM, REPLY, call, arguments={"sum": 1}),
            lambda client: client.deny(ROOM, REPLY, call, reason="no"),
            lambda client: client.post_result(ROOM, REPLY, call, "done", is_error=True),
        ):
            cuts[:] = lost
            assert (await clients.call(decide)).state == "approved"
    path = f"/v1/rooms/{ROOM}/messages/{REPLY}/tool-calls/call%2F1"
    digest = CALL["digest"]
    sent = [
        (f"{path}/decision", {"decision": "approve", "digest": digest}),
        (f"{path}/decision", {"decision": "approve", "digest": digest, "arguments": {"sum": 1}}),
        (f"{path}/decision", {"decision": "deny", "digest": digest, "reason": "no"}),
        (f"{path}/result", {"content": "done", "digest": digest, "is_error": True}),
    ]
    assert [(request.path, request.json) for request in server.requests] == [
        each for each in sent for _ in range(len(lost) + 1)
    ]


@pytest.mark.parametrize("code", ["already-decided", "digest-mismatch"])
async def test_another_decision_is_a_conflict(kind: str, code: str) -> None:
    def script(request: Request) -> Answer:
        return answer({"tool_calls": [CALL]}) if request.method == "GET" else problem(409, code)

    async with ScriptedServer(script) as server:
        clients = Clients(kind, server.base_url)
        (call,) = await clients.call(lambda client: client.tool_calls(ROOM, REPLY))
        with pytest.raises(Conflict) as refused:
            await clients.call(lambda client: client.deny(ROOM, REPLY, call))
    assert refused.value.code == code
