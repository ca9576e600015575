"""The client without asyncio is what is made of the other one."""

from __future__ import annotations

import pytest

from tests.sync_client import FOLDER, NAMES, sync_module

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", NAMES)
def test_the_module_is_what_is_made_of_the_other_one(name: str) -> None:
    text = (FOLDER / f"sync_{name}.py").read_text(encoding="utf-8")
    assert text == sync_module(name), "run python -m tests.sync_client"
    assert "async" not in text.partition('"""\n')[2]
