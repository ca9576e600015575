"""The accounts of the global database, as operators see them."""

from __future__ import annotations

from typing import Protocol

from parlor.model.access import AccountRow, Standing
from parlor.model.ids import AccountId
from parlor.store import rows
from parlor.store.ports import ChatStore


class Accounts(Protocol):
    """Raises ``StoreUnavailable`` throughout."""

    async def page(self, limit: int, after: int = 0) -> list[AccountRow]:
        """Returns accounts in the order in which they were first seen, from the one after the number ``after``."""

    async def find(self, account: AccountId) -> AccountRow | None:
        """Makes no account, unlike ``ChatStore.open_account``."""

    async def set_standing(self, account: AccountId, standing: Standing, now_ms: int) -> AccountRow | None:
        """Changes the standing of an account, and tells every replica; returns the row that holds now. A deleted
        account stays deleted."""


class AccountStore:
    """``Accounts`` in the global database."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def page(self, limit: int, after: int = 0) -> list[AccountRow]:
        found = await self._store.call_global_procedure("fp_accounts_get", (after, limit))
        return [rows.account_row(row) for row in found]

    async def find(self, account: AccountId) -> AccountRow | None:
        found = await self._store.call_global_procedure("fp_account_get", (account,))
        return rows.account_row(found[0]) if found else None

    async def set_standing(self, account: AccountId, standing: Standing, now_ms: int) -> AccountRow | None:
        args = (account, standing.value, now_ms)
        found = await self._store.call_global_procedure("fp_account_standing_set", args)
        return rows.account_row(found[0]) if found else None
