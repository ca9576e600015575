"""Processes follow the limits that operators set."""

from __future__ import annotations

import asyncio

import pytest

from parlor.model.ids import AccountId
from parlor.settings.account_limits import AccountLimits
from parlor.settings.limits import LimitSettings
from parlor.store.account_limits import INTERVAL, AccountLimitStore, LimitFollower, LimitRow
from tests.unit.domain import Domain
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit

ADA, BOB = AccountId("ada"), AccountId("bob")
USUAL = LimitSettings()


async def test_changes_arrive_in_time_and_outlive_a_database_that_is_down(domain: Domain) -> None:
    limits, store = AccountLimits(USUAL), AccountLimitStore(domain.store)
    for name in (ADA, BOB):
        await domain.store.open_account(name)
    await store.change(ADA, {"rooms": 1}, 0)
    running = domain.spawn(LimitFollower(limits, domain.store, domain.clock).run())
    await settle()
    assert limits.of(ADA).rooms == 1
    domain.store.down = True
    await domain.clock.advance(2 * INTERVAL)
    assert limits.of(ADA).rooms == 1
    domain.store.down = False
    await store.change(ADA, {"rooms": None}, 0)
    await store.change(BOB, {"rooms": 2}, 0)
    await domain.clock.advance(INTERVAL)
    assert (limits.of(ADA), limits.of(BOB).rooms) == (USUAL, 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_restored_database_is_read_anew(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    limits, store = AccountLimits(USUAL), AccountLimitStore(domain.store)
    for name in (ADA, BOB):
        await domain.store.open_account(name)
        await store.change(name, {"rooms": 1}, 0)
    follower = LimitFollower(limits, domain.store, domain.clock)
    await follower.follow()

    async def restored(_: AccountLimitStore, after: int) -> tuple[int, list[LimitRow]]:
        rows = [LimitRow(ADA, {"rooms": 3}, 1)]
        return 1, [row for row in rows if row.revision > after]

    monkeypatch.setattr(AccountLimitStore, "changed", restored)
    await follower.follow()
    assert (limits.of(ADA).rooms, limits.of(BOB)) == (3, USUAL)


async def test_limits_of_a_newer_program_leave_the_account_as_it_was(domain: Domain) -> None:
    limits, store = AccountLimits(USUAL), AccountLimitStore(domain.store)
    for name in (ADA, BOB):
        await domain.store.open_account(name)
    await store.change(ADA, {"rooms": "as many as fit"}, 0)
    await store.change(BOB, {"rooms": 2}, 0)
    await LimitFollower(limits, domain.store, domain.clock).follow()
    assert (limits.of(ADA), limits.of(BOB).rooms) == (USUAL, 2)
