"""The package as it is published: what the wheel holds, and what it says about itself."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from trove_classifiers import classifiers

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "api", "demo_model", "parlor", "parlor_bench", "parlor_cli")
BUILD_SECONDS = 60.0


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, built as `make package` builds them."""
    directory = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [Path(sys.executable).with_name("hatchling"), "build", "-d", directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return directory


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    [path] = dist.glob("*.whl")
    return zipfile.ZipFile(path)


def files(*folders: str) -> set[str]:
    """What these folders of the checkout hold, without what Python wrote there."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_file_of_every_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    client = {name.replace("clients/js/src", "api/web/assets/client") for name in files("clients/js/src")}
    assert held == files(*PACKAGES) | {f"parlor/{name}" for name in files("sql")} | client


def test_what_is_not_python_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    assert held >= {f"{package}/py.typed" for package in PACKAGES}
    assert held >= {"parlor/llm/personas.toml", "api/web/assets/js/app.js", "api/web/assets/vendor/marked/LICENSE"}
    for folder in ("parlor/cache/lua/", "parlor/sql/procedures/", "parlor/sql/sqlite/"):
        assert [name for name in held if name.startswith(folder) and name.endswith((".lua", ".sql"))], folder


def test_a_wheel_from_the_sdist_is_the_same_wheel(dist: Path, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    [path] = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    subprocess.run(
        [Path(sys.executable).with_name("hatchling"), "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=source,
        capture_output=True,
        timeout=BUILD_SECONDS,
        check=True,
    )
    [again] = (tmp_path / "dist").glob("*.whl")
    assert set(zipfile.ZipFile(again).namelist()) == set(wheel.namelist())
    assert not (source / "tests").exists()


def test_the_package_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    told = Parser().parsestr(wheel.read(name).decode())
    assert told["License-Expression"] == "Apache-2.0"
    assert set(told.get_all("License-File", [])) == {"LICENSE", "NOTICE"}
    assert 20 <= len(told["Summary"]) <= 120
    assert told["Description-Content-Type"] == "text/markdown"
    given = told.get_all("Classifier", [])
    assert [name for name in given if name not in classifiers] == []
    assert {name.partition(" :: ")[0] for name in given} >= {
        "Development Status",
        "Framework",
        "Intended Audience",
        "Operating System",
        "Programming Language",
        "Topic",
        "Typing",
    }
