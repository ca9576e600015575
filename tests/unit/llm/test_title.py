"""The prompt for a title, and the cleaned answer."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.llm.ports import PromptTurn
from parlor.llm.summary import Material, Said
from parlor.llm.text import is_blank, one_line
from parlor.llm.title import INSTRUCTIONS, TITLE_MAX, clean_title, first_words, title_context

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
        ("# Green tea", "Green tea"),
        ("## Green tea ##", "Green tea"),
        ('### **Title:** "Green tea"', "Green tea"),
        ("**Title: Green tea**", "Green tea"),
        ("**Title**: Green tea", "Green tea"),
        ("标题：《红楼梦》简介。", "《红楼梦》简介"),
        ("***Green tea***", "Green tea"),
        ("_Green tea_", "Green tea"),
        ("`Green tea`", "Green tea"),
        ("“Green tea”.", "Green tea"),
        ("„Grüner Tee“", "Grüner Tee"),
        ("« Thé vert »", "Thé vert"),
        ("- Green tea", "Green tea"),
        ("> Green tea", "Green tea"),
        ("```text\nGreen tea\n```", "Green tea"),
        ("---\nGreen tea\n---", "Green tea"),
        ("Green tea\n=========", "Green tea"),
        ("\u200b\n\u3164\nGreen tea", "Green tea"),
        ('<think>hm</think>\n**"Tea for two"**\nMore text', "Tea for two"),
        ("# Title: Tea\u202e\u2069 now\x1b[31m", "Tea now [31m"),
        ("Tea\u2028and more", "Tea"),
        ("👋", "👋"),
        *((said, "") for said in ("", '""', "#", "***", "...", "```", "\u2800", "<think>I keep thinking", "Title:")),
    ],
)
def test_a_title_is_one_clean_line(answer: str, title: str) -> None:
    assert clean_title(answer) == title


@pytest.mark.parametrize(
    "title",
    [
        *("Learning C#", "C#", "F# and C#", "#hashtag", ".NET basics", "Node.js", "C++"),
        *("*args and **kwargs", "__init__", "snake_case_", "`print()` in Python", "<div> in HTML", "1. FC Köln"),
        *("Trade with the U.S.", "And then...", "Height of 6'2\"", "The students'", "Rock 'n' roll", "$HOME"),
        *('"Tea" and "Milk"', "“Tea” or “Milk”", "「緑茶」と「紅茶」", "Title IX", "Subtitle: tea", "A = B"),
        *("👨\u200d👩\u200d👧", "می\u200cخواهم", "🏴\U000e0067\U000e0062\U000e007f", "e\u0301"),
    ],
)
def test_what_belongs_to_a_name_stays(title: str) -> None:
    assert clean_title(title) == title
    assert clean_title(f"# {title} #") == title


def test_a_long_title_is_cut_behind_a_word() -> None:
    assert clean_title("green tea " * 20) == "green tea " * 5 + "green…"
    assert clean_title("x" * 100) == "x" * (TITLE_MAX - 1) + "…"


@pytest.mark.parametrize(
    ("shown", "kept"),
    [("e\u0301", 29), ("👨\u200d👩\u200d👧", 11), ("🇩🇪", 29), ("👍🏽", 29), ("❤\ufe0f", 29), ("가", 59), ("𝒳", 59)],
)
def test_a_long_title_is_not_cut_within_what_is_shown_as_one(shown: str, kept: int) -> None:
    assert clean_title(shown * 100) == shown * kept + "…"


def test_a_title_of_marks_alone_is_cut_all_the_same() -> None:
    assert len(clean_title("Z" + "\u0336" * 500)) <= TITLE_MAX


def test_the_first_words_are_one_line() -> None:
    assert first_words(" How do I\n\nmake\u202e *green* tea?\x1b ") == "How do I make *green* tea?"
    assert first_words("green tea " * 20) == "green tea " * 5 + "green…"
    assert len(first_words("緑茶" * 20_000)) == TITLE_MAX


@given(st.text(st.one_of(st.characters(), st.sampled_from("# *_`\"'.:\n\x1b\u202e\u200d\u0301a"))))
def test_any_answer_gives_a_title_that_a_room_can_have_or_none(answer: str) -> None:
    for title in (clean_title(answer), first_words(answer)):
        assert len(title) <= TITLE_MAX
        assert title == one_line(title)
    assert clean_title(answer) == "" or not is_blank(clean_title(answer))
