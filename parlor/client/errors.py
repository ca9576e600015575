"""What goes wrong, each kind a class.

ClientError
├── NoAnswer             the server was not reached, or every try was cut off
├── BadAnswer            what answered does not speak as Parlor does
├── ReplyDeleted         the reply was deleted before it ended
└── Refused              an answer that says no, RFC 9457
    ├── Unauthenticated  401
    ├── Forbidden        403
    ├── NotFound         404
    ├── Conflict         409
    ├── StreamExpired    410  oldest_cursor
    ├── Invalid          413, 415, 422  errors
    ├── RateLimited      429
    └── Unavailable      502, 503, 504
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec


class ClientError(Exception):
    """Any failure of a call."""


class NoAnswer(ClientError):
    """Nothing came back, or not all of it. What was asked may have been done; ``cause`` is the transport's error."""

    def __init__(self, detail: str, cause: Exception | None = None) -> None:
        super().__init__(detail)
        self.cause = cause


class BadAnswer(ClientError):
    """An answer that cannot be read: another program's, or another version's."""


class ReplyDeleted(ClientError):
    """The reply, its turn or its room is gone; there is no text to return."""


class Problem(msgspec.Struct, frozen=True):
    """The body of a refusal, and what its headers say."""

    status: int
    code: str
    """As in the table of errors, such as ``room-not-found``; empty when another program refused."""
    error_code: int
    detail: str
    request_id: str | None
    """Name it in a report: the server's log has the rest."""
    retry_after: float | None
    """Seconds."""
    extra: dict[str, Any]
    """The other members of the body."""


class Refused(ClientError):
    """An answer that says no."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = problem.status
        self.code = problem.code
        self.error_code = problem.error_code
        self.detail = problem.detail
        self.request_id = problem.request_id
        self.retry_after = problem.retry_after

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.status} {self.code}: {self.detail}{request}" if self.code else f"{self.status}: {self.detail}"


class Unauthenticated(Refused):
    """The token is missing, wrong, or has ended."""


class Forbidden(Refused):
    """The token is valid, but not for this."""


class NotFound(Refused):
    """There is no such room, message, file or path, or it belongs to somebody else."""


class Conflict(Refused):
    """Not in this state: ``room-busy``, ``illegal-transition``, ``limit-reached``, ``already-decided`` and others."""


class StreamExpired(Refused):
    """The events after the cursor are gone: read what they were about, and go on from there."""

    @property
    def oldest_cursor(self) -> str | None:
        """Where the events begin now."""
        found = self.problem.extra.get("oldest_cursor")
        return found if isinstance(found, str) else None


class Invalid(Refused):
    """The request is wrong, too large, or of a type that is not taken."""

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Where in the request, and why."""
        found = self.problem.extra.get("errors")
        return found if isinstance(found, list) else []


class RateLimited(Refused):
    """The account has used its share for now (``rate-limited``), or its budget (``quota-exceeded``)."""


class Unavailable(Refused):
    """The server, or a service behind it, does not answer now."""


_BY_STATUS: dict[int, type[Refused]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: StreamExpired,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_KNOWN = {"type", "title", "status", "detail", "instance", "errorCode", "code", "request_id", "retry_after_seconds"}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """The error for an answer whose status is not 2xx; also for one that a proxy made."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    told: dict[str, Any] = found if isinstance(found, dict) else {}
    return refusal_of(
        Problem(
            status=status,
            code=str(told.get("code", "")),
            error_code=code if isinstance(code := told.get("errorCode"), int) else 0,
            detail=str(told.get("detail") or told.get("title") or f"the answer has status {status}"),
            request_id=told.get("request_id") or headers.get("x-request-id"),
            retry_after=_retry_after(headers, told),
            extra={name: value for name, value in told.items() if name not in _KNOWN},
        )
    )


def refusal_of(problem: Problem) -> Refused:
    """The error for a problem, of the class for its status."""
    return _BY_STATUS.get(problem.status, Refused)(problem)


def _retry_after(headers: Mapping[str, str], told: Mapping[str, Any]) -> float | None:
    seconds = told.get("retry_after_seconds")
    if isinstance(seconds, int | float):
        return float(seconds)
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until, now = _date(text), _date(headers.get("date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _date(text: str) -> datetime | None:
    """A date in a header. A time to wait until is compared with the server's own clock, not with this machine's."""
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
