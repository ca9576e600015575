"""Cursors: what clients bring back to go on from where they were.

An *event cursor* is the id of an event log's entry, ``<number>-<number>``; Redis prints it. A *list cursor* names the
last room of a page: ``<activity>:<room id>`` in base64url without padding, opaque to clients. A *number cursor* is the
seq or version of the last message of a page, a *message cursor* is its id. A *waiting cursor* is where the next page of
waiting calls begins: ``<message id>.<index of the part>``. All of them come from outside and are checked here; anything
else is an ``InvalidCursor``.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from parlor.errors import InvalidRequest
from parlor.model.ids import MessageId, RoomId, partition_of
from parlor.model.rooms import RoomsBefore

START = "0-0"
"""Before every event. A page that was read without Redis has it too: no event can follow such a page for sure."""

EPOCH = 2**20
"""The second number of an event's id counts the events of a millisecond from its log's *epoch* on: EPOCH times the
partition's incarnation when the log began."""

_EVENT = re.compile(r"(\d{1,15})-(\d{1,15})", re.ASCII)
"""Fifteen digits: exact in a Lua number."""
_NUMBER = re.compile(r"\d{1,15}", re.ASCII)
_NOT_OURS = "The cursor is not one of ours"


class InvalidCursor(InvalidRequest):
    """The cursor is none that this server gave."""


def parse_event_cursor(cursor: str) -> tuple[int, int]:
    """An event cursor as numbers to compare. Raises ``InvalidCursor``."""
    found = _EVENT.fullmatch(cursor)
    if found is None:
        raise InvalidCursor("A cursor has the form <number>-<number>")
    return int(found[1]), int(found[2])


def reaches_back(start: str, cursor: str) -> bool:
    """Whether a log that begins at ``start`` has every event behind the cursor.

    A cursor of an earlier epoch is of a log that Redis has lost, however late it seems: the clock that made it may have
    been ahead (I17). Raises ``InvalidCursor``.
    """
    began, here = parse_event_cursor(start), parse_event_cursor(cursor)
    return began <= here and began[1] // EPOCH <= here[1] // EPOCH


def print_list_cursor(last: RoomsBefore) -> str:
    return base64.urlsafe_b64encode(f"{last.activity}:{last.room_id}".encode()).decode().rstrip("=")


def parse_list_cursor(cursor: str) -> RoomsBefore:
    """Raises ``InvalidCursor``."""
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        activity, _, room_id = plain.partition(":")
        last = RoomsBefore(int(activity), RoomId(room_id))
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor(_NOT_OURS) from error
    if partition_of(room_id) is None:
        raise InvalidCursor(_NOT_OURS)
    return last


def print_number_cursor(last: int) -> str:
    return str(last)


def parse_number_cursor(cursor: str) -> int:
    """Raises ``InvalidCursor``."""
    if _NUMBER.fullmatch(cursor) is None:
        raise InvalidCursor(_NOT_OURS)
    return int(cursor)


def parse_message_cursor(cursor: str) -> MessageId:
    """Raises ``InvalidCursor``."""
    if partition_of(cursor) is None:
        raise InvalidCursor(_NOT_OURS)
    return MessageId(cursor)


class WaitingFrom(NamedTuple):
    """Where a page of waiting calls begins: a part of a message; None: with the oldest."""

    message_id: MessageId | None
    part: int


def print_waiting_cursor(first: WaitingFrom) -> str:
    return f"{first.message_id}.{first.part}"


def parse_waiting_cursor(cursor: str) -> WaitingFrom:
    """Raises ``InvalidCursor``."""
    message_id, _, index = cursor.partition(".")
    return WaitingFrom(parse_message_cursor(message_id), parse_number_cursor(index))
