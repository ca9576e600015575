"""The dependencies that are declared are used."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
CODE = ("actors", "api", "demo_model", "parlor", "parlor_bench", "parlor_cli")
MODULES = {
    "prompt-toolkit": "prompt_toolkit",
    "pyjwt": "jwt",
    "pydantic-settings": "pydantic_settings",
    "python-dotenv": "dotenv",
    "python-multipart": "python_multipart",
}
"""Distributions whose package has another name."""
INDIRECT = {
    "uvicorn": "Ray Serve runs on it, and the demo model on the uvloop that it brings",
    "tzdata": "zoneinfo reads it where the machine has no database of time zones",
}
"""Distributions that no module imports, and what they are for."""


def imported() -> set[str]:
    """The top-level packages that the code imports."""
    found: set[str] = set()
    for file in (file for folder in CODE for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def declared() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [match[0] for line in project["dependencies"] if (match := re.match(r"[\w-]+", line))]


def test_every_dependency_is_imported() -> None:
    modules = imported()
    assert [name for name in declared() if name not in INDIRECT and MODULES.get(name, name) not in modules] == []


@pytest.mark.parametrize("lock", ["run", "dev"])
def test_every_dependency_is_locked(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    assert [name for name in declared() if not re.search(rf"^{name}(\[|==)", text, re.MULTILINE)] == []
