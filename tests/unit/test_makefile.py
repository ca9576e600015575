"""Which Python `make` uses: the one that was asked for, else the active one, else another that fits."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]

ROOT = Path(__file__).parents[2]
_PYTHON = """\
#!/bin/sh
case "$1" in
  --version) echo "Python {version}" ;;
  -c) case "$2" in *ensurepip*) exit {unfit} ;; *) echo {version} ;; esac ;;
  -m) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "$0" >"$3/made-by" ;;
esac
"""


def put(path: Path, version: str, *, fits: bool = True) -> Path:
    """Puts a program there that answers as this Python does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_PYTHON.format(version=version, unfit=int(not fits)))
    path.chmod(0o755)
    return path


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Makes the virtual environment of a project in ``directory``, with the programs in its folder ``path`` first."""
    shutil.copy(ROOT / "Makefile", directory)
    # The options of the `make` that runs the tests are not this one's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment.pop("PYTHON", None)
    environment["PATH"] = f"{directory / 'path'}:/usr/bin:/bin"
    command = ["make", *arguments, "interpreter"]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def made_by(directory: Path) -> str:
    return (directory / ".venv" / "made-by").read_text().strip()


@pytest.mark.parametrize(
    ("fit", "chosen"),
    [
        ({"python3", "python3.13"}, "python3"),
        ({"python3.12", "python3.11"}, "python3.12"),
        ({"python3.11"}, "python3.11"),
    ],
)
def test_the_active_python_comes_first_if_it_fits(tmp_path: Path, fit: set[str], chosen: str) -> None:
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        put(tmp_path / "path" / name, "3.12", fits=name in fit)
    done = make(tmp_path)
    assert (done.returncode, made_by(tmp_path)) == (0, str(tmp_path / "path" / chosen)), done.stderr


def test_a_python_that_is_asked_for_is_used_and_no_other(tmp_path: Path) -> None:
    put(tmp_path / "path" / "python3", "3.12")
    asked = put(tmp_path / "elsewhere" / "python", "3.13")
    assert make(tmp_path, f"PYTHON={asked}").returncode == 0
    assert made_by(tmp_path) == str(asked)


def test_a_python_that_is_asked_for_and_does_not_fit_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "path" / "python3", "3.12")
    asked = put(tmp_path / "elsewhere" / "python", "3.9", fits=False)
    done = make(tmp_path, f"PYTHON={asked}")
    assert done.returncode
    assert f"{asked} has no Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_another_version_than_the_environment_has_is_not_taken_in_silence(tmp_path: Path) -> None:
    put(tmp_path / "path" / "python3", "3.12")
    assert make(tmp_path).returncode == 0
    assert make(tmp_path, "PYTHON=python3").returncode == 0
    other = put(tmp_path / "elsewhere" / "python", "3.11")
    done = make(tmp_path, f"PYTHON={other}")
    assert done.returncode
    assert ".venv has Python 3.12, not 3.11" in done.stderr
    assert make(tmp_path).returncode == 0
