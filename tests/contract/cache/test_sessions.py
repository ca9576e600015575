"""What Redis remembers of an account for when the global database does not answer."""

from __future__ import annotations

import pytest

from parlor.ids import AccountId, Partition
from parlor.model import AccountRow
from tests.contract.cache.fixtures import CacheFixtures

pytestmark = pytest.mark.contract


async def test_a_session_is_remembered(fixtures: CacheFixtures) -> None:
    row = AccountRow(AccountId("ada"), 42, Partition(17))
    await fixtures.reader.remember_session(row)
    assert await fixtures.reader.session(AccountId("ada")) == row
    assert await fixtures.reader.session(AccountId("bob")) is None
