"""Spans reach a collector over HTTP, in traces that their requests name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from actors.traces import trace_to
from parlor.model.tracing import current_trace, record_span, request_span, span, trace_with, work_for
from parlor.settings.traces import TraceSettings
from tests.collector import Collector, collecting

pytestmark = pytest.mark.unit

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found
    trace_with(None)
    work_for("")


@pytest.fixture
def provider(collector: Collector) -> Iterator[TracerProvider]:
    made = trace_to(TraceSettings(url=collector.url), "rooms-000")
    yield made
    made.shutdown()


def test_a_request_is_a_trace_of_its_own_id(collector: Collector, provider: TracerProvider) -> None:
    work_for("0123456789abcdef0123456789abcdef")
    with request_span("POST /v1/rooms", "") as opened:
        opened.note(**{"http.response.status_code": 201})
        with span("script create_room"):
            asked = current_trace()
    record_span("commit CHAT_ROOM_CREATE", asked, 0.25, shard=1)
    provider.force_flush()

    script, request, commit = sorted(collector.spans, key=lambda each: each.ended)
    assert {each.trace for each in collector.spans} == {"0123456789abcdef0123456789abcdef"}
    assert (request.parent, script.parent, commit.parent) == ("", request.span, script.span)
    assert request.attributes == {
        "parlor.request_id": "0123456789abcdef0123456789abcdef",
        "http.response.status_code": "201",
    }
    assert commit.ended - commit.began == pytest.approx(250_000_000, abs=1000)
    assert request.process["service.name"] == "parlor"
    assert request.process["parlor.actor"] == "rooms-000"


@pytest.mark.parametrize(
    ("request_id", "trace"),
    [("b7c1a2d4-0000-4000-8000-00000000000f", "b7c1a2d4000040008000" + "00000000000f"), ("0" * 32, ""), ("mine", "")],
)
def test_an_id_that_can_be_no_trace_gets_a_random_one(
    collector: Collector, provider: TracerProvider, request_id: str, trace: str
) -> None:
    work_for(request_id)
    for _ in range(2):
        with request_span("GET /v1/rooms", ""):
            pass
    provider.force_flush()
    found = {each.trace for each in collector.spans}
    assert found == {trace} if trace else len(found) == 2


def test_a_callers_trace_goes_on(collector: Collector, provider: TracerProvider) -> None:
    work_for("0123456789abcdef0123456789abcdef")
    with request_span("GET /v1/rooms", PARENT), pytest.raises(ValueError, match="text"), span("script"):
        raise ValueError("text")
    with request_span("GET /v1/rooms", f"{PARENT[:-2]}00"):
        assert current_trace().endswith("-00")
    provider.force_flush()
    script, request = collector.spans
    assert (request.trace, request.parent) == tuple(PARENT.split("-")[1:3])
    assert (script.error, request.error) == ("ValueError", "")


def test_a_share_of_the_requests_is_traced(collector: Collector) -> None:
    made = trace_to(TraceSettings(url=collector.url, share=0.0), "rooms-000")
    with request_span("GET /v1/rooms", ""):
        pass
    with request_span("GET /v1/rooms", PARENT):
        pass
    made.shutdown()
    assert [each.trace for each in collector.spans] == [PARENT.split("-")[1]]


def test_a_collector_that_is_away_is_said_once(collector: Collector, provider: TracerProvider) -> None:
    def ask() -> None:
        with request_span("GET /v1/rooms", ""):
            pass
        provider.force_flush()

    with structlog.testing.capture_logs() as logs:
        collector.status = 503
        ask()
        ask()
        collector.status = 200
        ask()
    assert [line["event"] for line in logs] == ["traces_not_taken", "traces_taken_again"]
    assert collector.batches == 3
