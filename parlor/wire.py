"""Rooms, messages and events as clients see them: the JSON of the public contract, with RFC 3339 times.

Used by responses and by event logs, so that a message looks the same wherever it comes from.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from parlor.model import Message, Room

_ENCODER = msgspec.json.Encoder()

JsonForm = dict[str, Any]
"""A JSON object as msgspec encodes it: its values may be enums, structs and lists of these."""


def timestamp(milliseconds: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC: ``2026-11-23T08:15:30.123Z``."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    # Kept: what is sent within a second shares it, and formatting it costs more than the rest of an answer.
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def room_form(room: Room) -> JsonForm:
    form = msgspec.structs.asdict(room)
    form["created_at"] = timestamp(room.created_at)
    form["last_message_at"] = None if room.last_message_at is None else timestamp(room.last_message_at)
    return form


def message_form(message: Message) -> JsonForm:
    form = msgspec.structs.asdict(message)
    form["timestamp"] = timestamp(message.timestamp)
    return form


def encode(form: JsonForm) -> bytes:
    """One line of UTF-8 JSON."""
    return _ENCODER.encode(form)
