"""What a conversation looks like in a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from parlor.client import Message, Reply, ToolCall

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FENCE = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)
REFRESH = 12
"""Times a second."""


def visible(text: str) -> str:
    """A text without what would command the terminal, or turn its lines around."""
    return _CONTROLS.sub("", text)


def waiting(reply: Reply, decided: Collection[str] = ()) -> ToolCall | None:
    """The first call of the reply that waits for somebody, by what was read of it. ``decided``: ids and states of those
    that were asked about."""
    for _, part in sorted(reply.parts.items()):
        if not isinstance(part, ToolCall) or f"{part.tool_call_id} {part.state}" in decided:
            continue
        if part.waits_for_decision or part.waits_for_result:
            return part
    return None


def settled(text: str) -> int:
    """How much of a text in Markdown does not change any more: its paragraphs but the last one. A code block is
    never taken apart."""
    for end in reversed([found.end() for found in re.finditer(r"\n\n+", text)]):
        if len(_FENCE.findall(text[:end])) % 2 == 0:
            return end
    return 0


class Screen:
    """Prints; on a terminal, replies grow in place."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def note(self, text: str) -> None:
        self.console.print(Text(visible(text), style="dim"))

    def problem(self, text: str) -> None:
        self.console.print(Text(visible(text), style="red"))

    def message(self, message: Message) -> None:
        """One of the history."""
        if message.sender_type == "USER":
            self.console.print(Text("› ", style="bold cyan") + Text(visible(message.content)))
        else:
            self.console.print(Markdown(visible(message.content)))
        self.console.print()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(*columns, box=None, header_style="dim", pad_edge=False)
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        self.console.print(table)

    def call(self, call: ToolCall) -> None:
        """A call of a tool, and what it would do."""
        self.console.print(Text(visible(f"⚙ {call.title or call.name}"), style="bold yellow"))
        arguments = json.dumps(call.arguments, ensure_ascii=False, indent=2)
        # What is approved is seen whole: nothing is left out.
        self.console.print(Text(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", arguments)))

    @contextmanager
    def reply(self, view: ReplyView) -> Iterator[None]:
        """A reply that grows; what it says stays when it is left, and is not shown again when it goes on."""
        # Only the unfinished end is drawn again and again: what has left the screen cannot be.
        try:
            with Live(view, console=self.console, refresh_per_second=REFRESH, vertical_overflow="ellipsis") as live:
                view.live = live
                try:
                    yield
                finally:
                    view.is_over = True
                    live.refresh()
        finally:
            view.stays()


class ReplyView:
    """The end of a reply that may still change; the part before it is printed for good."""

    live: Live

    def __init__(self) -> None:
        self.is_over = False
        self._printed = 0
        self._text = ""
        self._working: list[str] = []
        self._thoughts = 0
        self._spinner = Spinner("dots")

    def follow(self, reply: Reply, decided: Collection[str]) -> ToolCall | None:
        """Shows the reply as it grows, to its end or to a call that waits and is not among ``decided``, which it
        returns."""
        self.is_over = False
        for _ in reply:
            self.show(reply)
            call = waiting(reply, decided)
            if call is not None:
                return call
        self.show(reply)
        return None

    def stays(self) -> None:
        """What is on the screen now stays there, and is not shown again."""
        self._printed = len(self._text)

    def show(self, reply: Reply) -> None:
        """The reply as it is now."""
        if not reply.text.startswith(self._text):
            self.live.console.print(Text("[begun again]", style="dim"))
            self._printed = 0
        self._text, self._thoughts = reply.text, len(reply.reasoning)
        self._working = [_line(part) for _, part in sorted(reply.parts.items()) if isinstance(part, ToolCall)]
        end = settled(reply.text)
        if end > self._printed:
            self.live.console.print(Markdown(visible(reply.text[self._printed : end])), end="\n\n")
            self._printed = end

    def __rich__(self) -> RenderableType:
        shown: list[RenderableType] = [Text(visible(line), style="dim") for line in self._working]
        rest = self._text[self._printed :]
        if rest:
            shown.append(Markdown(visible(rest)))
        elif not self.is_over and not self._text:
            thinking = f"thinks ({self._thoughts} characters)" if self._thoughts else "…"
            self._spinner.update(text=Text(thinking, style="dim"))
            shown.append(self._spinner)
        return Group(*shown)


def _line(call: ToolCall) -> str:
    return f"⚙ {call.title or call.name}: {call.state}"
