"""The raw reader of event streams, fed in pieces of every size."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor_bench.event_stream import Chunks, Frames, RawEvent

pytestmark = pytest.mark.unit

EVENTS = [RawEvent(f"7-{number}", "message.delta", b'{"text":"%d"}' % number) for number in range(3)]
STREAM = b": open\n\n" + b"".join(
    b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.type.encode(), event.data) for event in EVENTS
)


def chunked(data: bytes, sizes: list[int]) -> bytes:
    found = []
    for size in sizes:
        piece, data = data[:size], data[size:]
        if piece:
            found.append(b"%x\r\n%b\r\n" % (len(piece), piece))
    if data:
        found.append(b"%x\r\n%b\r\n" % (len(data), data))
    return b"".join(found) + b"0\r\n\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


@given(st.lists(st.integers(1, 40), max_size=20), st.lists(st.integers(0, 10_000), max_size=30))
def test_events_are_the_same_however_the_bytes_come(sizes: list[int], cuts: list[int]) -> None:
    chunks, frames = Chunks(), Frames()
    wire = chunked(STREAM, sizes)
    found = [event for piece in pieces(wire, cuts) for event in frames.feed(chunks.feed(piece))]
    assert found == EVENTS
    assert chunks.ended


def test_a_stream_that_was_cut_is_not_whole_and_its_last_event_is_dropped() -> None:
    chunks, frames = Chunks(), Frames()
    wire = chunked(STREAM, [len(STREAM)])
    assert frames.feed(chunks.feed(wire[:-12])) == EVENTS[:-1]
    assert not chunks.ended


def test_what_is_no_event_of_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="not an event"):
        Frames().feed(b"id: 1-1\ndata: {}\nevent: x\n\n")


def test_cursors_compare_as_numbers() -> None:
    assert RawEvent("9-10", "x", b"").position > RawEvent("9-9", "x", b"").position
