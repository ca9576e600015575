"""How a start that does not come to its end is told."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, field_serializer

from cli import steward
from cli.installation import Installation
from cli.options import UpOptions
from cli.progress import Kind
from cli.refusal import Refusal
from cli.steward import Steward, Stopped

pytestmark = pytest.mark.unit


class Told:
    def __init__(self) -> None:
        self.lines: list[tuple[Kind, str]] = []

    def say(self, kind: Kind, text: str, step: str = "") -> None:
        self.lines.append((kind, text))


def _signal(found: Steward) -> None:
    found._starting = True
    found.on_signal(signal.SIGINT, None)


def _inside_a_library(found: Steward) -> None:
    class Settings(BaseModel):
        secret: str = ""

        @field_serializer("secret")
        def _write(self, value: str) -> str:
            _signal(found)
            return value

    Settings().model_dump_json()


def _as_a_refusal(found: Steward) -> None:
    try:
        _signal(found)
    except Stopped as error:
        raise Refusal("Redis cannot be used") from error


def _refuse(_found: Steward) -> None:
    raise Refusal("the port is taken")


def _break(_found: Steward) -> None:
    raise ValueError("first\nlast")


@pytest.mark.parametrize(
    ("start", "code", "told"),
    [
        (_signal, 130, []),
        (_inside_a_library, 130, []),
        (_as_a_refusal, 130, []),
        (_refuse, 1, [("failed", "the port is taken")]),
        (_break, 1, [("failed", "ValueError: last")]),
    ],
)
def test_how_a_start_failed(
    start: Callable[[Steward], None],
    code: int,
    told: list[tuple[Kind, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drained: list[bool] = []
    monkeypatch.setattr(Steward, "start", start)
    monkeypatch.setattr(Steward, "stop", lambda _self, *, drain: drained.append(drain))
    progress = Told()
    assert steward.run(Installation.found(tmp_path / "data"), UpOptions(data_dir=tmp_path / "data"), progress) == code
    assert (progress.lines, drained) == (told, [False])
