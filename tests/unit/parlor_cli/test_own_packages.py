"""A package of another program that is called like one of ours is named at the start, and not imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from parlor_cli.own_packages import PACKAGES, check_packages
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SECONDS = 60


def plant(folder: Path, name: str) -> Path:
    """A foreign package that must not be imported."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    return package / "__init__.py"


def command(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    """The installed command with ``path`` on PYTHONPATH."""
    return subprocess.run(
        [sys.executable, "-P", "-c", "from parlor_cli.main import main; main()", *arguments],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_our_own_packages_are_accepted() -> None:
    check_packages()
    check_packages([str(ROOT)])


@pytest.mark.parametrize("name", PACKAGES)
def test_a_foreign_package_before_ours_is_named(name: str, tmp_path: Path) -> None:
    planted = plant(tmp_path, name)
    with pytest.raises(Refusal) as refused:
        check_packages([str(tmp_path), str(ROOT)])
    assert str(planted) in refused.value.message
    assert "PYTHONPATH" in refused.value.message


def test_a_foreign_package_behind_ours_does_no_harm(tmp_path: Path) -> None:
    plant(tmp_path, "api")
    check_packages([str(ROOT), str(tmp_path)])


def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="actors is missing"):
        check_packages([str(tmp_path)])


@pytest.mark.parametrize("name", ["api", "actors"])
def test_the_command_refuses_and_imports_nothing(name: str, tmp_path: Path) -> None:
    planted = plant(tmp_path, name)
    refused = command("up", "--data-dir", str(tmp_path / "data"), path=tmp_path)
    assert refused.returncode == 1
    assert str(planted) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data").exists()
