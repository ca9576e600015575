"""Operations on the installation over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.admin_schemas import AdminAccountResponse
from parlor.errors import Overloaded
from parlor.settings import Settings
from parlor.settings.account_limits import OWN_LIMITS
from parlor.settings.limits import LimitSettings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_administration import ROOM as PARKED_ROOM
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.api.test_signing_keys import bearer, followed, status
from tests.unit.api.test_sse import reconnect_of
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

NOW = "2026-11-23T03:18:05.042Z"
ALICE = {"account_id": "alice", "standing": "active", "disabled": False, "standing_since": None, "not_before": None}


@pytest.fixture
def client(client: httpx2.AsyncClient, settings: Settings) -> httpx2.AsyncClient:
    """An operator's."""
    client.headers["authorization"] = f"Bearer {token(settings, 'olga', scopes=['admin'])}"
    return client


ACTOR = {
    "name": "rooms-000",
    "kind": "RoomActor",
    "alive": True,
    "rooms": 3,
    "trouble": "",
    "pid": 40,
    "node": "node",
    "started": True,
    "leaving": False,
    "replies": 1,
    "sends": 70,
    "replied": 60,
    "partitions": 0,
    "committed": 0,
    "lag_entries": 0,
    "lag_seconds": 0.0,
}


async def test_the_status_says_what_runs_and_how_far_the_shards_are(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/admin/status")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "services": {"redis": "ok"},
            "actors": [ACTOR],
            "shards": [{"shard": 1, "lag_entries": 4, "lag_seconds": 0.5, "dead_letters": 2, "trouble": ""}],
            "errorCode": 0,
        },
    )


