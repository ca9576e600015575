"""A domain of its own for each test, and an environment without traces of a developer's installation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from tests.unit.memory_store import Templates, make_templates
from tests.unit.rig import Rig, RigMaker


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """A migrated installation's databases, for tests that make their rigs in an event loop of their own."""
    return asyncio.run(make_templates(tmp_path_factory.mktemp("templates")))


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name == "OPENAI_API_KEY" or (name.startswith("PARLOR_") and not name.startswith("PARLOR_TEST_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def new_rig(templates: Templates) -> AsyncIterator[RigMaker]:
    """Makes rigs with settings of the test's choice, by section."""
    rigs: list[Rig] = []

    def make(**sections: object) -> Rig:
        rigs.append(Rig(templates, **sections))
        return rigs[-1]

    yield make
    for rig in rigs:
        await rig.close()


@pytest.fixture
def rig(new_rig: RigMaker) -> Rig:
    return new_rig()
