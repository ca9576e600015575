"""The JavaScript client: its own tests in Node, its types, and what its package says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.servers import skip_or_fail
from tests.typescript import TARGET, declarations

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "clients" / "js"
SECONDS = 50.0
OLDEST = 18


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        skip_or_fail("not installed: node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST:
        skip_or_fail(f"node is {version.strip()}, and not {OLDEST} or later")
    return found


@pytest.mark.parametrize("name", sorted(file.name for file in (PACKAGE / "test").glob("*.test.js")))
def test_its_own_tests_pass_in_node(node: str, name: str) -> None:
    done = subprocess.run(
        [node, "--test", f"test/{name}"], cwd=PACKAGE, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^. pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None, done.stdout
    assert int(passed[1]) > 0


def test_the_types_are_those_of_the_openapi_document() -> None:
    assert TARGET.read_text(encoding="utf-8") == declarations(), "run python -m tests.typescript"


def test_what_is_declared_is_what_there_is() -> None:
    types = (PACKAGE / "src" / "index.d.ts").read_text(encoding="utf-8")
    exported = (PACKAGE / "src" / "index.js").read_text(encoding="utf-8")
    names = set(re.findall(r"\b[A-Za-z]+\b", "".join(re.findall(r"export \{(.*?)\}", exported, re.DOTALL))))
    assert set(re.findall(r"^export (?:class|function) (\w+)", types, re.MULTILINE)) == names
    declared = re.search(r"^export class Client \{(.*?)^\}", types, re.DOTALL | re.MULTILINE)
    assert declared is not None
    client = (PACKAGE / "src" / "client.js").read_text(encoding="utf-8").partition("export class Client {")[2]
    methods = re.findall(r"^  (?:async )?\*?([a-z]\w*)\(.*\{$", client.partition("\n}\n")[0], re.MULTILINE)
    assert re.findall(r"^  (\w+)\(", declared[1], re.MULTILINE) == methods


def test_the_package_says_what_it_is() -> None:
    package = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (package["version"], package["license"]) == (project["version"], project["license"])
    assert package["engines"] == {"node": f">={OLDEST}"}
    assert not {"dependencies", "devDependencies", "peerDependencies"} & package.keys()
    for file in (PACKAGE / "src").glob("*.js"):
        for name in re.findall(r'from "([^"]+)"', file.read_text(encoding="utf-8")):
            assert (file.parent / name).exists(), f"{file.name} imports {name}"
    named = set(re.findall(r"test/[\w.]+", package["scripts"]["test"]))
    assert named == {f"test/{file.name}" for file in (PACKAGE / "test").glob("*.test.js")}
