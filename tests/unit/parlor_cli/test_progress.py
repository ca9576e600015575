"""What a start prints, on a terminal and into a pipe."""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console

from parlor_cli.progress import Line, PipeProgress, ScreenProgress, decode

pytestmark = pytest.mark.unit


def _screen(*, terminal: bool) -> tuple[ScreenProgress, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    consoles = [Console(file=file, force_terminal=terminal, width=80, soft_wrap=True) for file in (out, err)]
    return ScreenProgress(*consoles), out, err


def test_a_pipe_gets_one_plain_line_for_each_step() -> None:
    screen, out, _ = _screen(terminal=False)
    screen.show("begin", "starting", step="redis")
    screen.show("done", "Valkey [wheel]", step="redis")
    assert out.getvalue() == "  redis      Valkey [wheel]\n"


def test_a_terminal_sees_a_step_begin_and_then_its_end_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, out, _ = _screen(terminal=True)
    screen.show("begin", "a long word about what begins", step="redis")
    begun = out.getvalue()
    assert "a long word" in begun
    assert "\n" not in begun
    screen.show("done", "short", step="redis")
    assert out.getvalue().removeprefix(begun).startswith("\r\x1b[2K")


def test_a_terminal_that_cannot_erase_gets_one_line_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen, out, _ = _screen(terminal=True)
    screen.show("begin", "starting", step="redis")
    screen.show("done", "short", step="redis")
    assert out.getvalue() == "  redis      short\n"


def test_failures_go_to_standard_error() -> None:
    screen, out, err = _screen(terminal=False)
    screen.show("failed", "the port is taken")
    assert (out.getvalue(), err.getvalue()) == ("", "parlor: the port is taken\n")


def test_lines_cross_the_pipe_as_they_were() -> None:
    reader, writer = os.pipe()
    progress = PipeProgress(writer)
    progress.show("summary", "two\nlines")
    with os.fdopen(reader, "rb") as pipe:
        assert decode(pipe.readline()) == Line(kind="summary", text="two\nlines")
    # Nobody reads any more: a detached start goes on.
    progress.show("warn", "unheard")
    progress.show("warn", "unheard")


def test_a_line_that_is_none_of_ours_is_passed_over() -> None:
    assert decode(b"Traceback (most recent call last):\n") is None
