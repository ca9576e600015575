"""Errors as problem details."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from api.problems import PUBLIC_ERRORS
from parlor.errors import (
    ERROR_CLASSES,
    CacheUnavailable,
    Fenced,
    IllegalTransition,
    InternalError,
    LlmError,
    OutOfStep,
    ParlorError,
    Unauthenticated,
)
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.recording_metrics import RecordingMetrics
from tests.unit.api.samples import MESSAGE, ROOM

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}"
MEMBERS = {"type", "title", "status", "detail", "instance", "errorCode", "code", "request_id"}


@pytest.mark.parametrize("kind", PUBLIC_ERRORS)
async def test_every_public_error_is_answered_as_its_class_says(
    client: httpx2.AsyncClient, gateway: FakeGateway, metrics: RecordingMetrics, kind: type[ParlorError]
) -> None:
    await client.get(PATH)
    gateway.fails = kind("what happened", debug="secret", retry_after=1.2, extra={"status": 200, "more": "m"})
    answer = await client.get(PATH, headers={"X-Request-Id": "req-1"})
    assert answer.status_code == kind.http_status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "req-1"
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "type": f"/docs/errors#{kind.code}",
        "title": kind.title,
        "status": kind.http_status,
        "detail": "what happened",
        "instance": PATH,
        "errorCode": kind.error_code,
        "code": kind.code,
        "request_id": "req-1",
        "retry_after_seconds": 2,
        "more": "m",
    }
    assert (answer.headers.get("www-authenticate") == "Bearer") == (kind is Unauthenticated)
    assert metrics.codes == [kind.code]


def test_every_error_class_is_public_or_internal() -> None:
    # The ports' own errors (of the store, say) join the table when their modules are imported; none is public.
    hidden = {name for name, kind in ERROR_CLASSES.items() if kind.__module__ == "parlor.errors"}
    hidden -= {kind.__name__ for kind in PUBLIC_ERRORS}
    # These are answered as what they are a kind of.
    hidden -= {"ForeignCache", "ForeignStore", "ShardBehind", "PartitionMoves"}
    of_replies = {"LlmError", "AnswerEmpty", "AnswerOnlyReasoning", "AnswerFiltered"}
    out_of_step = {"OutOfStep", "Uncounted", "PartitionUnknown"}
    assert hidden == {"ParlorError", *of_replies, *out_of_step, "Fenced", "RoomMoved", "LeaseLost"}


@pytest.mark.parametrize("error", [Fenced("claim 77"), OutOfStep(), LlmError("key"), ParlorError("x")])
async def test_what_must_not_leave_the_program_is_internal(
    client: httpx2.AsyncClient, gateway: FakeGateway, error: ParlorError
) -> None:
    await client.get(PATH)
    gateway.fails = error
    answer = await client.get(PATH)
    assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (500, "internal", 1000)
    assert answer.json()["detail"] == InternalError().detail


async def test_a_retryable_error_always_says_when(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.fails = CacheUnavailable()
    answer = await client.get(PATH)
    assert (answer.headers["retry-after"], answer.json()["retry_after_seconds"]) == ("1", 1)


async def test_an_illegal_transition_says_from_and_to(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    await client.get(PATH)
    gateway.fails = IllegalTransition(extra={"from": "SENT", "to": "PENDING"})
    answer = await client.get(PATH)
    assert (answer.json()["from"], answer.json()["to"]) == ("SENT", "PENDING")
    assert "retry-after" not in answer.headers


async def test_an_unexpected_exception_is_internal_and_tells_nothing(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    await client.get(PATH)
    gateway.fails = RuntimeError("redis://user:password@host")
    answer = await client.get(PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "password" not in answer.text
    assert set(answer.json()) == MEMBERS
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_an_unknown_path_is_a_problem(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/nothing%ED%A0%80")
    assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (404, "not-found", 1000)
    assert set(answer.json()) == MEMBERS


async def test_a_trailing_slash_is_another_path(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/v1/rooms/")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/rooms", "GET, HEAD, OPTIONS, POST"),
        ("POST", PATH, "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("POST", f"{PATH}/queue", "GET, HEAD, OPTIONS"),
        ("PUT", f"{PATH}/memory", "DELETE, GET, HEAD, OPTIONS"),
        ("POST", f"{PATH}/messages/{MESSAGE}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("GET", f"{PATH}/messages/{MESSAGE}/stop", "OPTIONS, POST"),
        ("HEAD", f"{PATH}/messages/{MESSAGE}/regenerate", "OPTIONS, POST"),
        ("POST", f"{PATH}/messages/{MESSAGE}/variants", "GET, HEAD, OPTIONS"),
        ("POST", "/v1/usage", "GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("POST", "/assets/icon.svg", "GET, HEAD, OPTIONS"),
        ("FROBNICATE", "/v1/rooms", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    client: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    if method != "HEAD":
        assert (answer.json()["code"], answer.json()["errorCode"]) == ("method-not-allowed", 1020)


@pytest.mark.parametrize("given", ["a", "Z-9._", "x" * 64])
async def test_a_request_id_that_is_a_word_is_taken_over(client: httpx2.AsyncClient, given: str) -> None:
    answer = await client.get("/v1/nothing", headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"], answer.json()["request_id"]) == (given, given)


async def test_of_two_request_ids_none_is_taken_over(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/nothing", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert len(answer.json()["request_id"]) == 32


@pytest.mark.parametrize("given", ["", "a b", "a/b", "a:b", "a=", "a,b", "x" * 65, "ünïcode", "\xff"])
async def test_a_request_id_that_is_not_sane_is_replaced(client: httpx2.AsyncClient, given: str) -> None:
    answer = await client.get("/v1/nothing", headers={b"X-Request-Id": given.encode()})
    assert answer.json()["request_id"] != given
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert len(answer.json()["request_id"]) == 32


@pytest.mark.parametrize("path", ["/v1/rooms", PATH, f"{PATH}/export", "/v1/nothing", "/healthz", "/readyz"])
async def test_no_answer_stays_in_a_cache_or_is_taken_for_a_page(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await client.get("/assets/icon.svg")).headers["cache-control"] == "no-cache"


async def test_a_server_that_writes_the_request_id_is_not_doubled(app: FastAPI) -> None:
    middleware = next(each for each in app.user_middleware if each.kwargs.get("echo_request_id") is not None)
    middleware.kwargs["echo_request_id"] = False
    async with Exchange(app, "GET", "/v1/nothing", {"X-Request-Id": "outer"}) as exchange:
        assert "x-request-id" not in (await exchange.start())[1]
        assert json.loads(await exchange.chunk())["request_id"] == "outer"


async def test_requests_over_the_limit_are_refused_at_once(
    client: httpx2.AsyncClient, app: FastAPI, gateway: FakeGateway
) -> None:
    gateway.hold = asyncio.Event()
    held = [asyncio.create_task(client.get(PATH)) for _ in range(2)]
    await gateway.held.get()
    await gateway.held.get()
    refused = await client.get(PATH)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert (await client.get("/healthz")).status_code == 200
    gateway.hold.set()
    assert [answer.status_code for answer in await asyncio.gather(*held)] == [200, 200]
    assert (await client.get(PATH)).status_code == 200


async def test_the_documentation_needs_no_internet(client: httpx2.AsyncClient) -> None:
    del client.headers["authorization"]
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text.replace('http-equiv="', "")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    for path, kind in (
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "javascript"),
        ("start.js", "javascript"),
    ):
        found = await client.get(f"/docs/{path}")
        assert (found.status_code, kind in found.headers["content-type"]) == (200, True)
    assert (await client.get("/docs/VERSION")).status_code == 404
    errors = (await client.get("/docs/errors")).text
    assert all(f'id="{kind.code}"' in errors for kind in PUBLIC_ERRORS)


def test_the_vendored_files_are_what_their_checksums_say() -> None:
    folder = Path(__file__).parents[3] / "api" / "web" / "vendor" / "swagger"
    listed = {line[66:]: line[:64] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert set(listed) == {each.name for each in folder.iterdir()} - {"SHA256SUMS", "VERSION"}
    assert listed == {each: hashlib.sha256((folder / each).read_bytes()).hexdigest() for each in listed}
