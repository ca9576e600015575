"""The request that work is done for: each line of the log that it causes has its id.

It is one of structlog's context variables. A task begins with that of the code that made it, so a task that serves
several requests names each in turn.
"""

from __future__ import annotations

from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

_FIELD = "request_id"


def current_request() -> str:
    """The id of the request that this task works for; empty for none."""
    return str(get_contextvars().get(_FIELD, ""))


def work_for(request_id: str) -> None:
    """From here on this task, and each that it makes, works for this request; empty: for none."""
    if request_id:
        bind_contextvars(**{_FIELD: request_id})
    else:
        unbind_contextvars(_FIELD)
