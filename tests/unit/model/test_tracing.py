"""The request that work is done for, as it travels, and what is traced of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from structlog.contextvars import clear_contextvars, get_contextvars

from parlor.model.tracing import (
    NO_SPAN,
    Attributes,
    carried_request,
    current_request,
    current_trace,
    record_span,
    request_and_trace,
    request_span,
    span,
    trace_with,
    work_for,
)

pytestmark = pytest.mark.unit

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Written:
    """A span that says what became of it."""

    def __init__(self, name: str, parent: str, number: int) -> None:
        trace = parent.split("-")[1] if parent else TRACE
        self.name, self.parent = name, parent
        self.traceparent = f"00-{trace}-{number:016x}-01"
        self.noted: dict[str, object] = {}
        self.ended: str | None = None

    def note(self, attributes: Attributes) -> None:
        self.noted.update(attributes)

    def end(self, error: str = "") -> None:
        self.ended = error


class Writing:
    """Spans in memory."""

    def __init__(self) -> None:
        self.spans: list[Written] = []
        self.recorded: list[tuple[str, str, float]] = []

    def begin(self, name: str, parent: str, request_id: str, attributes: Attributes) -> Written:
        made = Written(name, parent, len(self.spans) + 1)
        made.note(attributes)
        self.spans.append(made)
        return made

    def record(self, name: str, parent: str, seconds: float, attributes: Attributes) -> None:
        self.recorded.append((name, parent, seconds))


@pytest.fixture
def tracer() -> Iterator[Writing]:
    made = Writing()
    trace_with(made)
    work_for("")
    yield made
    trace_with(None)
    work_for("")
    clear_contextvars()


def test_nothing_is_traced_while_nobody_collects() -> None:
    trace_with(None)
    work_for(f"request {PARENT}")
    assert span("script append_turn") is NO_SPAN
    assert request_span("POST /v1/rooms", PARENT) is NO_SPAN
    record_span("commit", PARENT, 0.1)
    work_for("")


def test_a_request_carries_the_span_that_asks(tracer: Writing) -> None:
    work_for("request")
    assert carried_request() == "request"
    with request_span("POST /v1/rooms", "") as opened:
        opened.note(status=201)
        carried = carried_request()
        assert carried == f"request {tracer.spans[0].traceparent}"
        assert get_contextvars()["trace_id"] == TRACE
    assert (tracer.spans[0].noted, tracer.spans[0].ended) == ({"status": 201}, "")
    assert carried_request() == "request"

    # Another process goes on with it.
    work_for(carried)
    assert (current_request(), current_trace()) == request_and_trace(carried)
    assert get_contextvars() == {"request_id": "request", "trace_id": TRACE}
    work_for("other")
    assert (current_trace(), get_contextvars()) == ("", {"request_id": "other"})


def test_spans_are_below_each_other_and_say_why_they_failed(tracer: Writing) -> None:
    work_for(f"request {PARENT}")
    with pytest.raises(KeyError), span("command Send"), span("script append_turn"):
        raise KeyError("what somebody wrote")
    outer, inner = tracer.spans
    assert (outer.parent, inner.parent) == (PARENT, outer.traceparent)
    assert (outer.ended, inner.ended) == ("KeyError", "KeyError")
    assert current_trace() == PARENT


async def test_a_task_is_in_the_span_that_made_it(tracer: Writing) -> None:
    work_for(f"request {PARENT}")

    async def ask() -> str:
        return current_trace()

    with span("reply"):
        task = asyncio.create_task(ask())
    assert await task == tracer.spans[0].traceparent


def test_a_trace_that_is_not_wanted_has_no_spans_and_goes_on(tracer: Writing) -> None:
    unwanted = f"{PARENT[:-2]}00"
    work_for(f"request {unwanted}")
    assert span("script append_turn") is NO_SPAN
    record_span("commit", unwanted, 0.1)
    record_span("commit", "", 0.1)
    assert tracer.recorded == []
    assert current_trace() == unwanted


@pytest.mark.parametrize(
    "given",
    [
        "",
        PARENT.upper(),
        f"01-{PARENT[3:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"{PARENT}-more",
        f"x{PARENT}",
    ],
)
def test_what_is_no_traceparent_is_not_continued(tracer: Writing, given: str) -> None:
    with request_span("GET /v1/rooms", given):
        assert tracer.spans[0].parent == ""
