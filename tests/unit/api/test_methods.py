"""HEAD, OPTIONS and WebSocket handshakes."""

from __future__ import annotations

import json

import httpx2
import pytest
from fastapi import FastAPI

from parlor.errors import RoomNotFound
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import MESSAGE, REPLY, ROOM

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}"
PUBLIC = ["/", "/healthz", "/readyz", "/docs", "/docs/errors", "/openapi.json", "/assets/icon.svg"]
GETS = [
    "/v1/personas",
    "/v1/rooms",
    PATH,
    f"{PATH}/messages",
    f"{PATH}/messages/{MESSAGE}",
    f"{PATH}/messages/{REPLY}/variants",
    f"{PATH}/state",
    f"{PATH}/export",
    "/v1/usage",
    "/v1/search?q=tea",
    "/v1/approvals",
    "/v1/nothing",
]


@pytest.mark.parametrize("path", [*PUBLIC, *GETS])
async def test_head_has_the_status_and_headers_of_get_and_no_body(client: httpx2.AsyncClient, path: str) -> None:
    got = await client.get(path, headers={"X-Request-Id": "one"})
    asked = await client.head(path, headers={"X-Request-Id": "one"})
    assert (asked.status_code, asked.content) == (got.status_code, b"")
    for each in (got, asked):
        # The second request of the account leaves one less.
        each.headers.pop("ratelimit", None)
    assert asked.headers == got.headers


async def test_head_of_an_export_does_not_read_the_room(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.export_breaks = AssertionError("read to the end")
    assert (await client.head(f"{PATH}/export")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/events", f"{PATH}/events", f"{PATH}/messages/{REPLY}/events"])
async def test_head_of_a_stream_ends_at_once_and_leaves_nothing_open(
    app: FastAPI, client: httpx2.AsyncClient, gateway: FakeGateway, path: str
) -> None:
    answer = await client.head(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert gateway.subscription.closed.is_set()
    assert app.state.edge.streams.taken == app.state.edge.under_way == 0


async def test_head_is_refused_as_get_is(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    await client.get(PATH)
    gateway.fails = RoomNotFound()
    answer = await client.head(PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    gateway.fails = RuntimeError("broken")
    assert (await client.head(PATH)).status_code == 500
    del client.headers["authorization"]
    assert (await client.head(PATH)).status_code == 401


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
        ("/v1/rooms", "GET, HEAD, OPTIONS, POST"),
        (f"{PATH}/messages/{MESSAGE}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        (f"{PATH}/messages/{MESSAGE}/stop", "OPTIONS, POST"),
    ],
)
async def test_options_names_the_methods_of_a_path_to_anybody(
    client: httpx2.AsyncClient, gateway: FakeGateway, path: str, allowed: str
) -> None:
    del client.headers["authorization"]
    answer = await client.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")
    assert gateway.calls == []


async def test_options_of_no_path_is_not_found(client: httpx2.AsyncClient) -> None:
    assert (await client.options("/v1/nothing")).status_code == 404


async def test_a_websocket_is_answered_with_a_problem(app: FastAPI, settings: Settings) -> None:
    headers = {"Authorization": f"Bearer {token(settings)}", "X-Request-Id": "socket-1"}
    async with Exchange(app, "GET", "/v1/rooms", headers) as exchange:
        exchange.upgrade()
        started = await exchange.next()
        assert (started["type"], started["status"]) == ("websocket.http.response.start", 404)
        answered = dict(started["headers"])
        assert answered[b"content-type"] == b"application/problem+json"
        assert answered[b"x-request-id"] == b"socket-1"
        problem = json.loads(await exchange.chunk())
        assert (problem["code"], problem["request_id"]) == ("not-found", "socket-1")


async def test_a_server_that_cannot_say_why_closes_a_websocket(app: FastAPI) -> None:
    async with Exchange(app, "GET", "/v1/rooms", {}) as exchange:
        exchange.upgrade(denial=False)
        assert (await exchange.next())["type"] == "websocket.close"
