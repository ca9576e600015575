"""Rooms, messages and events as clients see them: the JSON of the public contract, with RFC 3339 times.

Responses and event streams both use these forms, so that a message looks the same in either.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from parlor.model.messages import Message
from parlor.model.parts import Part, ToolCallPart, parts_of
from parlor.model.rooms import Room

_ENCODER = msgspec.json.Encoder()

JsonForm = dict[str, Any]
"""A JSON object as msgspec encodes it: its values may be enums, structs and lists of these."""


def timestamp(milliseconds: int) -> str:
    """Returns unix milliseconds as an RFC 3339 time in UTC: ``2026-11-23T08:15:30.123Z``."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    # Cached, because formatting a time costs more than the rest of a message, and many share their second.
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def room_form(room: Room) -> JsonForm:
    form = msgspec.structs.asdict(room)
    # Of the dialect that has it alone.
    del form["metadata"]
    form["created_at"] = timestamp(room.created_at)
    form["last_message_at"] = None if room.last_message_at is None else timestamp(room.last_message_at)
    return form


def message_form(message: Message) -> JsonForm:
    form = msgspec.structs.asdict(message)
    form["timestamp"] = timestamp(message.timestamp)
    form["parts"] = [part_form(part) for part in parts_of(message.content, message.parts)]
    return form


def part_form(part: Part) -> Part | JsonForm:
    """A part as JSON shows it."""
    return call_form(part) if isinstance(part, ToolCallPart) else part


def call_form(part: ToolCallPart) -> JsonForm:
    """A call as JSON shows it: its arguments as the object that they are, byte for byte."""
    form = msgspec.structs.asdict(part)
    for hidden in ("step", "request", "once", "nonce"):
        del form[hidden]
    form["arguments"] = msgspec.Raw(part.arguments.encode())
    for moment in ("decided_at", "expires_at"):
        form[moment] = None if form[moment] is None else timestamp(form[moment])
    return {"type": "tool_call", **form}


def encode(form: JsonForm) -> bytes:
    """Returns one line of UTF-8 JSON, also for readers who end a line where Unicode does (Python's ``splitlines``, on
    which many clients of event streams are built): U+0085, U+2028 and U+2029 are escaped, as JSON escapes all other
    line ends by itself."""
    line = _ENCODER.encode(form)
    # Outside of strings JSON is ASCII. Looking for the first byte of each costs far less than looking for all of it.
    if 0xC2 in line:
        line = line.replace(b"\xc2\x85", rb"\u0085")
    if 0xE2 in line:
        line = line.replace(b"\xe2\x80\xa8", rb"\u2028").replace(b"\xe2\x80\xa9", rb"\u2029")
    return line
