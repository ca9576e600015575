"""Stopping and regenerating a reply, and what it said before."""

from __future__ import annotations

import httpx2
import pytest

from parlor.errors import IllegalTransition, LimitReached, MessageNotFound, RoomBusy, RoomNotFound
from tests.unit.api.fakes import REPLY, ROOM, FakeGateway

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}/messages/{REPLY}"
CALLS = [("POST", "stop"), ("POST", "regenerate"), ("POST", "continue"), ("GET", "variants")]
EMPTY_BODIES = [
    {},
    {"Content-Type": "application/json"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "text/plain"},
]
"""Headers that clients send when they have no body."""


@pytest.mark.parametrize("headers", EMPTY_BODIES)
async def test_a_stop_needs_no_body(client: httpx2.AsyncClient, gateway: FakeGateway, headers: dict[str, str]) -> None:
    answer = await client.post(f"{PATH}/stop", headers=headers)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["message_id"], body["content"], body["finish_reason"]) == (REPLY, "so far", "stopped")
    assert (body["is_streaming"], body["errorCode"]) == (False, 0)
    assert gateway.last_call() == ("stop_reply", ROOM, REPLY, None)


@pytest.mark.parametrize(
    ("body", "attempt"),
    [("{}", None), ("null", None), ('{"attempt": null}', None), ('{"attempt": 0}', 0), ('{"attempt": 2}', 2)],
)
async def test_a_stop_may_name_its_attempt(
    client: httpx2.AsyncClient, gateway: FakeGateway, body: str, attempt: int | None
) -> None:
    answer = await client.post(f"{PATH}/stop", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert gateway.last_call() == ("stop_reply", ROOM, REPLY, attempt)


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        '"2"',
        '{"attempt": "2"}',
        '{"attempt": 2.0}',
        '{"attempt": true}',
        '{"attempt": -1}',
        '{"attempt": 2147483648}',
        '{"attempt": [2]}',
        '{"attempt": 2, "b": 1}',
    ],
)
async def test_a_stop_with_a_wrong_body_is_refused(client: httpx2.AsyncClient, gateway: FakeGateway, body: str) -> None:
    answer = await client.post(f"{PATH}/stop", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [call[0] for call in gateway.calls] == ["session"]


@pytest.mark.parametrize("headers", EMPTY_BODIES)
@pytest.mark.parametrize("body", ["", "{}"])
@pytest.mark.parametrize(("call", "method"), [("regenerate", "regenerate"), ("continue", "continue_reply")])
async def test_the_next_attempt_is_accepted(
    client: httpx2.AsyncClient, gateway: FakeGateway, headers: dict[str, str], body: str, call: str, method: str
) -> None:
    answer = await client.post(f"{PATH}/{call}", content=body, headers=headers)
    assert answer.status_code == 202
    found = answer.json()
    assert (found["message_id"], found["attempt"], found["state"]) == (REPLY, 2, "COMPOSING")
    assert found["errorCode"] == 0
    assert gateway.last_call() == (method, ROOM, REPLY)


async def test_variants_are_listed_in_their_order(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.get(f"{PATH}/variants")
    body = answer.json()
    assert (answer.status_code, body.keys()) == (200, {"variants", "next_cursor", "errorCode"})
    assert [(each["message_id"], each["attempt"]) for each in body["variants"]] == [(REPLY, 1), (REPLY, 2)]
    assert body["variants"][0]["timestamp"] == "2026-11-23T03:18:05.042Z"
    assert gateway.last_call() == ("variants", ROOM, REPLY, 20, None)
    await client.get(f"{PATH}/variants?limit=7&cursor=3")
    assert gateway.last_call() == ("variants", ROOM, REPLY, 7, "3")


@pytest.mark.parametrize(("method", "call"), CALLS)
@pytest.mark.parametrize(
    "refusal",
    [
        RoomNotFound(),
        MessageNotFound(),
        RoomBusy(retry_after=1),
        IllegalTransition(extra={"from": "SENT"}),
        LimitReached(),
    ],
)
async def test_a_refusal_is_answered_as_its_problem(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    method: str,
    call: str,
    refusal: RoomNotFound | MessageNotFound | RoomBusy | IllegalTransition | LimitReached,
) -> None:
    await client.get(PATH)
    gateway.fails = refusal
    answer = await client.request(method, f"{PATH}/{call}")
    body = answer.json()
    assert (answer.status_code, body["code"], body["errorCode"]) == (
        refusal.http_status,
        refusal.code,
        refusal.error_code,
    )
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "call"), CALLS)
async def test_what_is_no_id_of_ours_is_neither_room_nor_message(
    client: httpx2.AsyncClient, gateway: FakeGateway, method: str, call: str
) -> None:
    nowhere = await client.request(method, f"/v1/rooms/nothing/messages/nothing/{call}")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "room-not-found")
    nothing = await client.request(method, f"/v1/rooms/{ROOM}/messages/nothing/{call}")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "message-not-found")
    assert [made[0] for made in gateway.calls] == ["session"]


@pytest.mark.parametrize(("method", "call"), CALLS)
async def test_a_stranger_learns_nothing(
    client: httpx2.AsyncClient, gateway: FakeGateway, method: str, call: str
) -> None:
    del client.headers["authorization"]
    assert (await client.request(method, f"{PATH}/{call}")).status_code == 401
    assert gateway.calls == []
