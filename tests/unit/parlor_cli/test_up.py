"""`parlor up` in front of its launcher: what Ctrl-C does at each moment, and what the end of the launcher means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec
import pytest

from parlor_cli import up
from parlor_cli.options import UpOptions
from parlor_cli.progress import Kind, Line
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

Launching = Callable[..., None]
INTERRUPTED = ("failed", "interrupted; what had started is stopped")


class Screen:
    """Notes what is shown; ``at`` is called with each line, as a person who watches would act."""

    def __init__(self, at: Callable[[str], None] = lambda _text: None) -> None:
        self.shown: list[tuple[Kind, str]] = []
        self._at = at

    def show(self, kind: Kind, text: str, step: str = "") -> None:
        self.shown.append((kind, text))
        self._at(text)


def ctrl_c(at: str) -> Callable[[str], None]:
    def act(text: str) -> None:
        if text == at:
            os.kill(os.getpid(), signal.SIGINT)

    return act


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launching]:
    """Has the launcher be a script; ``before`` happens when it has started and is not known yet."""
    started = list[subprocess.Popen[bytes]]()

    def say(kind: Kind, text: str) -> str:
        return f"print({msgspec.json.encode(Line(kind, text)).decode()!r}, flush=True)"

    lines = {"BEGIN": say("begin", "starting"), "READY": say("ready", "Ready"), "FAILED": say("failed", "no port")}

    def replace(script: str, before: Callable[[], None] = lambda: None) -> None:
        for name, line in lines.items():
            script = script.replace(name, line)

        def start(_options: UpOptions) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
            words = [sys.executable, "-c", script]
            found = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
            started.append(found)
            before()
            assert found.stdout is not None
            return found, found.stdout

        monkeypatch.setattr(up, "_start", start)

    yield replace
    for found in started:
        found.kill()
        found.wait(10)


WAIT = "import signal; signal.signal(15, lambda *_: exit({code})); {line}; signal.pause()"
DIE = "import signal; {line}; signal.pause()"


def run(tmp_path: Path, screen: Screen, *, detach: bool = False) -> int:
    before = signal.getsignal(signal.SIGINT)
    try:
        return up.up(UpOptions(tmp_path / "data"), screen, detach=detach)
    finally:
        assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("script", [WAIT.format(code=130, line="BEGIN"), DIE.format(line="BEGIN")])
@pytest.mark.parametrize("detach", [False, True])
def test_ctrl_c_during_the_start_is_130_and_one_line(
    launching: Launching, tmp_path: Path, script: str, detach: bool
) -> None:
    launching(script)
    screen = Screen(ctrl_c("starting"))
    assert run(tmp_path, screen, detach=detach) == 130
    assert screen.shown == [("begin", "starting"), INTERRUPTED]


def test_ctrl_c_before_the_launcher_is_known_reaches_it(launching: Launching, tmp_path: Path) -> None:
    launching(DIE.format(line="pass"), before=lambda: os.kill(os.getpid(), signal.SIGINT))
    screen = Screen()
    assert run(tmp_path, screen) == 130
    assert screen.shown == [INTERRUPTED]


def test_ctrl_c_after_the_start_ends_with_what_the_stop_ended_with(launching: Launching, tmp_path: Path) -> None:
    launching(WAIT.format(code=0, line="READY"))
    screen = Screen(ctrl_c("Ready"))
    assert run(tmp_path, screen) == 0
    assert screen.shown == [("ready", "Ready")]


def test_a_detached_start_returns_when_it_is_ready(launching: Launching, tmp_path: Path) -> None:
    launching("READY")
    assert run(tmp_path, Screen(), detach=True) == 0


def test_a_failure_is_shown_with_where_the_logs_are(launching: Launching, tmp_path: Path) -> None:
    launching("FAILED; exit(1)")
    screen = Screen()
    assert run(tmp_path, screen) == 1
    assert screen.shown == [("failed", "no port"), ("note", "there are no logs yet")]


def test_a_launcher_that_somebody_killed_is_said(launching: Launching, tmp_path: Path) -> None:
    launching("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(Refusal, match="killed by SIGKILL"):
        run(tmp_path, Screen())


def test_options_that_nobody_reads_any_more_are_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    launcher, lines = up._start(UpOptions(tmp_path / "data", redis_url="redis://" + "x" * 1_000_000))
    with lines:
        assert launcher.wait(10) == 0