async def test_no_supervisor_is_no_status(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.administration.fails = Overloaded("The Supervisor does not answer")
    answer = await client.get("/v1/admin/status")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


@pytest.mark.parametrize(
    ("path", "name", "key"),
    [("/v1/admin/accounts", "accounts", "account_id"), ("/v1/admin/dead-letters", "dead_letters", "id")],
)
async def test_lists_are_read_in_pages(client: httpx2.AsyncClient, path: str, name: str, key: str) -> None:
    whole = (await client.get(path)).json()
    assert whole["next_cursor"] is None
    first = (await client.get(path, params={"limit": 1})).json()
    second = (await client.get(path, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert second["next_cursor"] is None
    assert [page[name][0][key] for page in (first, second)] == [each[key] for each in whole[name]]


@pytest.mark.parametrize("cursor", ["x", "-1", "٣", "1.5", str(2**63)])
async def test_a_cursor_of_another_list_is_refused(client: httpx2.AsyncClient, cursor: str) -> None:
    answer = await client.get("/v1/admin/accounts", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


async def test_an_account_is_shown_with_its_use_and_its_limits(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/admin/accounts/alice")
    AdminAccountResponse.model_validate_json(answer.content)
    assert answer.json() == {
        **ALICE,
        "rooms": 4,
        "api_keys": 1,
        "usage": {
            "from": "2026-10-25",
            "to": "2026-11-23",
            "messages": 11,
            "input_tokens": 22,
            "output_tokens": 33,
            "cost": 0.75,
        },
        "limits": {name: getattr(LimitSettings(), name) for name in OWN_LIMITS},
        "own_limits": [],
        "deletion": None,
        "errorCode": 0,
    }


@pytest.mark.parametrize("name", ["nobody", "Alice", "%20alice", "x" * 129, "a%00b"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_account_that_is_not_there_is_not_made(
    client: httpx2.AsyncClient, gateway: FakeGateway, method: str, name: str
) -> None:
    body: dict[str, Any] = {"json": {"disabled": True}} if method == "PATCH" else {}
    answer = await client.request(method, f"/v1/admin/accounts/{name}", **body)
    assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (404, "account-not-found", 1023)
    assert gateway.administration.calls == []


async def test_a_disabled_account_is_forbidden_until_it_is_let_in_again(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    alice, bob = token(settings), token(settings, "bob")
    assert [await status(client, text) for text in (alice, bob)] == [200, 200]
    answer = await client.patch("/v1/admin/accounts/alice", json={"disabled": True})
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in ALICE} == ALICE | {
        "standing": "disabled",
        "disabled": True,
        "standing_since": NOW,
    }
    await followed(gateway, clock)
    assert [await status(client, text) for text in (alice, bob)] == [403, 200]
    assert (await client.patch("/v1/admin/accounts/alice", json={"disabled": False})).json()["disabled"] is False
    await followed(gateway, clock)
    assert [await status(client, text) for text in (alice, bob)] == [200, 200]


async def test_an_account_gets_limits_of_its_own_and_the_usual_ones_again(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    async def change(limits: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        answer = await client.patch("/v1/admin/accounts/alice", json={"limits": limits})
        assert answer.status_code == 200
        body = answer.json()
        return body["limits"], body["own_limits"]

    alice, bob = token(settings), token(settings, "bob")
    limits, own = await change({"requests_per_second": 0.5, "requests_burst": 1, "streams": None})
    assert own == ["requests_burst", "requests_per_second", "streams"]
    assert (limits["requests_per_second"], limits["requests_burst"], limits["streams"]) == (0.5, 1, None)
    assert [await status(client, text) for text in (alice, alice, bob, bob)] == [200, 429, 200, 200]
    limits, own = await change({"requests_per_second": None, "rooms": 3, "streams": "default"})
    assert (own, limits["streams"]) == (["requests_burst", "requests_per_second", "rooms"], 1000)
    assert [await status(client, alice) for _ in range(3)] == [200] * 3
    _, own = await change(dict.fromkeys(own, "default"))
    assert own == []
    assert [(entry.action, entry.detail) for entry in gateway.audit.entries][1:] == [
        ("account-limited", "requests_per_second=off rooms=3 streams=default"),
        ("account-limited", "requests_burst=default requests_per_second=default rooms=default"),
    ]


@pytest.mark.parametrize(
    "limits",
    [
        {"rooms": 0},
        {"rooms": 1.5},
        {"rooms": "5"},
        {"rooms": True},
        {"rooms": "off"},
        {"requests_burst": None},
        {"refusal_delay": 1},
        {"moons": 1},
        {"cost_per_day": -0.1},
        [],
    ],
)
async def test_a_limit_that_no_account_can_have_is_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, limits: object
) -> None:
    answer = await client.patch("/v1/admin/accounts/alice", json={"limits": limits})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert answer.json()["errors"][0]["loc"][:2] == ["body", "limits"]
    assert (gateway.administration.calls, gateway.audit.entries) == ([], [])


async def test_the_streams_of_a_disabled_account_end_and_open_again_when_it_is_let_in(
    client: httpx2.AsyncClient, app: FastAPI, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    path = f"/v1/rooms/{ROOM}/events"
    async with (
        Exchange(app, "GET", path, bearer(token(settings))) as ends,
        Exchange(app, "GET", path, bearer(token(settings, "bob"))) as stays,
    ):
        for stream in (ends, stays):
            await stream.start()
            await stream.chunk()
        await client.patch("/v1/admin/accounts/alice", json={"disabled": True})
        await followed(gateway, clock)
        _, data = await reconnect_of(ends)
        assert data["reason"] == "token-revoked"
        await ends.finished()
        gateway.subscription.batches.put_nowait([])
        assert await stays.chunk() == b": ping\n\n"
    await client.patch("/v1/admin/accounts/alice", json={"disabled": False})
    await followed(gateway, clock)
    async with Exchange(app, "GET", path, bearer(token(settings))) as again:
        await again.start()
        await again.chunk()
        gateway.subscription.batches.put_nowait([])
        assert await again.chunk() == b": ping\n\n"


async def test_a_deleted_account_is_401_and_its_receipt_says_when_it_is_done(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    alice, bob = token(settings), token(settings, "bob")
    assert [await status(client, text) for text in (alice, bob)] == [200, 200]
    answer = await client.delete("/v1/admin/accounts/alice")
    receipt = {"account_id": "alice", "receipt_id": "receipt", "requested_at": NOW, "errorCode": 0}
    going_on = {"state": "deleting", "rooms": None, "finished_at": None}
    assert (answer.status_code, answer.json()) == (202, receipt | going_on)
    await followed(gateway, clock)
    assert [await status(client, text) for text in (alice, bob)] == [401, 200]
    gateway.administration.deleted_at = 1_795_403_885_042
    answer = await client.delete("/v1/admin/accounts/alice")
    assert answer.json() == receipt | {"state": "deleted", "rooms": 4, "finished_at": NOW}


async def test_what_was_issued_to_an_account_is_ended(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.patch("/v1/admin/accounts/alice", json={"not_before": "2026-11-23T03:18:05.042+00:00"})
    assert answer.json()["not_before"] == NOW
    assert gateway.administration.calls == [("revoke", "alice", 1_795_403_885_042)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"disabled": None},
        {"disabled": "yes"},
        {"not_before": "2026-11-23T03:18:05.043Z"},
        {"not_before": "2026-11-23"},
        {"not_before": 5},
        {"disabled": True, "standing": "active"},
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(
    client: httpx2.AsyncClient, gateway: FakeGateway, body: dict[str, Any]
) -> None:
    answer = await client.patch("/v1/admin/accounts/alice", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert gateway.administration.calls == []


async def test_a_dead_letter_is_listed_without_anybodys_text(client: httpx2.AsyncClient) -> None:
    (first, _) = (await client.get("/v1/admin/dead-letters")).json()["dead_letters"]
    assert first == {
        "id": "17:1795403885042-1",
        "parked_at": NOW,
        "partition": 17,
        "op": "CHAT_MESSAGE_SAVE",
        "account_id": "alice",
        "room_id": PARKED_ROOM,
        "seq": 1,
        "message_id": None,
        "reason": "Data too long for column",
    }


@pytest.mark.parametrize(("verb", "result"), [("replay", "queued again"), ("drop", "dropped: its message is deleted")])
async def test_a_dead_letter_is_replayed_or_dropped(
    client: httpx2.AsyncClient, gateway: FakeGateway, verb: str, result: str
) -> None:
    found = await client.post(f"/v1/admin/dead-letters/17:1795403885042-2/{verb}")
    assert (found.status_code, found.json()) == (
        200, {"id": "17:1795403885042-2", "result": result, "errorCode": 0},
    )  # fmt: skip
    assert gateway.administration.calls == [(verb, "17:1795403885042-2")]
    missing = await client.post(f"/v1/admin/dead-letters/17:1795403885042-3/{verb}")
    assert (missing.status_code, missing.json()["code"]) == (404, "dead-letter-not-found")
