"""The client's own package: built, installed alone, and imported without Ray or anything else of Parlor."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PROJECT = ROOT / "clients" / "python"
SECONDS = 60.0
PROGRAM = """
import importlib.util, sys
import parlor.client
from parlor.client import AsyncClient, Client
with Client("http://127.0.0.1:9", "token"):
    pass
assert importlib.util.find_spec("parlor.errors") is None
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"ray", "pydantic", "fastapi", "redis", "api", "actors"}))
print(parlor.client.__file__)
"""


def described(path: Path) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return found


def needed(requirements: list[str]) -> set[str]:
    """These distributions, and what they need in turn, as installed here."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        each = waiting.pop()
        if each.name not in found and (each.marker is None or each.marker.evaluate({"extra": ""})):
            found.add(each.name)
            waiting += map(Requirement, distribution(each.name).requires or [])
    return found


def test_the_wheel_is_enough_with_what_it_says_it_needs(tmp_path: Path) -> None:
    build = [str(Path(sys.executable).with_name("hatchling")), "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PROJECT, capture_output=True, timeout=SECONDS, check=True)
    [wheel] = tmp_path.glob("*.whl")
    target = tmp_path / "alone"
    install = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile", "--quiet"]
    subprocess.run([*install, "--target", str(target), str(wheel)], capture_output=True, timeout=SECONDS, check=True)
    dependencies = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    for name in needed(dependencies):
        for file in distribution(name).files or []:
            top = target / file.parts[0]
            if not top.exists() and ".." not in file.parts:
                top.symlink_to(str(distribution(name).locate_file(file.parts[0])))
    # Neither this environment's packages nor the checkout are on its path.
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(target)!r})\n{PROGRAM}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", str(target / "parlor" / "client" / "__init__.py")]
    assert (target / "parlor" / "client" / "py.typed").exists()


def test_it_is_described_as_the_server_is() -> None:
    client, server = described(PROJECT / "pyproject.toml"), described(ROOT / "pyproject.toml")
    for name in ("version", "license", "requires-python", "authors"):
        assert client[name] == server[name], name
    needs, has = client["dependencies"], server["dependencies"]
    assert isinstance(needs, list)
    assert isinstance(has, list)
    assert set(needs) <= set(has)
