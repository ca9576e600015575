"""Whether the processors have time for what can wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.processors import Processors

pytestmark = pytest.mark.unit


def written(path: Path, used: int, idle: int) -> Path:
    path.write_text(f"cpu  {used} 0 0 {idle - 10} 10 0 0 0 0 0\ncpu0 1 2 3\n", encoding="ascii")
    return path


@pytest.mark.parametrize(("used", "idle", "busy"), [(75, 25, True), (74, 26, False), (0, 100, False), (0, 0, False)])
def test_three_quarters_in_use_are_busy(tmp_path: Path, used: int, idle: int, busy: bool) -> None:
    stat = written(tmp_path / "stat", 1000, 5000)
    found = Processors(stat)
    written(stat, 1000 + used, 5000 + idle)
    assert found.are_busy() is busy
    assert not found.are_busy(), "it looks back to the last time only"


@pytest.mark.parametrize("text", ["", "intr 1 2\n", "cpu  a b c\n", "cpu\n"])
def test_where_nobody_knows_they_are_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text, encoding="ascii")
    assert not Processors(tmp_path / "stat").are_busy()
    assert not Processors(tmp_path / "nothing").are_busy()
