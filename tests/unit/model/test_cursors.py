"""What clients bring back as a cursor is read exactly, or refused."""

from __future__ import annotations

import base64

import pytest

from parlor.errors import InvalidRequest
from parlor.model.cursors import START, InvalidCursor, parse_event_cursor, parse_list_cursor, print_list_cursor
from parlor.model.ids import RoomId
from parlor.model.rooms import RoomsBefore

pytestmark = pytest.mark.unit

ROOM = RoomId("01a20669-29c8-8000-a46d-d6122265b1f5")


@pytest.mark.parametrize(("cursor", "position"), [(START, (0, 0)), ("1750000000000-17", (1_750_000_000_000, 17))])
def test_an_event_cursor_is_a_position_to_compare(cursor: str, position: tuple[int, int]) -> None:
    assert parse_event_cursor(cursor) == position


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "-",
        "1",
        "1-",
        "-1",
        "1-2-3",
        "a-b",
        "1.5-0",
        " 1-0",
        "1-0 ",
        "1-0\n",
        "+1-0",
        "1" * 16 + "-0",
        "0-" + "1" * 16,
    ],
)
def test_what_is_no_event_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        parse_event_cursor(cursor)


def test_digits_of_other_scripts_are_no_cursor() -> None:
    with pytest.raises(InvalidCursor):
        parse_event_cursor("١-٢")


@pytest.mark.parametrize("activity", [0, 1_750_000_000_000])
def test_a_list_cursor_is_read_as_it_was_printed(activity: int) -> None:
    last = RoomsBefore(activity, ROOM)
    assert parse_list_cursor(print_list_cursor(last)) == last
    assert "=" not in print_list_cursor(last)


@pytest.mark.parametrize("plain", [b"", b"no", b"12:not-a-room", f"x:{ROOM}".encode(), b"\xff\xfe", b"1:2:3"])
def test_what_is_no_list_cursor_is_refused(plain: bytes) -> None:
    with pytest.raises(InvalidCursor):
        parse_list_cursor(base64.urlsafe_b64encode(plain).decode())


def test_a_cursor_that_is_refused_is_an_invalid_request() -> None:
    assert InvalidCursor().code == InvalidRequest.code
    assert InvalidCursor().error_code == InvalidRequest.error_code
