"""The request that work is done for: each line of the log that it causes has its id, and each span is in its trace.

The id is one of structlog's context variables. A task begins with those of the code that made it, so a task that serves
several requests names each in turn. From process to process, and through Redis, travels one text (``carried_request``).

Spans cost nothing while nobody collects them (``trace_with``): ``span`` then is one comparison. Work that no request
asked for has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Protocol

from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

_FIELD = "request_id"
_TRACE_FIELD = "trace_id"
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_SAMPLED = 1

Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """A piece of work that has begun."""

    @property
    def traceparent(self) -> str:
        """What names it to others, as W3C Trace Context writes it."""

    def note(self, attributes: Attributes) -> None:
        """Adds what was found out meanwhile."""

    def end(self, error: str = "") -> None:
        """``error``: why it failed; never anybody's text."""


class Tracer(Protocol):
    """Collects the spans of one process."""

    def begin(self, name: str, parent: str, request_id: str, attributes: Attributes) -> Span:
        """Begins a span below ``parent``, a traceparent. Empty: that of a request from outside, in a new trace, which
        has the request's id if that can be one."""

    def record(self, name: str, parent: str, seconds: float, attributes: Attributes) -> None:
        """One that ends now and has taken so long."""


class _Tracing:
    """Of this process."""

    tracer: Tracer | None = None


_trace: ContextVar[str] = ContextVar("parlor_trace", default="")


def trace_with(tracer: Tracer | None) -> None:
    """From here on spans of this process are collected; None: no more."""
    _Tracing.tracer = tracer


def is_traced() -> bool:
    """Whether spans are collected in this process."""
    return _Tracing.tracer is not None


def current_request() -> str:
    """The id of the request that this task works for; empty for none."""
    return str(get_contextvars().get(_FIELD, ""))


def current_trace() -> str:
    """The traceparent of the span that this task is in; empty for none."""
    return _trace.get()


def carried_request() -> str:
    """The request as it travels: its id, and behind a blank the traceparent of the span that asks, if there is one."""
    request_id, trace = current_request(), _trace.get()
    return f"{request_id} {trace}" if trace else request_id


def request_and_trace(carried: str) -> tuple[str, str]:
    """The two parts of a request that has travelled."""
    request_id, _, trace = carried.partition(" ")
    return request_id, trace


def work_for(carried: str) -> None:
    """From here on this task, and each that it makes, works for this request; empty: for none."""
    request_id, trace = request_and_trace(carried)
    if request_id:
        bind_contextvars(**{_FIELD: request_id})
    else:
        unbind_contextvars(_FIELD)
    if trace != _trace.get():
        _trace.set(trace)
        _name_trace(trace)


def trace_id_of(traceparent: str) -> str:
    """Empty for what is no traceparent."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""


def is_sampled(traceparent: str) -> bool:
    """Whether spans of the trace are wanted."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found is not None and bool(int(found[2], 16) & _SAMPLED)


def _name_trace(trace: str) -> None:
    if trace_id := trace_id_of(trace):
        bind_contextvars(**{_TRACE_FIELD: trace_id})
    else:
        unbind_contextvars(_TRACE_FIELD)


class _NoSpan:
    """What is not traced."""

    def __enter__(self) -> _NoSpan:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def note(self, **attributes: str | int | float | bool) -> None:
        return


class _OpenSpan:
    """A span around a block: what is asked for in it has it as its parent, and an exception is why it failed."""

    def __init__(self, tracer: Tracer, name: str, parent: str, request_id: str, attributes: Attributes) -> None:
        self._begin = (name, parent, request_id, attributes)
        self._request_id = request_id
        self._tracer = tracer
        self._span: Span | None = None
        self._before: Token[str] | None = None

    def __enter__(self) -> _OpenSpan:
        self._span = self._tracer.begin(*self._begin)
        self._before = _trace.set(self._span.traceparent)
        if self._request_id:
            _name_trace(self._span.traceparent)
        return self

    def note(self, **attributes: str | int | float | bool) -> None:
        """Adds what was found out meanwhile."""
        if self._span is not None:
            self._span.note(attributes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            _trace.reset(self._before)
            if self._request_id:
                _name_trace(_trace.get())
        if self._span is not None:
            self._span.end("" if kind is None else kind.__name__)


NO_SPAN = _NoSpan()


def span(name: str, **attributes: str | int | float | bool) -> _OpenSpan | _NoSpan:
    """A part of what this task does for its request; nothing when that is not traced."""
    tracer = _Tracing.tracer
    if tracer is None or not is_sampled(parent := _trace.get()):
        return NO_SPAN
    return _OpenSpan(tracer, name, parent, "", attributes)


def request_span(name: str, given: str, **attributes: str | int | float | bool) -> _OpenSpan | _NoSpan:
    """The span of a request from outside, which came with the traceparent ``given``, if that is one. The lines of the
    log name its trace."""
    tracer = _Tracing.tracer
    if tracer is None:
        return NO_SPAN
    return _OpenSpan(tracer, name, given if trace_id_of(given) else "", current_request(), attributes)


def record_span(name: str, parent: str, seconds: float, **attributes: str | int | float | bool) -> None:
    """A span of another task's request, which ends now and has taken so long."""
    tracer = _Tracing.tracer
    if tracer is not None and is_sampled(parent):
        tracer.record(name, parent, seconds, attributes)
