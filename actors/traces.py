"""Traces: the spans of this process go to an OpenTelemetry collector, as OTLP over HTTP in its JSON form.

The SDK's batch processor keeps and sends them in a thread of its own; what it cannot send in time it drops.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import httpx2
import msgspec
import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from parlor.model.tracing import Attributes, Span, trace_with

if TYPE_CHECKING:
    from parlor.settings.traces import TraceSettings

SEND_SECONDS = 10.0
"""Longest time for a batch to be taken."""
_log = structlog.get_logger(__name__)


def trace_to(settings: TraceSettings, process: str) -> TracerProvider:
    """Has this process's spans sent to the collector that the settings name."""
    resource = Resource.create({"service.name": settings.service, "parlor.actor": process, "process.pid": os.getpid()})
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.share)), resource=resource, id_generator=(ids := _Ids())
    )
    provider.add_span_processor(BatchSpanProcessor(CollectorExporter(f"{settings.url.rstrip('/')}/v1/traces")))
    trace_with(OtelTracer(provider, ids))
    return provider


class _Ids(RandomIdGenerator):
    """Random, but for the trace of a request whose own id is one."""

    def __init__(self) -> None:
        self.wanted = 0

    def generate_trace_id(self) -> int:
        wanted, self.wanted = self.wanted, 0
        return wanted or super().generate_trace_id()


class OtelTracer:
    """See ``parlor.model.tracing.Tracer``. One event loop uses it."""

    def __init__(self, provider: TracerProvider, ids: _Ids) -> None:
        self._tracer = provider.get_tracer("parlor")
        self._ids = ids

    def begin(self, name: str, parent: str, request_id: str, attributes: Attributes) -> Span:
        self._ids.wanted = 0 if parent else _trace_id(request_id)
        given = {"parlor.request_id": request_id, **attributes} if request_id else attributes
        kind = SpanKind.SERVER if request_id else SpanKind.INTERNAL
        return OtelSpan(self._tracer.start_span(name, _below(parent), kind, given))

    def record(self, name: str, parent: str, seconds: float, attributes: Attributes) -> None:
        now = time.time_ns()
        span = self._tracer.start_span(name, _below(parent), attributes=attributes, start_time=now - int(seconds * 1e9))
        span.end(now)


class OtelSpan:
    """See ``parlor.model.tracing.Span``."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        at = span.get_span_context()
        self.traceparent = f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags & TraceFlags.SAMPLED:02x}"

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def end(self, error: str = "") -> None:
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


def _below(traceparent: str) -> Context:
    """The context of a span with this parent; an empty one for a root."""
    context = Context()
    if not traceparent:
        return context
    _, trace_id, span_id, flags = traceparent.split("-")
    at = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return trace.set_span_in_context(trace.NonRecordingSpan(at), context)


def _trace_id(request_id: str) -> int:
    """The trace that a request's id stands for: 32 hexadecimal digits, or a UUID; 0: none."""
    digits = request_id.replace("-", "")
    return int(digits, 16) if len(digits) == 32 and set(digits) <= set("0123456789abcdefABCDEF") else 0


class CollectorExporter(SpanExporter):
    """Posts spans to a collector; an outage of it is said once."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._client = httpx2.Client(timeout=SEND_SECONDS)
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            answer = self._client.post(
                self._address, content=msgspec.json.encode(form_of(spans)), headers={"Content-Type": "application/json"}
            )
            answer.raise_for_status()
        except httpx2.HTTPError as error:
            if not self._away:
                _log.warning("traces_not_taken", address=self._address, debug=repr(error))
            self._away = True
            return SpanExportResult.FAILURE
        if self._away:
            _log.info("traces_taken_again", address=self._address)
        self._away = False
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._client.close()


def form_of(spans: Sequence[ReadableSpan]) -> dict[str, object]:
    """``ExportTraceServiceRequest`` in JSON (OTLP 1.5). All spans of a process have one resource and scope."""
    resource = {"attributes": _attributes(spans[0].resource.attributes)}
    return {
        "resourceSpans": [
            {"resource": resource, "scopeSpans": [{"scope": {"name": "parlor"}, "spans": [*map(_span, spans)]}]}
        ]
    }


def _span(span: ReadableSpan) -> dict[str, object]:
    at = span.get_span_context()
    assert at is not None  # noqa: S101 - every span that was begun has one
    form: dict[str, object] = {
        "traceId": f"{at.trace_id:032x}",
        "spanId": f"{at.span_id:016x}",
        "name": span.name,
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "status": {"code": span.status.status_code.value, "message": span.status.description or ""},
    }
    if span.parent is not None:
        form["parentSpanId"] = f"{span.parent.span_id:016x}"
    return form


def _attributes(attributes: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: object) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": str(value)}
