"""What a text is found by."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.model.ids import RoomId
from parlor.reading.terms import fold, runs, snippet, tokens, wanted

pytestmark = pytest.mark.unit

ROOM = RoomId("01997f3f-8000-8001-8000-000000000001")
OTHER = RoomId("01997f3f-8000-8001-8000-000000000002")


def is_candidate(text: str, query: str) -> bool:
    """Whether an index with all tokens of the text gives it for the query."""
    kept = set(tokens(text, 7, ROOM).split())
    return all(
        any(token.startswith(needed[:-1]) for token in kept) if needed.endswith("*") else needed in kept
        for needed in wanted(runs(query), 7, None)
    )


FOUND = [
    ("Green tea, please", "tea"),
    ("Green tea, please", "EE"),
    ("Green tea, please", "please green"),
    ("Green tea, please", "n"),
    ("안녕하세요, 세계", "세계"),
    ("안녕하세요, 세계", "녕하"),
    ("안녕하세요, 세계", "안"),
    (unicodedata.normalize("NFD", "안녕하세요"), "안녕"),
    ("안녕하세요", unicodedata.normalize("NFD", "녕하")),
    ("日本語の検索", "検索"),
    ("我喜欢绿茶", "绿茶"),
    ("Über die Straße", "STRASSE"),
    ("Cafe\u0301 au lait", "café"),
    ("ＦＵＬＬ width", "full"),
    ("the ﬁne print", "fine"),
    ("C++ and 5 €", "c++ €"),
    ("tea 🍵 time", "🍵"),
    ("one\ntwo\u2028three", "two three"),
]
NOT_FOUND = [
    ("Green tea", "coffee"),
    ("Green tea", "tea coffee"),
    ("abab", "baa"),
    ("안녕하세요", "세안"),
    ("ab bc", "abc"),
    ("", "x"),
]


@pytest.mark.parametrize(("text", "query"), FOUND)
def test_a_part_of_a_text_is_found_in_any_language(text: str, query: str) -> None:
    assert is_candidate(text, query)
    found = snippet(text, runs(query))
    assert found is not None
    assert found.highlights
    shown = " ".join(fold(found.text[a:b]).text for a, b in found.highlights)
    assert all(run in shown for run in runs(query))


@pytest.mark.parametrize(("text", "query"), NOT_FOUND)
def test_what_a_text_does_not_have_is_not_found_in_it(text: str, query: str) -> None:
    assert snippet(text, runs(query)) is None


@pytest.mark.parametrize("query", ["", "  ", "...", "。、", "\n", "\u200b"])
def test_blanks_and_punctuation_are_no_query(query: str) -> None:
    assert runs(query) == []
    assert tokens(query, 7, ROOM) == ""


@given(st.text(st.characters(codec="utf-8")), st.data())
def test_every_part_of_a_text_finds_it(text: str, data: st.DataObject) -> None:
    words = fold(text).text.split()
    if not words:
        return
    word = data.draw(st.sampled_from(words))
    start = data.draw(st.integers(0, len(word) - 1))
    part = word[start : data.draw(st.integers(start + 1, len(word)))]
    if runs(part) != [part]:
        return  # Without its neighbours it is normalised to something else.
    assert is_candidate(text, part)
    found = snippet(text, runs(part))
    assert found is not None
    assert all(0 <= a < b <= len(found.text) for a, b in found.highlights)
    assert sorted(found.highlights) == found.highlights


def test_tokens_are_words_that_any_full_text_index_takes() -> None:
    """InnoDB leaves out words of less than three and more than 84 characters."""
    found = tokens("a Ü 안녕 🍵", 2**40, ROOM).split()
    assert all(word.isascii() and word.isalnum() and 3 <= len(word) <= 84 for word in found)
    assert len(set(found)) == len(found)


def test_another_account_and_another_room_have_other_tokens() -> None:
    kept = set(tokens("tea", 7, ROOM).split())
    assert not set(wanted(["tea"], 8, None)) <= kept
    assert not set(wanted(["tea"], 7, OTHER)) <= kept
    assert set(wanted(["tea"], 7, ROOM)) <= kept


def test_a_snippet_shows_the_first_match_on_one_line_and_what_was_cut() -> None:
    text = "x" * 300 + "\ngreen\ttea\n" + "y" * 300
    found = snippet(text, ["tea", "green"])
    assert found is not None
    assert (found.text[0], found.text[-1], len(found.text)) == ("…", "…", 162)
    assert found.text.splitlines() == [found.text]
    assert [found.text[a:b] for a, b in found.highlights] == ["green", "tea"]


@pytest.mark.parametrize(
    ("text", "opening", "closing"), [("tea " + "y" * 300, "t", "…"), ("x" * 300 + " tea", "…", "a")]
)
def test_a_snippet_at_an_end_of_the_text_is_cut_at_the_other(text: str, opening: str, closing: str) -> None:
    found = snippet(text, ["tea"])
    assert found is not None
    assert (found.text[0], found.text[-1]) == (opening, closing)


def test_matches_that_overlap_or_meet_are_one() -> None:
    found = snippet("banana", ["bana", "nana"])
    assert found is not None
    assert found.highlights == [(0, 6)]
