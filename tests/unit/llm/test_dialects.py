"""Answers as different servers write them, changed at random and cut at every byte."""

from __future__ import annotations

import pytest

from parlor.model.messages import FinishReason, Usage
from tests.unit.llm.bodies import read
from tests.unit.llm.dialects import DIALECTS, Dialect, frames
from tests.unit.llm.stream_fuzz import Broken, Stream, check, check_reads, make_stream

pytestmark = pytest.mark.unit

EACH = 16
"""Random streams of each dialect; ``python -m tests.unit.llm.stream_fuzz 20000`` tries more."""

TEXT = ["Well", ",", " data: x\n\n", "日本 🙂", "\n```py\n"]

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@each_dialect
def test_the_answer_of_each_server_is_understood(dialect: Dialect) -> None:
    body = b"".join(dialect.beat + frame.data for frame in frames(dialect, TEXT, ["Hm", "."]))
    for size in (1, 100, 2**20):
        text, completion = read(body, size)
        assert text == "".join(TEXT)
        assert (completion.finish_reason, completion.usage) == (FinishReason.STOP, Usage(9, 3))


@each_dialect
def test_whatever_changes_and_wherever_it_is_cut_no_cut_answer_looks_whole(dialect: Dialect) -> None:
    first = DIALECTS.index(dialect)
    for seed in range(first, first + EACH * len(DIALECTS), len(DIALECTS)):
        stream = make_stream(seed)
        try:
            check(stream)
            check_reads(stream, 2 + seed % 200)
        except Exception as error:
            error.add_note(f"stream {seed}")
            raise


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        (Stream(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', "x", whole=True), "whole: False"),
        (Stream(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', "y", whole=False), "not the beginning"),
        (
            Stream(
                b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
                b'data: {"choices":[{"delta":{"content":"y"}}]}\n\n',
                "xy",
                whole=False,
            ),
            "looks whole",
        ),
    ],
)
def test_the_check_finds_what_is_wrong(stream: Stream, fault: str) -> None:
    with pytest.raises(Broken, match=fault):
        check(stream)
