"""Cursors that clients bring back: ``Last-Event-ID`` or ``?after=``. Both are input, so both are checked."""

from __future__ import annotations

import re

from fastapi import Request

from api.problems import invalid

_FORM = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_MAX = 2**64 - 1
"""Both halves of a Redis stream id are unsigned 64-bit numbers."""


def cursor_of(request: Request) -> str | None:
    """Where to go on; the header wins, None is from now. Raises ``InvalidRequest``."""
    header = request.headers.get("last-event-id")
    if header:
        return _checked(header, ("header", "Last-Event-ID"))
    after = request.query_params.get("after")
    return None if after is None else _checked(after, ("query", "after"))


def _checked(text: str, where: tuple[str, str]) -> str:
    match = _FORM.fullmatch(text)
    if match is None or int(match[1]) > _MAX or int(match[2]) > _MAX:
        raise invalid(where, "A cursor has the form <number>-<number>")
    return text
