"""Limits of single accounts, as every store keeps them."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from parlor.model.ids import AccountId
from parlor.store.access import AccessStore
from parlor.store.account_limits import AccountLimitStore, LimitRow
from parlor.store.deletions import DeletionStore
from parlor.store.ports import ChatStore

pytestmark = pytest.mark.contract

NOW = 1_795_403_885_042


async def opened(store: ChatStore) -> AccountId:
    name = AccountId(f"Ädä {uuid4()}")
    await store.open_account(name)
    return name


async def test_a_change_leaves_the_other_limits(store: ChatStore) -> None:
    limits, name = AccountLimitStore(store), await opened(store)
    assert await limits.find(name) == {}
    assert await limits.change(name, {"rooms": 5, "streams": "off", "cost_per_day": None}, NOW) == {
        "rooms": 5,
        "streams": "off",
    }
    both = {"cost_per_day": 0.25, "streams": "off", "tokens_per_day": 10**12}
    assert await limits.change(name, {"cost_per_day": 0.25, "rooms": None, "tokens_per_day": 10**12}, NOW) == both
    assert await limits.find(name) == both
    assert await limits.find(AccountId(name.lower())) == {}


async def test_changes_come_in_their_order_and_the_last_one_counts(store: ChatStore) -> None:
    limits, names = AccountLimitStore(store), [await opened(store) for _ in range(3)]
    before, _ = await limits.changed(2**62)
    for number, name in enumerate([*names, names[0]]):
        await limits.change(name, {"rooms": 1 + number}, NOW)
    head, rows = await limits.changed(before)
    assert head == before + 4
    assert rows == [
        LimitRow(names[1], {"rooms": 2}, before + 2),
        LimitRow(names[2], {"rooms": 3}, before + 3),
        LimitRow(names[0], {"rooms": 4}, before + 4),
    ]
    assert await limits.changed(head) == (head, [])
    told = (await AccessStore(store).changes(before)).changes
    assert [change.kind for change in told] == ["account-limits"] * 4


async def test_of_changes_at_a_time_none_is_lost(store: ChatStore) -> None:
    limits, name = AccountLimitStore(store), await opened(store)
    names = ("rooms", "streams", "files", "versions")
    await asyncio.gather(*(limits.change(name, {each: 5}, NOW) for each in names))
    assert await limits.find(name) == dict.fromkeys(names, 5)


async def test_an_account_that_is_not_there_or_was_deleted_gets_no_limits(store: ChatStore) -> None:
    limits, name, before = AccountLimitStore(store), await opened(store), await AccountLimitStore(store).changed(2**62)
    assert await limits.change(AccountId(f"{uuid4()}"), {"rooms": 5}, NOW) is None
    assert await limits.changed(2**62) == before
    await DeletionStore(store).begin(name, f"{uuid4()}", NOW)
    assert await limits.change(name, {"rooms": 5}, NOW) is None
    assert await limits.find(name) == {}
