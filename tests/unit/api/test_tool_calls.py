"""Decisions about calls of tools, and results of clients' tools."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from parlor.errors import AlreadyDecided, DigestMismatch, MessageNotFound, ParlorError
from parlor.model.parts import TextPart, stored_form
from parlor.model.tools import Decision, PostedResult, ToolResult
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CALL, REPLY, ROOM, reply

pytestmark = pytest.mark.unit

CALLS = f"/v1/rooms/{ROOM}/messages/{REPLY}/tool-calls"
DECISION, RESULT = f"{CALLS}/{CALL.tool_call_id}/decision", f"{CALLS}/{CALL.tool_call_id}/result"
APPROVE = {"decision": "approve", "digest": CALL.digest}
SHOWN = {
    "type": "tool_call",
    "tool_call_id": "call_0f",
    "name": "pay",
    "title": "Pay",
    "arguments": {"sum": 1.5, "to": "Eve"},
    "digest": CALL.digest,
    "state": "waiting",
    "approval": "required",
    "decided_by": None,
    "decided_at": None,
    "result": None,
    "attempts": 0,
    "expires_at": "2026-11-23T03:18:05.042Z",
    "editable": False,
    "client": False,
}


@pytest.mark.parametrize(
    ("body", "decision"),
    [
        (APPROVE, Decision(True, CALL.digest)),
        (APPROVE | {"arguments": {"sum": 2}}, Decision(True, CALL.digest, '{"sum": 2}')),
        (APPROVE | {"decision": "deny", "reason": "too much"}, Decision(False, CALL.digest, None, "too much")),
    ],
)
async def test_a_decision_is_answered_with_the_part(
    client: httpx2.AsyncClient, gateway: FakeGateway, body: dict[str, Any], decision: Decision
) -> None:
    answer = await client.post(DECISION, json=body)
    assert answer.status_code == 200
    assert answer.json() == SHOWN | {"errorCode": 0}
    assert gateway.last_call() == ("decide_call", ROOM, REPLY, "call_0f", decision)


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": "maybe"},
        {"digest": "sha256:0"},
        {"digest": None},
        {"arguments": "{}"},
        {"arguments": []},
        {"decision": "deny", "arguments": {}},
        {"reason": "x" * 2001},
        {"reason": "\0"},
        {"more": 1},
    ],
)
async def test_a_decision_that_says_something_else_is_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, changes: dict[str, Any]
) -> None:
    answer = await client.post(DECISION, json=APPROVE | changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert gateway.last_call()[0] == "session"


@pytest.mark.parametrize(
    "twice",
    [
        '"decision":"deny","decision":"approve"',
        '"decision":"approve","arguments":{"sum":1,"sum":2}',
        '"decision":"approve","arguments":{"of":[{"sum":1,"s\\u0075m":1}]}',
    ],
)
async def test_a_decision_that_can_be_read_in_two_ways_is_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, twice: str
) -> None:
    body = f'{{"digest":"{CALL.digest}",{twice}}}'
    answer = await client.post(DECISION, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert "twice" in answer.json()["detail"]
    assert gateway.last_call()[0] == "session"


@pytest.mark.parametrize("path", [DECISION, RESULT])
@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (AlreadyDecided(extra={"state": "denied"}), 409, {"errorCode": 1015, "state": "denied"}),
        (DigestMismatch(extra={"digest": CALL.digest}), 409, {"errorCode": 1016, "digest": CALL.digest}),
        (MessageNotFound(), 404, {"errorCode": 1003}),
    ],
)
async def test_a_refusal_says_why(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    path: str,
    error: ParlorError,
    status: int,
    body: dict[str, Any],
) -> None:
    gateway.fails = error
    sent = APPROVE if path == DECISION else {"digest": CALL.digest, "content": "ok"}
    answer = await client.post(path, json=sent)
    assert answer.status_code == status
    assert answer.json() | body == answer.json()


async def test_a_result_is_answered_with_the_part(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.post(RESULT, json={"digest": CALL.digest, "content": "42", "is_error": True})
    assert answer.status_code == 200
    assert answer.json()["tool_call_id"] == "call_0f"
    posted = PostedResult(CALL.digest, ToolResult("42", True))
    assert gateway.last_call() == ("post_result", ROOM, REPLY, "call_0f", posted)


async def test_the_calls_of_a_message_are_listed(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    content, parts = stored_form([TextPart("Let me pay."), CALL])
    gateway.message = reply(content=content, parts=parts)
    answer = await client.get(CALLS)
    assert answer.json() == {"tool_calls": [SHOWN], "errorCode": 0}


async def test_what_waits_is_listed_with_where_it_is(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.get("/v1/approvals", params={"limit": 1, "cursor": f"{REPLY}.3"})
    assert answer.json() == {
        "approvals": [{"room_id": ROOM, "message_id": REPLY, "part": SHOWN}],
        "next_cursor": "opaque",
        "errorCode": 0,
    }
    assert gateway.last_call() == ("waiting_calls", "alice", 1, f"{REPLY}.3")
    await client.get("/v1/approvals")
    assert gateway.last_call() == ("waiting_calls", "alice", 20, None)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor="])
async def test_a_list_of_what_waits_has_its_limits(
    client: httpx2.AsyncClient, gateway: FakeGateway, query: str
) -> None:
    answer = await client.get(f"/v1/approvals?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert "waiting_calls" not in [call[0] for call in gateway.calls]
