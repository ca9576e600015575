"""Stopping and regenerating a reply, and what it said before."""

from __future__ import annotations

import httpx2
import msgspec
import pytest

from parlor.errors import IllegalTransition, LimitReached, MessageNotFound, RoomBusy, RoomNotFound
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import MESSAGE, REPLY, ROOM

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


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(("headers", "body"), [*((each, "") for each in EMPTY_BODIES), (JSON, "{}"), (JSON, "null")])
@pytest.mark.parametrize(
    ("call", "asked"),
    [("regenerate", ("regenerate", ROOM, REPLY, None, None)), ("continue", ("continue_reply", ROOM, REPLY, None))],
)
async def test_the_next_attempt_is_accepted(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    headers: dict[str, str],
    body: str,
    call: str,
    asked: tuple[object, ...],
) -> None:
    answer = await client.post(f"{PATH}/{call}", content=body, headers=headers)
    assert answer.status_code == 202
    found = answer.json()
    assert (found["message_id"], found["attempt"], found["state"]) == (REPLY, 2, "COMPOSING")
    assert found["errorCode"] == 0
    assert gateway.last_call() == asked


async def test_another_persona_can_be_asked_for(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    assert (await client.post(f"{PATH}/regenerate", json={"ai_persona": "P"})).status_code == 202
    assert gateway.last_call() == ("regenerate", ROOM, REPLY, "P", None)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("regenerate", {"persona": "P"}),
        ("regenerate", {"ai_persona": ""}),
        ("regenerate", {"ai_persona": 5}),
        ("continue", {"ai_persona": "P"}),
    ],
)
async def test_the_next_attempt_is_refused_with_a_wrong_body(
    client: httpx2.AsyncClient, gateway: FakeGateway, call: str, body: dict[str, object]
) -> None:
    answer = await client.post(f"{PATH}/{call}", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", *body])
    assert [each[0] for each in gateway.calls] == ["session"]


@pytest.mark.parametrize(
    ("method", "path", "body", "other", "first"),
    [
        ("POST", f"{PATH}/regenerate", {"ai_persona": "P"}, {}, 202),
        ("POST", f"{PATH}/continue", {}, None, 202),
        ("PATCH", PATH, {"content": "x"}, {"content": "y"}, 200),
    ],
    ids=["regenerate", "continue", "edit"],
)
async def test_a_change_that_is_repeated_with_its_key_is_answered_as_replayed(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    method: str,
    path: str,
    body: dict[str, str],
    other: dict[str, str] | None,
    first: int,
) -> None:
    key = {"Idempotency-Key": '"k"'}
    answer = await client.request(method, path, json=body, headers=key)
    assert (answer.status_code, "idempotent-replayed" in answer.headers) == (first, False)
    idempotency = gateway.last_call()[-1]
    assert idempotency.key == "k"
    gateway.replays = True
    gateway.edited = msgspec.structs.replace(gateway.edited, replayed=True)
    again = await client.request(method, path, json=body, headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"], again.json()) == (200, "true", answer.json())
    assert gateway.last_call()[-1] == idempotency
    elsewhere = path.replace(REPLY, MESSAGE)
    for target, asked in ((elsewhere, body), *([(path, other)] if other is not None else [])):
        await client.request(method, target, json=asked, headers=key)
        assert gateway.last_call()[-1].fingerprint != idempotency.fingerprint
    refused = await client.request(method, path, json=body, headers={"Idempotency-Key": "a b"})
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["header", "Idempotency-Key"])


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
