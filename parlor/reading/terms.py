"""What a text is found by: pairs of characters, which work in every language, also in those that write no blanks.

A text is cut into *runs* of letters, digits and signs, in lower case and normalised (NFKC), without blanks, punctuation
and control characters. Each run is told by its pairs of neighbours, and its last character by a pair with nothing, so
that a single character is found too. A pair is written as eight ASCII characters, because InnoDB leaves out shorter
words than three characters, and what it takes for a letter depends on the language.

All pairs of a run may be in a text without the run itself: ``matches`` compares.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from operator import add
from typing import NamedTuple

from parlor.model.ids import RoomId

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_UTF_32 = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"
_WIDTH = 4
"""Digits of base 36 for a character: 36**4 is above the last code point."""
_NOTHING = "0" * _WIDTH
_SEPARATING = frozenset("ZPC")
"""Of Unicode's categories: separators, punctuation, control characters and what is not assigned."""
_JAMO = range(0x1160, 0x1200)
"""Vowels and final consonants of Korean, which make one syllable with what stands before them."""
_KEPT = frozenset("0123456789abcdefghijklmnopqrstuvwxyz$+<=>^`|~")
"""ASCII's letters, digits and signs."""
_ASCII = {code: chr(code).lower() if chr(code).lower() in _KEPT else " " for code in range(128)}
"""``str.translate`` takes it for a whole text at once."""

_BEFORE, _SNIPPET = 40, 160
"""Characters of a snippet: before the first match, and in all."""


class Folded(NamedTuple):
    """A text as it is compared."""

    text: str
    """The runs, with a blank for everything between them."""
    at: list[int]
    """Of each character, where in the original text it comes from; and the original's length at the end."""


def fold(text: str) -> Folded:
    if text.isascii():
        return Folded(text.translate(_ASCII), list(range(len(text) + 1)))
    folded: list[str] = []
    at: list[int] = []
    for start, cluster in _clusters(text):
        for character in _folded(cluster):
            folded.append(character)
            at.append(start)
    return Folded("".join(folded), [*at, len(text)])


def runs(query: str) -> list[str]:
    """Returns what is looked for; a message has to have all of it. Empty when the query has nothing but blanks and
    punctuation."""
    return list(dict.fromkeys(fold(query).text.split()))


def tokens(text: str, account_db_key: int, room_id: RoomId) -> str:
    """Returns what the index keeps of a message; empty for a text without a run."""
    folded = text.translate(_ASCII) if text.isascii() else fold(text).text
    # Numbers of two characters each, at even places and at odd ones: half the time of cutting the text into strings.
    raw = memoryview(f"{folded} ".encode(_UTF_32, "surrogatepass"))
    pairs = {*_numbers(raw), *_numbers(raw[4:])}
    # A text repeats its pairs: each is written once.
    found = {*map(_written_number, pairs)} - {""}
    if not found:
        return ""
    return " ".join([_account(account_db_key), _room(room_id), *sorted(found)])


def _numbers(raw: memoryview) -> memoryview:
    """Of each eight bytes one, as this machine reads them; a rest is left out."""
    return raw[: len(raw) // 8 * 8].cast("Q")


def wanted(sought: list[str], account_db_key: int, room_id: RoomId | None) -> list[str]:
    """Returns the tokens of which a message must have all; one that ends in ``*`` is how a token begins."""
    scope = [_account(account_db_key), *([] if room_id is None else [_room(room_id)])]
    pairs = {pair for run in sought for pair in map(add, run, run[1:])}
    singles = {f"{_code(run)}*" for run in sought if len(run) == 1}
    return [*scope, *sorted(map(_written, pairs)), *sorted(singles)]


class Snippet(NamedTuple):
    text: str
    """Part of a message, on one line."""
    highlights: list[tuple[int, int]]
    """What was looked for: from, to (exclusive), in characters of ``text``; ascending, without overlaps."""


def snippet(text: str, sought: list[str]) -> Snippet | None:
    """Returns the part of a message that shows what was looked for; None when it does not have all of it."""
    folded = fold(text)
    found = [span for run in sought for span in _spans(folded, run)]
    if any(run not in folded.text for run in sought) or not found:
        return None
    first = min(found)[0]
    start = 0 if len(text) <= _SNIPPET else max(0, min(first - _BEFORE, len(text) - _SNIPPET))
    end = min(len(text), start + _SNIPPET)
    opening, closing = "…" if start else "", "…" if end < len(text) else ""
    shown = "".join(" " if character.isspace() else character for character in text[start:end])
    inside = [(max(a, start), min(b, end)) for a, b in found if a < end and b > start]
    shift = len(opening) - start
    return Snippet(opening + shown + closing, [(a + shift, b + shift) for a, b in _merged(inside)])


def _spans(folded: Folded, run: str) -> Iterator[tuple[int, int]]:
    position = folded.text.find(run)
    while position >= 0:
        end = position + len(run)
        start = folded.at[position]
        # A character of the original may have become several: all of it is shown.
        stop = next((place for place in folded.at[end:] if place > folded.at[end - 1]), folded.at[-1])
        yield start, stop
        position = folded.text.find(run, end)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


@lru_cache(maxsize=65_536)
def _written_number(pair: int) -> str:
    """``pair``: two characters of a folded text; empty where a run has yet to begin."""
    both = pair.to_bytes(8, sys.byteorder).decode(_UTF_32, "surrogatepass")
    first, second = both[0], both[1]
    return "" if first == " " else _written(first if second == " " else first + second)


def _written(pair: str) -> str:
    """``pair``: two characters, or the last one of a run."""
    return _code(pair[0]) + (_code(pair[1]) if len(pair) > 1 else _NOTHING)


@lru_cache(maxsize=4096)
def _code(character: str) -> str:
    number, digits = ord(character), ""
    for _ in range(_WIDTH):
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _account(account_db_key: int) -> str:
    # Longer than a pair, so that it is none.
    return f"account{account_db_key:016d}"


def _room(room_id: RoomId) -> str:
    return f"room{room_id.replace('-', '')}"


def _clusters(text: str) -> Iterator[tuple[int, str]]:
    """Characters with the marks behind them, which normalising makes one of."""
    start = 0
    for position in range(1, len(text) + 1):
        if position == len(text) or not _joins(text[position]):
            yield start, text[start:position]
            start = position


@lru_cache(maxsize=4096)
def _joins(character: str) -> bool:
    return unicodedata.combining(character) != 0 or ord(character) in _JAMO


@lru_cache(maxsize=4096)
def _folded(cluster: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold())
    return "".join(" " if unicodedata.category(it)[0] in _SEPARATING else it for it in folded)
