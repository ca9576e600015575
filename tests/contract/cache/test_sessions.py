"""What Redis remembers of an account for when the global database does not answer."""

from __future__ import annotations

import pytest

from parlor.model.access import AccountRow, Standing
from parlor.model.ids import AccountId, Partition
from tests.contract.cache.fixtures import CacheFixtures

pytestmark = pytest.mark.contract


async def test_a_session_is_remembered(fixtures: CacheFixtures) -> None:
    row = AccountRow(AccountId("ada"), 42, Partition(17))
    await fixtures.reader.remember_session(row)
    assert await fixtures.reader.session(AccountId("ada")) == row
    assert await fixtures.reader.session(AccountId("bob")) is None


async def test_a_revocation_is_not_undone_by_a_row_that_was_read_before_it(fixtures: CacheFixtures) -> None:
    before = AccountRow(AccountId("ada"), 42, Partition(17), 5)
    after = AccountRow(AccountId("ada"), 42, Partition(17), 1_795_403_885_042)
    for row in (before, after, before, AccountRow(AccountId("ada"), 42, Partition(17))):
        await fixtures.reader.remember_session(row)
    assert await fixtures.reader.session(AccountId("ada")) == after
    await fixtures.reader.remember_session(AccountRow(AccountId("bob"), 43, Partition(17)))
    assert await fixtures.reader.session(AccountId("bob")) == AccountRow(AccountId("bob"), 43, Partition(17))


async def test_a_standing_is_not_undone_by_a_row_that_was_read_before_it_changed(fixtures: CacheFixtures) -> None:
    name, now = AccountId("ada"), 1_795_403_885_042
    before, disabled, active, deleted = (
        AccountRow(name, 42, Partition(17)),
        AccountRow(name, 42, Partition(17), 0, Standing.DISABLED, now),
        AccountRow(name, 42, Partition(17), 0, Standing.ACTIVE, now + 1),
        AccountRow(name, 42, Partition(17), 0, Standing.DELETED, now + 2),
    )
    for row in (before, disabled, before):
        await fixtures.reader.remember_session(row)
    assert await fixtures.reader.session(name) == disabled
    for row in (active, disabled, before):
        await fixtures.reader.remember_session(row)
    assert await fixtures.reader.session(name) == active
    for row in (deleted, active, disabled, before):
        await fixtures.reader.remember_session(row)
    assert await fixtures.reader.session(name) == deleted
