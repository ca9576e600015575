"""The SSE parser gives the same events, however the bytes are split and the lines end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.llm.sse import LINE_MAX, LineTooLongError, SseParser

pytestmark = pytest.mark.unit

LINES = st.sampled_from(
    [
        "data: one",
        "data:two",
        "data:  spaced",
        "data",
        "data:",
        ": comment",
        "event: error",
        "id: 7",
        "",
        "",
        "other",
        "däta: é",
    ]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def parse(reads: list[bytes]) -> list[bytes]:
    parser = SseParser()
    events = [event for read in reads for event in parser.feed(read)]
    return events + parser.close()


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    offsets = [0, *sorted(offset % (len(stream) + 1) for offset in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(offsets)]


@given(st.lists(LINES), ENDS, st.lists(st.integers(0, 10_000)))
def test_any_cut_into_reads_gives_the_same_events(lines: list[str], end: str, cuts: list[int]) -> None:
    stream = "".join(line + end for line in lines).encode()
    assert parse(cut(stream, cuts)) == parse([stream])


@given(st.lists(LINES), st.lists(st.integers(0, 10_000)))
def test_line_ends_do_not_matter(lines: list[str], cuts: list[int]) -> None:
    streams = ["".join(line + end for line in lines).encode() for end in ("\n", "\r\n", "\r")]
    assert parse(cut(streams[1], cuts)) == parse([streams[0]])
    assert parse(cut(streams[2], cuts)) == parse([streams[0]])


@given(st.lists(st.text(alphabet=st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), min_size=1)))
def test_data_comes_out_as_it_went_in(texts: list[str]) -> None:
    stream = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert parse([stream]) == [text.encode() for text in texts]


def test_data_of_several_lines_is_joined() -> None:
    assert parse([b"data: a\ndata:\ndata: b\n\n"]) == [b"a\n\nb"]


def test_only_one_space_after_the_colon_goes() -> None:
    assert parse([b"data:  x\n\n"]) == [b" x"]


def test_comments_and_other_fields_are_skipped() -> None:
    assert parse([b": ping\n\nevent: x\nid: 1\nretry: 5\ndata: y\n\ndatabase: no\n\n"]) == [b"y"]


def test_a_byte_order_mark_is_dropped() -> None:
    assert parse([b"\xef\xbb", b"\xbfdata: x\n\n"]) == [b"x"]


def test_an_event_is_given_out_as_soon_as_it_is_whole() -> None:
    parser = SseParser()
    assert parser.feed(b"data: x\r\n\r") == [b"x"]
    assert parser.feed(b"\ndata: y\n\n") == [b"y"]


def test_the_last_event_counts_without_its_empty_line() -> None:
    assert parse([b"data: x\n\ndata: [DONE]"]) == [b"x", b"[DONE]"]


def test_a_line_without_end_is_refused() -> None:
    parser = SseParser()
    parser.feed(b"data: " + b"x" * (LINE_MAX - 6))
    with pytest.raises(LineTooLongError):
        parser.feed(b"x")
