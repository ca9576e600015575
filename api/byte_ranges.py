"""Ranges and validators of a file (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

import re

from fastapi import Request

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.IGNORECASE)


class Unsatisfiable(Exception):
    """No byte of the file is in the range."""


def range_of(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """The asked-for bytes as ``start`` and ``stop``; None for the whole file: without a range, with one that is not
    understood, with several, or with an ``If-Range`` of another file. Raises ``Unsatisfiable``."""
    headers = request.headers.getlist("range")
    found = _RANGE.fullmatch(headers[0].replace(" ", "")) if len(headers) == 1 else None
    if found is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= stop:
        raise Unsatisfiable
    return start, stop


def is_current(request: Request, etag: str) -> bool:
    """Whether the client has the file already, by its ``If-None-Match``."""
    asked = ",".join(request.headers.getlist("if-none-match"))
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in asked.split(","))
