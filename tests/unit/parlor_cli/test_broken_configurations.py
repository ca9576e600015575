"""`parlor up` with a broken configuration: refused before anything starts, with the place, the key and the value."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from parlor_cli.commands import run
from tests.broken_configurations import CASES, Case, scrubbed

pytestmark = pytest.mark.unit


def no_launcher(*_: object) -> None:
    pytest.fail("the launcher was started")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_refused_and_nothing_has_started(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    case.lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - scrubbed().keys():
        monkeypatch.delenv(name)
    for name, value in {**case.variables, "NO_COLOR": "1", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["parlor", "up", "--detach", *case.options])
    monkeypatch.setattr("parlor_cli.up._start", no_launcher)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code in (1, 2)
    case.check_refusal(*capfd.readouterr())
    assert not (tmp_path / ".parlor").exists()


def test_there_are_thirty_of_them() -> None:
    assert len(CASES) >= 30
