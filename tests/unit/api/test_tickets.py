"""Event streams opened with a ticket, as a browser's EventSource does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from structlog.typing import EventDict

from parlor.model.access import Credential, TicketHolder
from parlor.model.ids import AccountId
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CURSOR, REPLY, ROOM
from tests.unit.fake_clock import NOW_MS, FakeClock

pytestmark = pytest.mark.unit

ACCOUNT, OF_ROOM, OF_REPLY = "/v1/events", f"/v1/rooms/{ROOM}/events", f"/v1/rooms/{ROOM}/messages/{REPLY}/events"
STREAMS = [ACCOUNT, OF_ROOM, OF_REPLY]


@pytest.mark.parametrize("path", STREAMS)
async def test_a_ticket_is_issued_for_a_stream_until_the_token_ends(
    client: httpx2.AsyncClient, settings: Settings, gateway: FakeGateway, path: str
) -> None:
    brief = {"Authorization": f"Bearer {token(settings, ttl=timedelta(seconds=60))}"}
    answer = await client.post("/v1/events/ticket", json={"path": path}, headers=brief)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json() == {"ticket": "17-t", "expires_at": "2026-11-23T03:18:35.042Z", "errorCode": 0}
    name, account, bound, credential = gateway.last_call()
    assert (name, account, bound) == ("issue_ticket", "alice", path)
    assert 0 < credential.valid_until - (NOW_MS + 70_000) <= 1000  # the leeway is 10 s


@pytest.mark.parametrize("path", [OF_ROOM.upper().replace("/V1/ROOMS", "/v1/rooms").replace("EVENTS", "events")])
async def test_a_ticket_is_for_one_spelling_of_the_path(
    client: httpx2.AsyncClient, gateway: FakeGateway, path: str
) -> None:
    await client.post("/v1/events/ticket", json={"path": f"{path}?after={CURSOR}"})
    assert gateway.last_call()[2] == OF_ROOM
    del client.headers["authorization"]
    await client.get(f"{path}?ticket=17-t")
    assert gateway.last_call() == ("use_ticket", "17-t", OF_ROOM)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "events",
        "/v1/rooms",
        f"/v1/rooms/{ROOM}",
        f"/v1/rooms/{ROOM}/events/",
        "/v1/rooms/x/events",
        f"https://h{ACCOUNT}",
        f"//h{ACCOUNT}",
        f"/v1/rooms/{ROOM}/../events",
        "/V1/events",
        5,
        None,
    ],
)
async def test_no_ticket_is_issued_for_anything_else(
    client: httpx2.AsyncClient, gateway: FakeGateway, path: object
) -> None:
    answer = await client.post("/v1/events/ticket", json={"path": path})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "path"])
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_a_ticket_needs_a_token(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.holder = TicketHolder(AccountId("alice"), Credential("secret", NOW_MS, NOW_MS + 60_000))
    del client.headers["authorization"]
    for query in ("", "?ticket=17-t"):
        assert (await client.post(f"/v1/events/ticket{query}", json={"path": ACCOUNT})).status_code == 401


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_is_opened_with_its_ticket_and_ends_when_that_does(
    app: FastAPI, gateway: FakeGateway, clock: FakeClock, path: str
) -> None:
    gateway.holder = TicketHolder(AccountId("alice"), Credential("secret", NOW_MS, NOW_MS + 60_000))
    async with Exchange(app, "GET", path, {"Last-Event-ID": CURSOR}, "ticket=17-t&after=1-1") as stream:
        assert (await stream.start())[0] == 200
        await stream.chunk()
        assert [call[:3] for call in gateway.calls[:2]] == [("use_ticket", "17-t", path), ("session", "alice")]
        assert gateway.last_call()[-1] == CURSOR
        clock.leap(61)
        assert b'"reason":"token-expired"' in await stream.chunk()


@pytest.mark.parametrize("query", ["ticket=17-t", "ticket=", "ticket=17-t&ticket=17-t"])
async def test_a_ticket_that_is_not_good_is_refused_and_never_logged(
    client: httpx2.AsyncClient, gateway: FakeGateway, logs: Sequence[EventDict], query: str
) -> None:
    del client.headers["authorization"]
    answer = await client.get(f"{OF_ROOM}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert [call[0] for call in gateway.calls if call[0] != "use_ticket"] == []
    gateway.fails = RuntimeError("broken")
    assert (await client.get(f"{OF_ROOM}?ticket=17-t")).status_code == 500
    assert "17-t" not in answer.text
    assert "17-t" not in repr([{**line, "exc_info": None} for line in logs])


async def test_of_a_token_and_a_ticket_none_counts(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.holder = TicketHolder(AccountId("alice"), Credential("secret", NOW_MS, NOW_MS + 60_000))
    assert (await client.get(f"{OF_ROOM}?ticket=17-t")).status_code == 401
    assert gateway.calls == []


async def test_a_ticket_opens_nothing_but_streams(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.holder = TicketHolder(AccountId("alice"), Credential("secret", NOW_MS, NOW_MS + 60_000))
    del client.headers["authorization"]
    for path in ("/v1/rooms", f"/v1/rooms/{ROOM}", f"/v1/rooms/{ROOM}/export"):
        assert (await client.get(f"{path}?ticket=17-t")).status_code == 401
    assert gateway.calls == []


async def test_the_document_says_where_a_ticket_may_stand(client: httpx2.AsyncClient) -> None:
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    streams = {
        path
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if {"ticket": []} in operation["security"]
    }
    room = "/v1/rooms/{room_id}"
    assert streams == {"/v1/events", f"{room}/events", f"{room}/messages/{{message_id}}/events"}


async def test_a_ticket_ends_when_the_key_of_its_token_is_retired(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.holder = TicketHolder(AccountId("alice"), Credential("retired", NOW_MS, NOW_MS + 60_000))
    del client.headers["authorization"]
    answer = await client.get(f"{ACCOUNT}?ticket=17-t")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
