"""A scrubbed environment, and an installation in a directory of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from parlor_cli.installation import Installation
from tests.unit.parlor_cli.haproxy_front import serves_config


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the person who runs the tests: neither variables nor a `.env` or `parlor.toml`."""
    for name in os.environ:
        if name.startswith(("PARLOR_", "OPENAI_", "RAY_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    found = Installation.found(tmp_path / "data")
    yield found
    found.remove_runtime_dir()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The configuration of a node with one application."""
    return serves_config(tmp_path_factory.mktemp("h"))
