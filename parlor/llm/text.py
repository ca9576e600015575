"""What counts as text, whoever wrote it, a person or a language model: what can be seen, and what fits on one line."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Mn", "Mc", "Me", "Zs", "Zl", "Zp"})
"""Unicode categories that show nothing by themselves: control and format characters, halves of surrogate pairs,
combining marks, blanks. Unassigned characters are not among them: most are emoji that are newer than this Python."""
_FILLERS = re.compile(
    "[\u115f\u1160\u3164\uffa0"  # fillers of Hangul syllables
    "\u2800"  # the Braille pattern without a dot
    "\U0001d159"  # the null notehead of musical notation
    "\U00013441\U00013442"  # blanks of Egyptian hieroglyphs
    "\u2065\ufff0-\ufff8\U000e0000-\U000e0fff"  # reserved for more format characters
    "\ufdd0-\ufdef\ufffe\uffff]"  # never to be characters
)
"""Letters, symbols and unassigned characters that show nothing either."""
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Embeddings, overrides and isolates of the bidirectional algorithm, which reach beyond the text that has them; and
halves of surrogate pairs, which nothing can store."""
_GAP = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_BREAK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters (U+0085, next line, is one of them) and the separators of lines and paragraphs."""


def is_blank(text: str) -> bool:
    """Returns whether nothing of the text can be seen."""
    return not any(map(_is_seen, text))


def one_line(text: str) -> str:
    """Returns the text on one line, without blanks around it: control characters and line separators become a blank
    together with the blanks beside them, and what turns the direction of other text is left out."""
    return _GAP.sub(_blank_for_break, _DIRECTIONS.sub("", text)).strip()


def _is_seen(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN and not _FILLERS.match(char)


def _blank_for_break(gap: re.Match[str]) -> str:
    return " " if _BREAK.search(gap[0]) else gap[0]
