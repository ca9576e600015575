"""The request headers that decide how a call is answered: Accept, Prefer, Idempotency-Key and Last-Event-ID."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec
from fastapi import Request

from api.problems import invalid
from parlor.model.cursors import InvalidCursor, parse_event_cursor

EVENT_STREAM = "text/event-stream"
JSON = "application/json"

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PREFERENCE = re.compile(rf"\s*+({_WORD})\s*+(?:=\s*+({_WORD}|{_QUOTED}))?\s*+(?:;(?:[^,\"]|{_QUOTED})*+)?(?:,|$)")
_PREFER_MAX = 1024
"""Characters. A longer header is ignored, which RFC 7240 allows, so that parsing stays cheap."""

KEY_MAX = 128
_BARE_KEY = re.compile(r"[!#-\[\]-~]+")  # printable ASCII without space, quote and backslash
_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # a structured-field string, RFC 8941 section 3.3.3


def wants_event_stream(accept: str) -> bool:
    """Whether ``Accept`` (RFC 9110 section 12.5.1) prefers an event stream to JSON; of equals the first wins."""
    if EVENT_STREAM not in accept.lower():
        return False
    best, chosen = 0.0, JSON
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = _quality(parameters)
        if kind in (EVENT_STREAM, JSON) and quality > best:
            best, chosen = quality, kind
    return chosen == EVENT_STREAM


class Preferences(msgspec.Struct, frozen=True):
    """The preferences that Parlor knows."""

    wait: int | None = None
    """Seconds to wait for the reply to end."""
    persisted: bool = False
    """Wait for the commit in the shard."""


def parse_prefer(headers: Iterable[str]) -> Preferences:
    """``Prefer`` (RFC 7240): ``wait=N`` and ``durability=persisted``; others are ignored, as the RFC asks.

    Of a repeated preference the first one counts, in whichever header it is.
    """
    found: dict[str, str] = {}
    for header in headers:
        position = 0
        while position < len(header) <= _PREFER_MAX:
            match = _PREFERENCE.match(header, position)
            if match is None:  # malformed: skip to the next comma
                position = header.find(",", position) + 1 or len(header)
                continue
            found.setdefault(match[1].lower(), _unquoted(match[2] or ""))
            position = match.end()
    wait = found.get("wait", "")
    return Preferences(
        wait=int(wait) if re.fullmatch(r"[0-9]{1,9}", wait) else None,
        persisted=found.get("durability", "").lower() == "persisted",
    )


def parse_idempotency_key(headers: Sequence[str]) -> str | None:
    """``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header-07), quoted or bare; None without the header.

    Raises ``InvalidRequest``.
    """
    if not headers:
        return None
    if len(headers) > 1:
        raise _bad_key("is given more than once")
    text = headers[0].strip()
    quoted = _QUOTED_KEY.fullmatch(text)
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE_KEY.fullmatch(text):
        key = text
    else:
        raise _bad_key("is neither a quoted string nor a bare word of printable ASCII")
    return checked_key(key)


def checked_key(key: str) -> str:
    """An idempotency key without its quotes. Raises ``InvalidRequest``."""
    if not all(" " <= each <= "~" for each in key):
        raise _bad_key("has other characters than printable ASCII")
    if not 1 <= len(key) <= KEY_MAX:
        raise _bad_key(f"has {len(key)} characters; 1 to {KEY_MAX} are allowed")
    return key


def cursor_of(request: Request) -> str | None:
    """The cursor in ``Last-Event-ID`` or, without that header, in ``?after=``; None: from now on.

    Raises ``InvalidRequest``.
    """
    header = request.headers.get("last-event-id")
    if header:
        return checked_cursor(header, ("header", "Last-Event-ID"))
    after = request.query_params.get("after")
    return None if after is None else checked_cursor(after, ("query", "after"))


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _bad_key(reason: str) -> Exception:
    return invalid(("header", "Idempotency-Key"), f"The key {reason}")


def checked_cursor(text: str, where: tuple[str, ...]) -> str:
    """A cursor of an event log. Raises ``InvalidRequest``."""
    try:
        parse_event_cursor(text)
    except InvalidCursor as error:
        raise invalid(where, error.detail) from None
    return text
