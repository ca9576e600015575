"""A room as Markdown (CommonMark), in which nothing that somebody said can pass for something else.

A line that begins with ``#`` is Parlor's: the first one is the room's title, each further one begins a turn and says
its seq, its sender and its time. Everything that was said stands in the block quote below it: each of its lines begins
with ``>``, wherever a reader ends lines. A block quote closes what was left open in it, such as a fence or a list.

Two things reach beyond a quote: raw HTML, whose comments and tags can swallow or imitate what follows, and definitions
of links and footnotes, which hold in the whole document. A message that may have one of them outside of its code is
shown as it was typed, as a code block. Where that is not certain it is assumed: the price is that a message is shown
without its formatting.
"""

from __future__ import annotations

import re

from parlor.llm.text import one_line
from parlor.model.messages import Message
from parlor.model.rooms import Room
from parlor.model.wire import timestamp

_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
"""Control characters, which a terminal obeys. Tabs stay, and those that end a line end it."""
_SPECIAL = re.compile(r"[\\`*_\[\]<~]|&(?=[#A-Za-z])|(?:(?<=\s)|^)#(?=#*$)")
"""What means something in the middle of a heading, and the ``#`` that would close it."""
_OPENING_FENCE = re.compile(r"(`{3,})[^`|]*|(~{3,})[^|]*")
"""At the margin, where it opens a fenced block whatever is before it. With a ``|`` it may be the head of a table."""
_CLOSING_FENCE = re.compile(r" {0,3}(`+|~+)[ \t]*")
_DOUBTFUL_FENCE = re.compile(r" {0,3}(?:`{3}|~{3})")
_TAB_BEFORE_FENCE = re.compile(r" *\t[ \t]*(?:`{3}|~{3})")
_TICKS = re.compile(r"`+")
_LINK = re.compile(r"<https?://[^\s<>`]*>")
_HTML = re.compile(r"<[A-Za-z/!?]")
_DEFINITION = "]:"


def heading(room: Room) -> bytes:
    """The beginning of the file."""
    return f"# {_SPECIAL.sub(_escaped, one_line(room.title))}\n\n".encode()


def turn(message: Message) -> bytes:
    """A message below the heading that says who said it."""
    lines = [f"## {message.seq} · {message.sender_type} · {timestamp(message.timestamp)}", ""]
    if message.content:
        lines += [f"> {line}" if line else ">" for line in _lines(message.content)]
        lines.append("")
    return ("\n".join(lines) + "\n").encode()


def _escaped(special: re.Match[str]) -> str:
    return f"\\{special[0]}"


def _lines(content: str) -> list[str]:
    """The lines of a content that say in a block quote what they say outside of it, and stay in it."""
    source = _UNPRINTABLE.sub("\ufffd", content).splitlines()
    lines, reader = [], _Reader()
    for line in source:
        if reader.reaches_out(line):
            return [f"    {typed}" for typed in source]
        # The quote moves tab stops, so tabs become blanks, except in code, where only those before a fence count.
        keeps_tabs = reader.in_code and not _TAB_BEFORE_FENCE.match(line)
        lines.append(line if keeps_tabs else line.expandtabs(4))
    if reader.fence:
        lines.append(reader.fence)
    return lines


class _Reader:
    """Reads a content line by line, and knows what is certainly code."""

    def __init__(self) -> None:
        self.fence = ""
        """The fence of the block that is open, if it began at the margin: only such a fence is certain."""
        self.in_code = False
        """Whether the line that was read last is part of such a block."""
        self._in_span = False
        """Whether the paragraph may be within a code span that began on an earlier line."""
        self._uncertain = False
        """Whether there was another fence, or what looks like one: what it encloses depends on what it stands in."""

    def reaches_out(self, line: str) -> bool:
        """Reads the next line. Returns whether it may have raw HTML or a definition."""
        opening = None if self.fence else _OPENING_FENCE.fullmatch(line)
        self.in_code = bool(self.fence) or opening is not None
        if opening is not None:
            self.fence, self._in_span = opening[1] or opening[2], False
        elif self.fence:
            closing = _CLOSING_FENCE.fullmatch(line)
            if closing is not None and closing[1].startswith(self.fence):
                self.fence = ""
        if self.in_code and not self._uncertain:
            return False
        self._uncertain = self._uncertain or _DOUBTFUL_FENCE.match(line) is not None
        self._in_span = self._in_span and line.strip(" \t") != ""
        prose = line if self._in_span or self._uncertain else self._without_code(line)
        # Where a definition may stand, code spans have no say.
        return _DEFINITION in line or _HTML.search(_LINK.sub("", prose)) is not None

    def _without_code(self, line: str) -> str:
        """Returns the line with a backtick for each code span; the whole line when it is not certain what they are: one
        that goes on below, one across the cells of a table, one behind a backslash."""
        kept, at = [], 0
        while (opening := _TICKS.search(line, at)) is not None:
            begin, end = opening.span()
            closing = next((ticks for ticks in _TICKS.finditer(line, end) if len(ticks[0]) == end - begin), None)
            if closing is None or "|" in line[end : closing.start()] or line[begin - 1 : begin] == "\\":
                self._in_span = True
                return line
            kept.append(line[at:begin])
            at = closing.end()
        return "`".join([*kept, line[at:]])
