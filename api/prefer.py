"""The ``Prefer`` header (RFC 7240): ``wait=N`` and ``durability=persisted``; others are ignored, as it asks."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PREFERENCE = re.compile(rf"\s*+({_WORD})\s*+(?:=\s*+({_WORD}|{_QUOTED}))?\s*+(?:;(?:[^,\"]|{_QUOTED})*+)?(?:,|$)")
_LENGTH_MAX = 1024
"""Characters of a header that is still looked at; preferences may be ignored, and parsing must stay cheap."""


class Preferences(msgspec.Struct, frozen=True):
    """What a sender prefers, as far as Parlor knows it."""

    wait: int | None = None
    """Seconds to wait for the reply to end."""
    persisted: bool = False
    """Wait for the commit in the shard."""


def parse_prefer(headers: Iterable[str]) -> Preferences:
    """Several headers and several values of one; the first of a repeated preference counts (RFC 7240 section 2)."""
    found: dict[str, str] = {}
    for header in headers:
        position = 0
        while position < len(header) <= _LENGTH_MAX:
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


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
