"""Fixtures of several modules here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.domain import Domain
from tests.unit.rooms.follow_up_fixture import FollowUpFixture


@pytest.fixture
async def follow_ups(domain: Domain) -> AsyncIterator[FollowUpFixture]:
    made = FollowUpFixture(domain)
    yield made
    await made.follow_up.close()
    assert not made.follow_up._tasks
