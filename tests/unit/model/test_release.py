"""Which code a process runs, and which it can work beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlor.model import release
from parlor.model.release import Incompatible, digest, program_version, require_compatible

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("other", [6, 7, 8])
def test_numbers_one_apart_work_together(other: int) -> None:
    require_compatible(other, "the Supervisor", own=7)


@pytest.mark.parametrize(("other", "advice"), [(5, "an older one first"), (9, "the version that is there")])
def test_others_are_refused_with_what_to_do(other: int, advice: str) -> None:
    with pytest.raises(Incompatible, match=f"the Supervisor has compatibility number {other}.*{advice}"):
        require_compatible(other, "the Supervisor", own=7)


def test_another_state_of_the_code_has_another_version(tmp_path: Path) -> None:
    for name in ("parlor/a.py", "parlor/cache/lua/b.lua", "actors/c.py", "sql/d.sql"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    first = release._fingerprint(tmp_path)
    (tmp_path / "parlor/notes.txt").write_text("no code")
    assert release._fingerprint(tmp_path) == first
    found = {first}
    for name in ("parlor/a.py", "parlor/cache/lua/b.lua", "actors/c.py", "sql/d.sql"):
        (tmp_path / name).write_text("2")
        found.add(release._fingerprint(tmp_path))
    assert len(found) == 5


def test_a_process_has_one_version() -> None:
    assert program_version() == program_version()
    package, _, fingerprint = program_version().partition("+")
    assert package
    assert len(fingerprint) == 8


def test_settings_are_told_apart() -> None:
    assert digest("a") == digest("a") != digest("b")
