"""A start that fails: its exit code, and what the user is shown."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, field_serializer

from parlor_cli import launcher
from parlor_cli.installation import Installation
from parlor_cli.launcher import Launcher
from parlor_cli.options import UpOptions
from parlor_cli.progress import Kind
from parlor_cli.refusal import Refusal
from parlor_cli.shutdown import Shutdown
from parlor_cli.signals import Stopped, StopSignals
from parlor_cli.started import Started

pytestmark = pytest.mark.unit


class RecordedProgress:
    def __init__(self) -> None:
        self.lines: list[tuple[Kind, str]] = []

    def show(self, kind: Kind, text: str, step: str = "") -> None:
        self.lines.append((kind, text))


def _signal(found: Launcher) -> None:
    found.signals.begin_start()
    found.signals.handle(signal.SIGINT, None)


def _inside_a_library(found: Launcher) -> None:
    class Settings(BaseModel):
        secret: str = ""

        @field_serializer("secret")
        def _write(self, value: str) -> str:
            _signal(found)
            return value

    Settings().model_dump_json()


def _as_a_refusal(found: Launcher) -> None:
    try:
        _signal(found)
    except Stopped as error:
        raise Refusal("Redis cannot be used") from error


def _behind_a_failure(found: Launcher) -> None:
    try:
        raise Refusal("the port is taken")
    finally:
        _signal(found)


def _refuse(_found: Launcher) -> None:
    raise Refusal("the port is taken")


def _break(_found: Launcher) -> None:
    raise ValueError("first\nlast")


@pytest.mark.parametrize(
    ("start", "code", "shown"),
    [
        (_signal, 130, []),
        (_inside_a_library, 130, []),
        (_as_a_refusal, 130, []),
        (_behind_a_failure, 130, []),
        (_refuse, 1, [("failed", "the port is taken")]),
        (_break, 1, [("failed", "ValueError: last")]),
    ],
)
def test_a_start_that_fails_is_reported_and_stopped_without_a_drain(
    start: Callable[[Launcher], None],
    code: int,
    shown: list[tuple[Kind, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drained: list[bool] = []
    monkeypatch.setattr(Launcher, "start", start)
    monkeypatch.setattr(Launcher, "stop", lambda _self, *, drain: drained.append(drain))
    progress = RecordedProgress()
    options = UpOptions(data_dir=tmp_path / "data")
    assert launcher.run(Installation.found(tmp_path / "data"), options, progress, StopSignals()) == code
    assert (progress.lines, drained) == (shown, [False])
    log = capsys.readouterr().err
    assert all("Traceback" in log and text.partition(": ")[2] in log for _, text in shown)


def _late_signal(found: Launcher) -> None:
    """As it comes right behind the last step."""
    found.signals.begin_start()
    end_start = found.signals.end_start

    def interrupted() -> None:
        found.signals.end_start = end_start  # type: ignore[method-assign]
        found.signals.handle(signal.SIGTERM, None)

    found.signals.end_start = interrupted  # type: ignore[method-assign]


def test_a_signal_right_behind_the_start_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drained: list[bool] = []
    monkeypatch.setattr(Launcher, "start", _late_signal)
    monkeypatch.setattr(Launcher, "stop", lambda _self, *, drain: drained.append(drain))
    options = UpOptions(data_dir=tmp_path / "data")
    code = launcher.run(Installation.found(tmp_path / "data"), options, RecordedProgress(), StopSignals())
    assert (code, drained) == (130, [False])


@pytest.mark.parametrize("silent", [False, True])
def test_how_a_stop_goes_is_not_shown_to_somebody_who_interrupted_the_start(home: Installation, silent: bool) -> None:
    progress, warned = RecordedProgress(), list[str]()
    shutdown = Shutdown(home, progress, StopSignals(), Started(home), warned.append)
    home.make_runtime_dir()
    shutdown.run(drain=False, silent=silent)
    assert (progress.lines, warned) == ([] if silent else [("note", "stopped")], [])
    assert not home.runtime_dir.exists()
