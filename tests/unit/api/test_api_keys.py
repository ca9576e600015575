"""API keys: made once, shown once, good for what their scopes say, ended everywhere."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from msgspec import structs

from api.access import INTERVAL
from api.api_keys import KEYS_MAX, new_key
from parlor.errors import StoreUnavailable
from parlor.model.access import Credential, TicketHolder
from parlor.model.ids import AccountId
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.api.test_signing_keys import bearer, followed, status
from tests.unit.api.test_sse import reconnect_of
from tests.unit.fake_clock import NOW_MS, CountingEntropy, FakeClock

pytestmark = pytest.mark.unit

BOTH = ["read", "write"]


async def make(client: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/keys", json={"name": "Backups", "scopes": BOTH, **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_key_is_shown_once_and_only_its_digest_is_kept(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    answer = await client.post("/v1/keys", json={"name": "Back\nups", "scopes": ["write", "read", "write"][:2]})
    made = answer.json()
    assert answer.headers["location"] == f"/v1/keys/{made['key_id']}"
    assert answer.headers["cache-control"] == "no-store"
    key = made.pop("key")
    assert re.fullmatch(r"parlor_[0-9a-v]{16}_[0-9a-f]{64}", key)
    assert key.startswith(made["prefix"] + "_")
    assert made == {
        "key_id": made["key_id"],
        "name": "Back ups",
        "prefix": f"parlor_{made['key_id']}",
        "scopes": BOTH,
        "created_at": "2026-11-23T03:18:05.042Z",
        "expires_at": None,
        "last_used_at": None,
        "errorCode": 0,
    }
    ((kept, digest),) = gateway.access.api_key_rows.values()
    assert digest == hashlib.sha256(key.encode()).hexdigest()
    assert key.rpartition("_")[2] not in repr(kept)
    listed = (await client.get("/v1/keys")).json()
    del made["errorCode"]
    assert listed == {"keys": [made], "next_cursor": None, "errorCode": 0}


async def test_keys_are_listed_page_by_page(client: httpx2.AsyncClient, clock: FakeClock) -> None:
    made = []
    for _ in range(5):
        clock.leap(1)
        made.append((await make(client))["key_id"])
    found: list[str] = []
    cursor: str | None = ""
    for _ in range(3):
        page = (await client.get("/v1/keys", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        found += [key["key_id"] for key in page["keys"]]
        cursor = page["next_cursor"]
    assert (found, cursor) == (made, None)


def test_ids_sort_by_time(clock: FakeClock) -> None:
    ids = []
    for _ in range(100):
        clock.leap(0.001)
        ids.append(new_key("x", BOTH, None, clock, CountingEntropy())[0].key_id)
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {"scopes": BOTH},
        {"name": "", "scopes": BOTH},
        {"name": "\u200b", "scopes": BOTH},
        {"name": "x" * 201, "scopes": BOTH},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["admin"]},
        {"name": "x", "scopes": "read"},
        {"name": "x", "scopes": BOTH, "expires_at": 1_900_000_000},
        {"name": "x", "scopes": BOTH, "expires_at": "soon"},
        {"name": "x", "scopes": BOTH, "expires_at": "2027-01-01T00:00:00"},
        {"name": "x", "scopes": BOTH, "expires_at": "2026-11-23T03:18:05Z"},
        {"name": "x", "scopes": BOTH, "key": "mine"},
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(
    client: httpx2.AsyncClient, gateway: FakeGateway, body: dict[str, Any]
) -> None:
    answer = await client.post("/v1/keys", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert gateway.access.api_key_rows == {}


async def test_an_account_has_so_many_keys(client: httpx2.AsyncClient) -> None:
    for _ in range(KEYS_MAX):
        await make(client)
    answer = await client.post("/v1/keys", json={"name": "x", "scopes": BOTH})
    assert (answer.status_code, answer.json()["code"]) == (409, "limit-reached")


async def test_a_key_comes_in_as_its_account(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    key = (await make(client))["key"]
    assert await status(client, key) == 200
    assert ("session", "alice") in gateway.calls
    assert (await client.post("/v1/rooms", json={}, headers=bearer(key))).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1],
        lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"),
        lambda key: key.upper(),
        lambda key: key + " x",
        lambda key: key.replace("parlor_", "parlor_0"),
        lambda key: key[:23] + key[23:].replace("_", "-"),
        lambda _: "parlor_",
        lambda _: "parlor_0123456789abcdef_" + "0" * 64,
    ],
)
async def test_another_key_is_refused(client: httpx2.AsyncClient, change: Any) -> None:
    assert await status(client, change((await make(client))["key"])) == 401


async def test_a_key_is_looked_up_once(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    key = (await make(client))["key"]
    for _ in range(3):
        assert await status(client, key) == 200
    assert len(gateway.access.looked_up) == 1


async def test_a_key_expires(client: httpx2.AsyncClient, clock: FakeClock) -> None:
    end = datetime.fromtimestamp((NOW_MS + 60_000) / 1000, UTC).isoformat()
    key = (await make(client, expires_at=end))["key"]
    clock.leap(59.9)
    assert await status(client, key) == 200
    clock.leap(0.1)
    assert await status(client, key) == 401


async def test_an_ended_key_is_refused_within_the_interval_and_its_streams_end(
    app: FastAPI, client: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    made, other = await make(client), await make(client)
    assert [await status(client, each["key"]) for each in (made, other)] == [200, 200]
    path = f"/v1/rooms/{ROOM}/events"
    async with (
        Exchange(app, "GET", path, bearer(made["key"])) as ends,
        Exchange(app, "GET", path, bearer(other["key"])) as stays,
    ):
        for stream in (ends, stays):
            await stream.start()
            await stream.chunk()
        assert (await client.delete(f"/v1/keys/{made['key_id']}")).status_code == 204
        await followed(gateway, clock)
        _, data = await reconnect_of(ends)
        assert data["reason"] == "token-revoked"
        gateway.subscription.batches.put_nowait([])
        assert await stays.chunk() == b": ping\n\n"
    assert [await status(client, each["key"]) for each in (made, other)] == [401, 200]
    again = await client.delete(f"/v1/keys/{made['key_id']}")
    assert (again.status_code, again.json()["code"]) == (404, "key-not-found")


async def test_a_retired_signing_key_does_not_end_the_streams_of_api_keys(
    app: FastAPI, client: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    key = (await make(client))["key"]
    async with Exchange(app, "GET", f"/v1/rooms/{ROOM}/events", bearer(key)) as stream:
        await stream.start()
        await stream.chunk()
        await gateway.access.retire_signing_key("old", NOW_MS)
        await followed(gateway, clock)
        gateway.subscription.batches.put_nowait([])
        assert await stream.chunk() == b": ping\n\n"


@pytest.mark.parametrize("key_id", ["0123456789abcdef", "x", "%00", "ü" * 100, "parlor_0123456789abcdef"])
async def test_a_key_that_is_not_there_is_not_found(client: httpx2.AsyncClient, key_id: str) -> None:
    answer = await client.delete(f"/v1/keys/{key_id}")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, 1022)


async def test_a_revoked_account_loses_the_keys_that_it_had(
    client: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    key = (await make(client))["key"]
    assert await status(client, key) == 200
    clock.leap(1)
    await gateway.access.revoke_account(AccountId("alice"), clock.ms)
    await followed(gateway, clock)
    assert await status(client, key) == 401


async def test_a_key_neither_makes_nor_ends_keys(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    made = await make(client)
    for answer in (
        await client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, headers=bearer(made["key"])),
        await client.delete(f"/v1/keys/{made['key_id']}", headers=bearer(made["key"])),
    ):
        assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (403, "forbidden", 1019)
    assert len(gateway.access.api_key_rows) == 1


@pytest.mark.parametrize("scope", ["read", "write"])
async def test_a_key_allows_no_more_than_the_token_that_makes_it(
    client: httpx2.AsyncClient, settings: Settings, scope: str
) -> None:
    narrow = bearer(token(settings, scopes=[scope]))
    expected = {"read": (403, 403, 403), "write": (403, 201, 403)}[scope]
    asked: tuple[list[str], ...] = (["read"], ["write"], BOTH)
    found = [await client.post("/v1/keys", json={"name": "x", "scopes": each}, headers=narrow) for each in asked]
    assert tuple(answer.status_code for answer in found) == expected


async def test_a_key_with_one_scope_does_only_that(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    reader, writer = (await make(client, scopes=["read"]))["key"], (await make(client, scopes=["write"]))["key"]
    gateway.calls.clear()
    refused = await client.post("/v1/rooms", content=b"{not json", headers=bearer(reader))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await client.get("/v1/rooms", headers=bearer(writer))).status_code == 403
    assert [call[0] for call in gateway.calls if call[0] != "session"] == []
    assert (await client.get("/v1/rooms", headers=bearer(reader))).status_code == 200
    assert (await client.post("/v1/rooms", json={}, headers=bearer(writer))).status_code == 201


async def test_a_key_that_reads_opens_streams_with_tickets(
    client: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    made = await make(client, scopes=["read"])
    answer = await client.post("/v1/events/ticket", json={"path": "/v1/events"}, headers=bearer(made["key"]))
    assert answer.status_code == 201
    credential = gateway.last_call()[-1]
    assert credential == Credential(made["prefix"], NOW_MS, 2**53 - 1)
    del client.headers["authorization"]
    gateway.holder = TicketHolder(AccountId("alice"), credential)
    gateway.access.api_key_rows.clear()
    gateway.access.tell("api-key-ended", made["key_id"])
    await followed(gateway, clock)
    assert (await client.get("/v1/events?ticket=17-t")).status_code == 401


async def test_the_last_use_is_noted_once_an_hour(
    client: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    made = await make(client)
    for _ in range(3):
        await status(client, made["key"])
        await followed(gateway, clock)
    assert gateway.access.uses == [(made["key_id"], NOW_MS)]
    clock.leap(3600)
    await followed(gateway, clock)
    await status(client, made["key"])
    gateway.access.fails = StoreUnavailable()
    clock.leap(INTERVAL)
    gateway.access.fails = None
    await followed(gateway, clock)
    assert [key_id for key_id, _ in gateway.access.uses] == [made["key_id"]] * 2


async def test_another_replicas_note_of_the_last_use_counts(
    client: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    made = await make(client)
    key, digest = gateway.access.api_key_rows[made["key_id"]]
    gateway.access.api_key_rows[made["key_id"]] = (structs.replace(key, used_at=NOW_MS - 60_000), digest)
    await status(client, made["key"])
    await followed(gateway, clock)
    assert gateway.access.uses == []
