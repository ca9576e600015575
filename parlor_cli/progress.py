"""The progress of a start, line by line.

The launcher writes JSON lines to a pipe; the command that started it shows them, in colour on a terminal.
"""

from __future__ import annotations

import os
import threading
from typing import Literal, Protocol

import msgspec
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

Kind = Literal["begin", "done", "note", "warn", "ready", "failed", "summary"]


class Line(msgspec.Struct, frozen=True):
    """One line of progress, about ``step``."""

    kind: Kind
    text: str
    step: str = ""


class Progress(Protocol):
    """Shows the progress to the user."""

    def show(self, kind: Kind, text: str, step: str = "") -> None: ...


class PipeProgress:
    """Writes to a pipe. When its reader has gone (a detached start), lines are dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._open = True
        self._lock = threading.Lock()

    def show(self, kind: Kind, text: str, step: str = "") -> None:
        raw = msgspec.json.encode(Line(kind=kind, text=text, step=step)) + b"\n"
        with self._lock:
            if not self._open:
                return
            try:
                os.write(self._descriptor, raw)
            except BrokenPipeError:
                self._open = False
                os.close(self._descriptor)


class ScreenProgress:
    """Prints lines on standard output, failures on standard error."""

    def __init__(self, out: Console | None = None, err: Console | None = None) -> None:
        self._out = out or Console(highlight=False, soft_wrap=True)
        self._err = err or Console(stderr=True, highlight=False, soft_wrap=True)

    def show(self, kind: Kind, text: str, step: str = "") -> None:
        # One that cannot erase (TERM=dumb) is told like a pipe.
        erases = self._out.is_terminal and not self._out.is_dumb_terminal
        if erases:
            # The line of a step that has begun is replaced by its result.
            self._out.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
        match kind:
            case "begin":
                # A pipe or a file gets only the result of each step.
                if erases:
                    self._out.print(Text(f"  {step:<10} {text} ...", style="dim"), end="")
            case "done":
                self._out.print(Text.assemble(("  ", ""), (f"{step:<10}", "green"), f" {text}"))
            case "note":
                self._out.print(Text(f"  {step:<10} {text}"))
            case "warn":
                self._out.print(Text(f"  {step:<10} {text}", style="yellow"))
            case "ready" | "summary":
                self._out.print(Text(text))
            case "failed":
                self._err.print(Text.assemble(("parlor: ", "bold red"), text))


def decode(raw: bytes) -> Line | None:
    """None for a line that is not a ``Line``."""
    try:
        return msgspec.json.decode(raw, type=Line)
    except msgspec.DecodeError:
        return None
