"""The prompt for a title, and the cleaned answer."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.llm.ports import PromptTurn
from parlor.llm.summary import Material, Said
from parlor.llm.title import INSTRUCTIONS, TITLE_MAX, clean_title, title_context

pytestmark = pytest.mark.unit


def test_the_material_is_what_was_said() -> None:
    system, asked = title_context([PromptTurn("user", "Which tea?"), PromptTurn("assistant", "Green.")]).turns
    assert system.content == INSTRUCTIONS
    material = msgspec.json.decode(asked.content, type=Material)
    assert material == Material([Said("person", "Which tea?"), Said("assistant", "Green.")])


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("Green tea", "Green tea"),
        ('"Green tea."\n', "Green tea"),
        ("**Green\t tea**", "Green tea"),
        ("Title: Green tea", "Green tea"),
        ('Title: "Green tea"', "Green tea"),
        ("「緑茶について」", "緑茶について"),
        ("\n\nGreen tea\nIt is about tea.", "Green tea"),
        ("<think>What is it\nabout?</think>Green tea", "Green tea"),
        ("Green\x07 tea\x00", "Green tea"),
        ("What about tea?", "What about tea?"),
        ('""', ""),
        ("", ""),
    ],
)
def test_a_title_is_one_clean_line(answer: str, title: str) -> None:
    assert clean_title(answer) == title


def test_a_long_title_is_cut_behind_a_word() -> None:
    assert clean_title("green tea " * 20) == "green tea " * 5 + "green…"
    assert clean_title("x" * 100) == "x" * (TITLE_MAX - 1) + "…"


@given(st.text())
def test_any_answer_gives_a_title_that_a_room_can_have(answer: str) -> None:
    title = clean_title(answer)
    assert len(title) <= TITLE_MAX
    assert title.isprintable()
    assert title == title.strip()
