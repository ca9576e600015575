"""Thoughts in answers: what is left without them, and whether an answer has said anything besides."""

from __future__ import annotations

import time

import pytest

from parlor.llm.thoughts import Spoken, without_thoughts

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("<think>hm</think>The answer", "The answer"),
        ("<think>\nhm\n\nhm</think>\n\nThe answer\n", "The answer"),
        (" <THINK>hm</Think> The answer", "The answer"),
        ("<thinking>hm</thinking><reasoning>so</reasoning>The answer", "The answer"),
        ("One <think>hm</think>two", "One two"),
        ("<think>hm", ""),
        ("One\n  <think>hm\nhm", "One"),
        ("hm\nhm\n</think>\n\nThe answer", "The answer"),
        ("<think>a <think> b</think>The answer", "The answer"),
    ],
)
def test_thoughts_are_taken_out(answer: str, said: str) -> None:
    assert without_thoughts(answer) == said


@pytest.mark.parametrize(
    "answer",
    [
        " The answer\n",
        "1 < 2 and <b>bold</b>",
        "The tag `<think>` begins a thought.",
        "It ends with `</think>`, always.",
        "<thinker>x</thinker>",
        "</think",
    ],
)
def test_a_text_without_thoughts_stays_as_it_is(answer: str) -> None:
    assert without_thoughts(answer) == answer


def test_a_long_text_of_tags_takes_no_time() -> None:
    began = time.process_time()
    assert without_thoughts("x <think>" * 20_000 + "x <reason>" * 20_000).startswith("x <think>")
    assert without_thoughts("x <think>y</think>" * 20_000) == ("x " * 20_000).strip()
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("pieces", "speaks"),
    [
        (["The", " answer"], 0),
        ([" ", "\n", "\u200b", "x"], 3),
        (["<think>hm</think>", "x"], 1),
        (["<th", "ink>h", "m</thi", "nk> \n", "<think>", "so</think", ">", "x"], 7),
        (["<", "b>"], 1),
        (["<thinks very hard"], 0),
        (["<think>x < y </thinks> </THINK>x"], 0),
        (["<think>", "hm" * 1000, "</think>", " "], None),
        (["", " \n"], None),
    ],
)
def test_an_answer_speaks_with_its_first_visible_character_behind_its_thoughts(
    pieces: list[str], speaks: int | None
) -> None:
    spoken = Spoken()
    assert next((number for number, piece in enumerate(pieces) if spoken.take(piece)), None) == speaks
    if speaks is None:
        assert not spoken.ends()


def test_the_beginning_of_a_tag_is_something_when_nothing_follows() -> None:
    spoken = Spoken()
    assert (spoken.take("<th"), spoken.ends()) == (False, True)


def test_whether_there_were_thoughts_is_known() -> None:
    begun, thinking = Spoken(), Spoken()
    for spoken in (begun, thinking):
        spoken.take("<thi")
    thinking.take("nk>")
    assert (begun.has_thoughts, thinking.has_thoughts) == (False, True)
    assert not thinking.ends()
