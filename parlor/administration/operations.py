"""The operations on accounts and dead letters, on the stores."""

from __future__ import annotations

from datetime import UTC, date

import structlog

from parlor.cache.dead_letters import DeadLetter
from parlor.cache.reads import CacheReader
from parlor.clock import Clock
from parlor.errors import AccountNotFound, CacheUnavailable, DeadLetterNotFound
from parlor.model.access import AccountRow, Deletion, Standing
from parlor.model.administration import AccountReport
from parlor.model.ids import AccountId, IdMint
from parlor.persistence.dead_letters import DeadLetters
from parlor.reading.usage import daily_use
from parlor.settings.account_limits import AccountLimits
from parlor.store.access import AccessStore
from parlor.store.account_limits import AccountLimitStore, Changes
from parlor.store.accounts import AccountStore
from parlor.store.deletions import DeletionStore
from parlor.store.ports import ChatStore

KEYS_SHOWN = 1000
"""More API keys than an account may have."""
_log = structlog.get_logger(__name__)


class Operations:
    """See ``parlor.administration.ports.Administration``; the rest of it asks the actors."""

    def __init__(
        self,
        store: ChatStore,
        reader: CacheReader,
        dead_letters: DeadLetters,
        limits: AccountLimits,
        mint: IdMint,
        clock: Clock,
    ) -> None:
        self._store = store
        self._access = AccessStore(store)
        self._accounts = AccountStore(store)
        self._own_limits = AccountLimitStore(store)
        self._limits = limits
        self._deletions = DeletionStore(store)
        self._reader = reader
        self._mint = mint
        self._dead_letters = dead_letters
        self._clock = clock

    async def accounts(self, limit: int, after: int) -> list[AccountRow]:
        return await self._accounts.page(limit, after)

    async def account(self, account: AccountId, first: date, last: date) -> AccountReport:
        row = await self._found(account)
        shard, key = await self._store.shard_of(row.partition), row.account_db_key
        use = await daily_use(self._store, shard, key, first, last, UTC)
        api_keys = await self._access.api_keys(key, KEYS_SHOWN)
        deletion = await self._deletions.find(account) if row.standing is Standing.DELETED else None
        own = await self._own_limits.find(account)
        return AccountReport(row, await self._store.rooms_count(shard, key), len(api_keys), use, own, deletion)

    async def revoke(self, account: AccountId, not_before: int) -> None:
        await self._found(account)
        await self._access.revoke_account(account, not_before)
        await self._remember(await self._found(account))

    async def set_disabled(self, account: AccountId, disabled: bool) -> None:
        if (await self._found(account)).standing is Standing.DELETED:
            raise AccountNotFound
        wanted = Standing.DISABLED if disabled else Standing.ACTIVE
        row = await self._accounts.set_standing(account, wanted, self._clock.now_ms())
        if row is None or row.standing is not wanted:  # deleted meanwhile
            raise AccountNotFound
        await self._remember(row)

    async def set_limits(self, account: AccountId, changes: Changes) -> None:
        found = await self._own_limits.change(account, changes, self._clock.now_ms())
        if found is None:
            raise AccountNotFound
        self._limits.set(account, found)

    async def delete(self, account: AccountId) -> Deletion:
        deletion = await self._deletions.begin(account, self._mint.token(), self._clock.now_ms())
        if deletion is None:
            raise AccountNotFound
        await self._remember(await self._found(account))
        return deletion

    async def dead_letters(self, limit: int, after: str | None) -> list[DeadLetter]:
        return await self._dead_letters.page(limit, after)

    async def replay(self, dead_letter_id: str) -> None:
        if not await self._dead_letters.replay(await self._dead_letter(dead_letter_id)):
            raise DeadLetterNotFound

    async def drop(self, dead_letter_id: str) -> str:
        return (await self._dead_letters.drop(await self._dead_letter(dead_letter_id))).effect

    async def _found(self, account: AccountId) -> AccountRow:
        row = await self._accounts.find(account)
        if row is None:
            raise AccountNotFound
        return row

    async def _dead_letter(self, dead_letter_id: str) -> DeadLetter:
        found = await self._dead_letters.find(dead_letter_id)
        if found is None:
            raise DeadLetterNotFound
        return found

    async def _remember(self, row: AccountRow) -> None:
        """For replicas that ask Redis while the global database is away. It has the change already, and an account
        that comes in writes its row again: a Redis that does not answer now does not make the change fail."""
        try:
            await self._reader.remember_session(row)
        except CacheUnavailable as error:
            _log.warning("account_not_remembered", debug=error.debug)
