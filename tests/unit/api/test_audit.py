"""What callers do to accounts, keys and dead letters is written down before it is done."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from parlor.errors import StoreUnavailable
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.fake_clock import NOW_MS

pytestmark = pytest.mark.unit

NOW = "2026-11-23T03:18:05.042Z"
KEY, DEAD = "0123456789abcdef", "17:1795403885042-1"
ACCOUNT = "/v1/admin/accounts/alice"

CALLS: dict[str, tuple[str, str, dict[str, Any] | None, str, str, str]] = {
    "disable": ("PATCH", ACCOUNT, {"disabled": True}, "account-disabled", "alice", ""),
    "enable": ("PATCH", ACCOUNT, {"disabled": False}, "account-enabled", "alice", ""),
    "revoke": ("PATCH", ACCOUNT, {"not_before": NOW}, "account-revoked", "alice", NOW),
    "delete": ("DELETE", ACCOUNT, None, "account-deleted", "alice", ""),
    "replay": ("POST", f"/v1/admin/dead-letters/{DEAD}/replay", None, "dead-letter-replayed", DEAD, ""),
    "drop": ("POST", f"/v1/admin/dead-letters/{DEAD}/drop", None, "dead-letter-dropped", DEAD, ""),
    "end a key": ("DELETE", f"/v1/keys/{KEY}", None, "api-key-ended", "olga", KEY),
}
each = pytest.mark.parametrize(("method", "path", "body", "action", "subject", "detail"), CALLS.values(), ids=CALLS)


@pytest.fixture
def client(client: httpx2.AsyncClient, settings: Settings) -> httpx2.AsyncClient:
    client.headers["authorization"] = f"Bearer {token(settings, 'olga', scopes=['admin'])}"
    return client


async def ask(client: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any] | None) -> httpx2.Response:
    return await (client.request(method, path, json=body) if body else client.request(method, path))


@each
async def test_it_is_written_down(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    action: str,
    subject: str,
    detail: str,
) -> None:
    await ask(client, method, path, body)
    (entry,) = gateway.audit.entries
    assert (entry.at, entry.way, entry.actor) == (NOW_MS, "http", "olga")
    assert (entry.action, entry.subject, entry.detail) == (action, subject, detail)


@each
async def test_what_cannot_be_written_down_is_not_done(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    action: str,
    subject: str,
    detail: str,
) -> None:
    gateway.audit.fails = StoreUnavailable()
    answer = await ask(client, method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
    assert gateway.administration.calls == []
    del action, subject, detail


async def test_a_key_is_written_down_without_itself(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    made = (await client.post("/v1/keys", json={"name": "cron", "scopes": ["read"]})).json()
    (entry,) = gateway.audit.entries
    assert (entry.action, entry.subject, entry.detail) == ("api-key-made", "olga", made["key_id"])
    assert made["key"] not in str(entry)


async def test_operators_read_it_in_pages_newest_first(client: httpx2.AsyncClient) -> None:
    for disabled in (True, False):
        await client.patch(ACCOUNT, json={"disabled": disabled})
    first = (await client.get("/v1/admin/audit", params={"limit": 1})).json()
    assert first["entries"] == [
        {
            "entry_id": 2,
            "at": NOW,
            "way": "http",
            "actor": "olga",
            "action": "account-enabled",
            "subject": "alice",
            "detail": "",
        }
    ]
    second = (await client.get("/v1/admin/audit", params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [entry["action"] for entry in second["entries"]] == ["account-disabled"]
    assert second["next_cursor"] is None
    wrong = await client.get("/v1/admin/audit", params={"cursor": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid-request")


async def test_an_account_does_not_fill_the_log(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    found = [(await client.delete(f"/v1/keys/{KEY}")).status_code for _ in range(203)]
    assert found == [404] * 200 + [429] * 3
    assert (await client.post("/v1/keys", json={"name": "x", "scopes": ["read"]})).status_code == 429
    assert (await client.post("/v1/session", json={"token": token(settings, "olga")})).status_code == 429
    assert len(gateway.audit.entries) == 200
    assert (await client.patch(ACCOUNT, json={"disabled": True})).status_code == 200, "what operators do is not counted"
    assert (await client.post("/v1/session", json={"token": token(settings, "bob")})).status_code == 201
