"""What errors of a language model's server show, over real connections."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

import httpx2
import msgspec
import pytest

from demo_model.http import Connection, Request
from parlor.errors import ErrorWire, LlmError, ParlorError
from tests.unit.llm.service_fixture import KEY, ServiceFixture, answering, server_of, serving

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "60"}, 60),
        ({"Retry-After": "0.5", "retry-after-ms": "90000"}, 90),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.PAYMENT_REQUIRED])
async def test_when_the_provider_wants_to_be_asked_again_is_passed_on(
    http: httpx2.AsyncClient, headers: dict[str, str], seconds: float | None, status: HTTPStatus
) -> None:
    async with answering(status, b"{}", headers) as url, serving(url, http) as service:
        _, error = await service.failure("x")
    assert error.retry_after == seconds


async def test_a_date_to_be_asked_again_becomes_seconds(http: httpx2.AsyncClient) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    async with (
        answering(HTTPStatus.SERVICE_UNAVAILABLE, b"{}", {"Retry-After": at}) as url,
        serving(url, http) as service,
    ):
        _, error = await service.failure("x")
    assert error.retry_after is not None
    assert 50 < error.retry_after <= 100


async def test_neither_key_nor_providers_words_are_shown(http: httpx2.AsyncClient) -> None:
    body = json.dumps({"error": {"message": f"Bad key {KEY}, also sk-proj-1234abcd*9", "code": "invalid_api_key"}})
    async with (
        answering(HTTPStatus.UNAUTHORIZED, body.encode(), {}) as url,
        serving(url, http) as service,
    ):
        _, error = await service.failure("x")
    assert error.detail == "The language model refused the API key"
    assert "invalid_api_key" in error.debug
    assert KEY not in error.debug
    assert "1234abcd" not in error.debug


@pytest.mark.parametrize(
    ("code", "status", "detail"),
    [
        ("insufficient_quota", HTTPStatus.TOO_MANY_REQUESTS, "The language model's quota is used up"),
        ("context_length_exceeded", HTTPStatus.BAD_REQUEST, "The conversation is too long for the language model"),
    ],
)
async def test_codes_that_say_more_than_the_status_are_told(
    http: httpx2.AsyncClient, code: str, status: HTTPStatus, detail: str
) -> None:
    body = json.dumps({"error": {"message": "m", "code": code}}).encode()
    async with answering(status, body, {}) as url, serving(url, http) as service:
        _, error = await service.failure("x")
    assert error.detail == detail
    assert error.extra["retryable"] is False


TOO_LONG = "The conversation is too long for the language model"
FILTERED = "The language model's content filter withheld the answer"


@pytest.mark.parametrize(
    ("status", "error", "detail"),
    [
        (400, {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, FILTERED),  # Azure
        (400, {"code": "data_inspection_failed"}, FILTERED),  # DashScope
        (400, {"message": "This model's maximum context length is 4096 tokens.", "code": 400}, TOO_LONG),  # vLLM
        (400, {"type": "exceed_context_size_error", "code": 400}, TOO_LONG),  # llama.cpp
        (400, {"message": "prompt is too long: 200001 tokens > 200000 maximum"}, TOO_LONG),  # Anthropic
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096", TOO_LONG),  # TGI
        (400, {"message": "The input token count (1048577) exceeds the maximum"}, TOO_LONG),  # Google
        (429, {"type": "insufficient_quota"}, "The language model's quota is used up"),
        (429, {"code": ["odd"]}, "The language model has too many requests"),
        (429, {"code": {"odd": 1}, "type": 5}, "The language model has too many requests"),
        (400, {"message": "You have no context"}, "The language model refused the request (HTTP 400)"),
    ],
)
async def test_what_an_error_means_is_told_whoever_writes_it(
    http: httpx2.AsyncClient, status: int, error: object, detail: str
) -> None:
    async with (
        answering(HTTPStatus(status), json.dumps({"error": error}).encode(), {}) as url,
        serving(url, http) as it,
    ):
        _, failure = await it.failure("x")
    assert failure.detail == detail


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        ({"type": "authentication_error"}, "The language model refused the API key"),
        ({"code": "rate_limit_exceeded"}, "The language model has too many requests"),
        ({"status": "RESOURCE_EXHAUSTED"}, "The language model has too many requests"),
        ({"type": "overloaded_error"}, "The language model failed (HTTP 503)"),
        ({"status_code": 503}, "The language model failed (HTTP 503)"),
        ({"code": "model_not_found"}, "The language model's endpoint or model name is not known there"),
    ],
)
async def test_what_an_error_with_status_200_means_is_told(
    http: httpx2.AsyncClient, error: object, detail: str
) -> None:
    body = json.dumps({"error": error}).encode()
    async with answering(HTTPStatus.OK, body, {}) as url, serving(url, http) as service:
        _, failure = await service.failure("x")
    assert failure.detail == detail


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"caf\xe9"}}',  # not UTF-8
        b'{"error":' * 100_000,
        b'[{"error":{"message":"m","code":401}}]',
        b"[]",
        b"<html>no</html>",
        b"x" * 10_000_000,
    ],
)
async def test_an_error_page_of_any_kind_does_not_hide_the_status(http: httpx2.AsyncClient, body: bytes) -> None:
    async with answering(HTTPStatus.UNAUTHORIZED, body, {}) as url, serving(url, http) as service:
        _, error = await service.failure("x")
    assert error.detail == "The language model refused the API key"
    assert len(error.debug) <= 500


@pytest.mark.parametrize(
    ("head", "detail"),
    [
        (b"HTTP/1.1 401 No\r\nServer: caf\xe9\r\n", "The language model refused the API key"),
        (b"HTTP/1.1 401 No\r\nX-Policy: %b\r\n" % (b"x" * 20_000), "The language model refused the API key"),
        (b"HTTP/1.1 401 No\r\n" + b"X-A: b\r\n" * 200, "The language model refused the API key"),
        (
            b"HTTP/1.1 429 No\r\nRetry-After: Fri, 31 Dec 0000 23:59:59 GMT\r\n",
            "The language model has too many requests",
        ),
        # It breaks off within its body, or has no end.
        (b"HTTP/1.1 401 No\r\nContent-Length: 99\r\n", "The language model refused the API key"),
    ],
)
async def test_headers_of_any_kind_do_not_hide_the_status(http: httpx2.AsyncClient, head: bytes, detail: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"Connection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with serving(f"http://127.0.0.1:{port}/v1", http) as service:
            _, error = await service.failure("x")
    assert error.detail == detail


async def test_an_error_page_that_does_not_end_is_not_waited_for(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlor.llm.upstream.TAIL_TIMEOUT", 0.05)

    async def handle(request: Request, connection: Connection) -> None:
        connection.respond(HTTPStatus.UNAUTHORIZED, b"{", {"Content-Length": "99"})
        await asyncio.get_running_loop().create_future()

    async with server_of(handle) as url, serving(url, http) as service:
        _, error = await service.failure("x")
    assert error.detail == "The language model refused the API key"


async def test_an_error_survives_the_way_through_an_actor_call(service: ServiceFixture) -> None:
    _, error = await service.failure("[[fail=503]]")
    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(error.to_wire()), type=ErrorWire)
    again = ParlorError.from_wire(wire)
    assert isinstance(again, LlmError)
    assert again.extra["retryable"] is True
