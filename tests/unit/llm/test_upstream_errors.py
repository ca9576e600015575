"""What errors of a language model's server show, over real connections."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

import httpx2
import msgspec
import pytest

from parlor.errors import ErrorWire, LlmError, ParlorError
from tests.unit.llm.service_fixture import KEY, ServiceFixture, answering, serving

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


async def test_an_error_survives_the_way_through_an_actor_call(service: ServiceFixture) -> None:
    _, error = await service.failure("[[fail=503]]")
    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(error.to_wire()), type=ErrorWire)
    again = ParlorError.from_wire(wire)
    assert isinstance(again, LlmError)
    assert again.extra["retryable"] is True
