"""Thoughts that a model writes into its answer, between tags such as ``<think>`` and ``</think>``.

At the start of an answer they are its reasoning, unless the persona says that they are text. Prompts, titles and
summaries are made without them wherever they stand, and an answer that has nothing else is no answer.
"""

from __future__ import annotations

import re

from parlor.llm.ports import Piece, ReasoningDelta, TextDelta
from parlor.llm.text import is_blank

_TAGS = ("think", "thinking", "thought", "reason", "reasoning")
_OPENING = re.compile(rf"<({'|'.join(_TAGS)})>", re.IGNORECASE)
_CLOSING = {tag: re.compile(f"</{tag}>", re.IGNORECASE) for tag in _TAGS}
_LONE_CLOSING = re.compile(rf"^[ \t]*</(?:{'|'.join(_TAGS)})>[ \t]*$", re.IGNORECASE | re.MULTILINE)
_TAG_MAX = len("</reasoning>")


def without_thoughts(text: str) -> str:
    """Removes thoughts from an answer, and the white space around what remains. A text without them stays as it is.

    Thoughts without an end reach to the end of the text, but only if they begin a line, so that a text may mention the
    tags. Where a server leaves out the opening tag, everything up to a closing one that is alone on its line is a
    thought.
    """
    if "<" not in text:
        return text
    kept: list[str] = []
    at = _after_lone_closing(text)
    unclosed: set[str] = set()
    while (opening := _OPENING.search(text, at)) is not None:
        tag = opening[1].lower()
        closing = None if tag in unclosed else _CLOSING[tag].search(text, opening.end())
        if closing is not None:
            kept.append(text[at : opening.start()])
            at = closing.end()
        elif _begins_line(text, opening.start()):
            kept.append(text[at : opening.start()])
            at = len(text)
        else:
            unclosed.add(tag)
            kept.append(text[at : opening.end()])
            at = opening.end()
    said = "".join([*kept, text[at:]])
    return text if said == text else said.strip()


class Splitter:
    """Takes an answer apart that begins with thoughts between tags. The white space around them is dropped."""

    def __init__(self) -> None:
        self._rest = ""
        """What may still be the beginning of a tag, or the white space before one."""
        self._thinking = ""
        """The tag of the thoughts that have not ended."""
        self._fresh = False
        """Whether these thoughts have no character yet."""
        self._has_thoughts = False
        self._talks = False

    def take(self, text: str) -> list[Piece]:
        """Takes the next piece of the answer; returns what is known of it."""
        if self._talks:
            return [TextDelta(text)]
        pieces: list[Piece] = []
        rest, self._rest = self._rest + text, ""
        while not self._talks:
            if self._thinking:
                closing = _CLOSING[self._thinking].search(rest)
                end = closing.start() if closing else len(rest) - _begun(f"</{self._thinking}>", rest)
                pieces += self._thought(rest[:end])
                if closing is None:
                    self._rest = rest[end:]
                    break
                rest, self._thinking = rest[closing.end() :], ""
            begins = rest.lstrip()
            opening = _OPENING.match(begins)
            if opening is not None:
                self._thinking, self._fresh, self._has_thoughts = opening[1].lower(), True, True
                rest = begins[opening.end() :]
            elif not begins or any(f"<{tag}>".startswith(begins.lower()) for tag in _TAGS):
                self._rest = rest
                break
            else:
                self._talks = True
                pieces.append(TextDelta(begins if self._has_thoughts else rest))
        return pieces

    def end(self) -> list[Piece]:
        """Returns what was held back, now that nothing more comes."""
        rest, self._rest = self._rest, ""
        if self._thinking:
            return self._thought(rest)
        return [] if not rest or (self._has_thoughts and rest.isspace()) else [TextDelta(rest)]

    def _thought(self, text: str) -> list[Piece]:
        text = text.lstrip() if self._fresh else text
        self._fresh = self._fresh and not text
        return [ReasoningDelta(text)] if text else []


class Spoken:
    """Whether an answer, which comes in pieces, has said something besides its thoughts."""

    def __init__(self) -> None:
        self._rest = ""
        """What may still be the beginning of a tag."""
        self._thinking = ""
        """The tag of the thoughts that have not ended."""
        self.has_thoughts = False

    def take(self, piece: str) -> bool:
        """Takes the next piece; returns whether there is a visible character behind the thoughts so far."""
        rest = self._rest + piece
        while True:
            if self._thinking:
                closing = _CLOSING[self._thinking].search(rest)
                if closing is None:
                    self._rest = rest[1 - _TAG_MAX :]
                    return False
                rest, self._thinking = rest[closing.end() :], ""
            rest = rest.lstrip()
            opening = _OPENING.match(rest)
            if opening is None:
                break
            self.has_thoughts = True
            self._thinking = opening[1].lower()
            rest = rest[opening.end() :]
        if rest.startswith("<") and ">" not in rest and len(rest) < _TAG_MAX:
            self._rest = rest
            return False
        self._rest = ""
        return not is_blank(rest)

    def ends(self) -> bool:
        """Returns whether something was said, now that nothing more comes."""
        return not self._thinking and self._rest != ""


def _begun(tag: str, text: str) -> int:
    """How many of the text's last characters may be the beginning of the tag."""
    lengths = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((length for length in lengths if tag.startswith(text[-length:].lower())), 0)


def _after_lone_closing(text: str) -> int:
    """Returns where an answer begins whose thoughts have no opening tag; 0 for any other."""
    closing = _LONE_CLOSING.search(text)
    return 0 if closing is None or _OPENING.search(text, 0, closing.start()) else closing.end()


def _begins_line(text: str, at: int) -> bool:
    while at and text[at - 1] in " \t":
        at -= 1
    return at == 0 or text[at - 1] == "\n"
