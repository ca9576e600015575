"""A request is a span: named without ids, with its status; what asks for health is none."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from parlor.model.tracing import trace_with
from tests.unit.model.test_tracing import PARENT, Writing

pytestmark = pytest.mark.unit

ROOM = "0199d2a4-8f00-8abc-9def-000000000001"


@pytest.fixture
def tracer() -> Iterator[Writing]:
    made = Writing()
    trace_with(made)
    yield made
    trace_with(None)


async def test_a_request_is_a_span_below_that_of_its_caller(client: httpx2.AsyncClient, tracer: Writing) -> None:
    await client.get("/healthz")
    await client.get("/v1/rooms", headers={"traceparent": PARENT})
    await client.get(f"/v1/rooms/{ROOM}/nothing/{ROOM}")
    await client.get("/v1/admin/accounts/ada")
    assert [(each.name, each.parent, each.noted) for each in tracer.spans] == [
        ("GET /v1/rooms", PARENT, {"http.response.status_code": 200}),
        ("GET /v1/rooms/{id}/nothing/{id}", "", {"http.response.status_code": 404}),
        ("GET /v1/admin/accounts/{id}", "", {"http.response.status_code": 403}),
    ]
    assert {each.ended for each in tracer.spans} == {""}


async def test_two_traceparents_are_none(client: httpx2.AsyncClient, tracer: Writing) -> None:
    await client.get("/v1/rooms", headers=[("traceparent", PARENT), ("traceparent", PARENT)])
    assert [each.parent for each in tracer.spans] == [""]
