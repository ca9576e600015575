"""The conversation that the tests of fsck spoil."""

from __future__ import annotations

import pytest

from tests.unit.domain import Domain
from tests.unit.fsck.chat import Chat


@pytest.fixture
async def chat(domain: Domain) -> Chat:
    return await Chat(domain).open()
