"""Server-sent events are the same however their bytes come."""

from __future__ import annotations

import pytest

from parlor.client import BadAnswer
from parlor.client.sse import EventParser

pytestmark = pytest.mark.unit

TEXT = (
    ': open\r\n\r\nid: 1-1\r\nevent: a\r\ndata: {"x": "😀"}\r\n\r\n'
    'id: 1-2\nevent: b\ndata:{"y":\ndata: "\u2028"}\n\n: ping\n\nevent: none\n\n'
    "data: {}\r\rid: 1-3\n\ndata: unfinished\n"
).encode()
EVENTS = [("1-1", "a", {"x": "😀"}), ("1-2", "b", {"y": "\u2028"}), ("1-2", "message", {})]


def parsed(*pieces: bytes) -> list[tuple[str, str, dict[str, str]]]:
    parser = EventParser()
    found = [(event.id, event.type, event.data) for piece in pieces for event in parser.feed(piece)]
    assert (parser.cursor, parser.heartbeats) == ("1-3", 1)
    return found


def test_any_cut_gives_the_same_events() -> None:
    for cut in range(len(TEXT) + 1):
        assert parsed(TEXT[:cut], TEXT[cut:]) == EVENTS, cut
    assert parsed(*(TEXT[at : at + 1] for at in range(len(TEXT)))) == EVENTS


def test_data_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadAnswer):
        EventParser().feed(b"data: 7\n\n")
