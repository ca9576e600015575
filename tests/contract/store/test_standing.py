"""Accounts that are disabled, as every store keeps them."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from msgspec import structs

from parlor.model.access import Standing
from parlor.model.ids import AccountId
from parlor.store.access import AccessStore
from parlor.store.accounts import AccountStore
from parlor.store.ports import ChatStore

pytestmark = pytest.mark.contract

NOW = 1_795_403_885_042


async def test_an_account_is_found_and_not_made(store: ChatStore) -> None:
    accounts, name = AccountStore(store), AccountId(f"Ädä {uuid4()}")
    assert await accounts.find(name) is None
    assert await accounts.set_standing(name, Standing.DISABLED, NOW) is None
    row = await store.open_account(name)
    assert await accounts.find(name) == row
    assert (row.standing, row.standing_at) == (Standing.ACTIVE, 0)
    assert await accounts.find(AccountId(name.lower())) is None


async def test_accounts_are_listed_in_pages(store: ChatStore) -> None:
    accounts = AccountStore(store)
    rows = [await store.open_account(AccountId(f"{uuid4()}")) for _ in range(3)]
    before = rows[0].account_db_key - 1
    assert await accounts.page(3, before) == rows
    assert await accounts.page(1, rows[1].account_db_key) == rows[2:]
    assert await accounts.page(10, rows[2].account_db_key) == []


async def test_a_change_of_standing_is_told_and_its_time_never_goes_back(store: ChatStore) -> None:
    accounts, access, name = AccountStore(store), AccessStore(store), AccountId(f"{uuid4()}")
    row, head = await store.open_account(name), (await access.changes(0)).head
    disabled = await accounts.set_standing(name, Standing.DISABLED, NOW)
    assert disabled == structs.replace(row, standing=Standing.DISABLED, standing_at=NOW)
    assert await accounts.set_standing(name, Standing.DISABLED, NOW + 5) == disabled, "it was disabled already"
    active = await accounts.set_standing(name, Standing.ACTIVE, NOW - 5)
    assert active == structs.replace(row, standing_at=NOW + 1)
    assert await store.open_account(name) == active
    told = [change for change in (await access.changes(head)).changes if change.subject == name]
    assert [(change.kind, change.changed_at) for change in told] == [
        ("account-disabled", NOW),
        ("account-active", NOW - 5),
    ]


async def test_of_changes_at_a_time_one_holds(store: ChatStore) -> None:
    accounts, name = AccountStore(store), AccountId(f"{uuid4()}")
    await store.open_account(name)
    standings = [Standing.DISABLED, Standing.ACTIVE] * 5
    found = await asyncio.gather(*(accounts.set_standing(name, standing, NOW) for standing in standings))
    last = await accounts.find(name)
    assert last == max((row for row in found if row is not None), key=lambda row: row.standing_at)
