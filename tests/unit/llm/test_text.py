"""What can be seen, and what fits on one line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.llm.text import is_blank, one_line

pytestmark = pytest.mark.unit

UNSEEN = {
    "nothing": "",
    "blanks": " \t\r\n\u00a0\u3000\u1680\u2003\u202f",
    "line separators": "\u2028\u2029\x85\x0b\x0c",
    "control characters": "\x01\x1b\x7f\x9b",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "a soft hyphen": "\u00ad",
    "directions": "\u200e\u200f\u061c\u202a\u202e\u2066\u2069",
    "a Mongolian vowel separator": "\u180e",
    "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "blank Braille": "\u2800",
    "other blanks with a shape of their own": "\U0001d159\U00013441\U00013442",
    "combining marks alone": "\u0301\u20dd\u093e\u034f",
    "variation selectors": "\ufe0f\U000e0100",
    "tags": "\U000e0020\U000e007f",
    "reserved for format characters": "\u2065\ufff0\U000e0fff",
    "not characters": "\ufdd0\uffff",
    "half of a surrogate pair": "\ud83e",
    "a bit of each": " \u200b\n\u00a0\u2800\u0301",
}
SEEN = {
    "a letter": "a",
    "a combined letter": "e\u0301",
    "a digit in a keycap": "1\ufe0f\u20e3",
    "a family": "\U0001f468\u200d\U0001f469",
    "a flag": "\U0001f1ea\U0001f1fa",
    "an emoji that is newer than this Python": "\U0001faff",
    "Hangul": "\uac00",
    "Hangul in pieces": "\u1112\u1161\u11ab",
    "Braille": "\u2801",
    "a full stop": ".",
    "a currency": "€",
    "a private letter": "\uf8ff",
    "the replacement character": "\ufffd",
    "a letter among blanks": "\u200b \u2800x\u3164",
}


@pytest.mark.parametrize("text", UNSEEN.values(), ids=UNSEEN)
def test_what_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)
    assert all(map(is_blank, text))


@pytest.mark.parametrize("text", SEEN.values(), ids=SEEN)
def test_what_shows_something_is_not(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Green tea", "Green tea"),
        ("Green  tea", "Green  tea"),
        ("緑茶\u3000入門", "緑茶\u3000入門"),
        (" Green tea\n", "Green tea"),
        ("a\nb", "a b"),
        ("a \r\n\t b", "a b"),
        ("a\r\n# b", "a # b"),
        ("a\x85b\u2028c\u2029d\x0be\x0cf\x1cg", "a b c d e f g"),
        ("red \x1b[31m", "red [31m"),
        ("\x9b31mred\x07", "31mred"),
        ("abc\u202etxt.exe\u202c", "abctxt.exe"),
        ("\u2066a\u2069\u202ab\u202c", "ab"),
        ("a\ud800b", "ab"),
        ("\u202e \n", ""),
        ("\U0001f468\u200d\U0001f469\ufe0f", "\U0001f468\u200d\U0001f469\ufe0f"),
        ("\u200fשלום", "\u200fשלום"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("Z" + "\u0336" * 199, "Z" + "\u0336" * 199),
    ],
)
def test_a_line_has_no_breaks_and_turns_no_direction(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(" \n\x1b\x85\u2028\u202e\u2069\u200da"))))
def test_any_text_becomes_one_line_and_stays_it(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in line)
    assert not any(unicodedata.bidirectional(char) in {"LRE", "RLE", "LRO", "RLO", "PDF"} for char in line)
    assert not any(unicodedata.bidirectional(char) in {"LRI", "RLI", "FSI", "PDI"} for char in line)
    assert one_line(line) == line


def test_a_long_gap_is_read_in_one_pass() -> None:
    assert one_line("a" + " " * 500_000 + "b" + " \n" * 250_000 + "c") == "a" + " " * 500_000 + "b c"
