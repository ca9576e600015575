"""The SSE parser gives the same events, however the bytes are split and the lines end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.llm.sse import BODY_MAX, Document, ErrorData, SseParser, TooLongError

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


def test_an_event_is_given_out_as_soon_as_it_is_whole() -> None:
    parser = SseParser()
    assert parser.feed(b"data: x\r\n\r") == [b"x"]
    assert parser.feed(b"\ndata: y\n\n") == [b"y"]


def test_the_last_event_counts_without_its_empty_line() -> None:
    assert parse([b"data: x\n\ndata: [DONE]"]) == [b"x", b"[DONE]"]


# Servers that differ from the standard


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_without_an_empty_line_between_them_are_events(end: bytes) -> None:
    stream = end.join([b'data: {"a":1}', b'data: {"b":"}"}', b": ping", b'data: {"c":"\xff"}', b"data: [DONE]", b""])
    assert parse([stream]) == [b'{"a":1}', b'{"b":"}"}', b'{"c":"\xff"}', b"[DONE]"]


def test_events_without_an_empty_line_are_given_out_as_they_come() -> None:
    parser = SseParser()
    assert parser.feed(b'data: {"a":1}\n') == []  # it may go on
    assert parser.feed(b'data: {"b":2}\n') == [b'{"a":1}', b'{"b":2}']
    assert parser.feed(b'data: {"c":3}\n') == [b'{"c":3}']


@pytest.mark.parametrize("first", [b'{"a":{"b":1}', b"{", b'{"a":"}'])
def test_a_document_over_several_lines_is_one_event(first: bytes) -> None:
    assert parse([b"data: " + first + b"\ndata: }\n\n"]) == [first + b"\n}"]


def test_a_line_that_is_a_document_is_data_without_its_field_name() -> None:
    assert parse([b'data: x\n\n{"error":"down"}\n\n']) == [b"x", b'{"error":"down"}']


@pytest.mark.parametrize("event", [b"event: error\ndata: down", b"event:error\ndata:down", b"error: down"])
def test_the_data_of_an_error_is_marked(event: bytes) -> None:
    one, other = parse([event + b"\n\ndata: x\n\n"])
    assert (one, other) == (b"down", b"x")
    assert isinstance(one, ErrorData)
    assert not isinstance(other, ErrorData)


def test_an_event_of_another_name_is_no_error() -> None:
    (event,) = parse([b"event: error\n\nevent: delta\ndata: x\n\n"])
    assert not isinstance(event, ErrorData)


def test_a_document_is_the_whole_body() -> None:
    body = Document()
    assert [*body.feed(b'{"a":\n\n'), *body.feed(b"1}")] == []
    assert body.close() == [b'{"a":\n\n1}']


# Nothing is endless


@pytest.mark.parametrize("parser", [SseParser, Document])
def test_a_very_long_line_is_taken_and_an_endless_one_refused(parser: type[SseParser | Document]) -> None:
    body = parser()
    for _ in range(BODY_MAX // 2**16):
        assert body.feed(b"x" * 2**16) == []
    with pytest.raises(TooLongError):
        body.feed(b"x")


def test_an_event_without_end_is_refused() -> None:
    parser, line = SseParser(), b"data: " + b"x" * 2**20 + b"\n"
    for _ in range(BODY_MAX // 2**20):
        parser.feed(line)
    with pytest.raises(TooLongError):
        parser.feed(2 * line)
