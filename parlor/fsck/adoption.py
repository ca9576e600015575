"""Making Redis and the databases one installation again: after the restore of a backup, or when an installation is to
use a Redis that had another one ([ADR 0026](docs/adr/0026-one-installation.md)).

*Keeping* Redis is for databases of the same installation that have gone back. Both sides are kept: what waits in the
queues is applied to what the shards have, incarnations go on above all that Redis knows, and what Redis still has of
rooms and accounts, and the databases have forgotten, is put back. *Forgetting* is for everything else: nothing of
another installation's may be applied to these databases.
"""

from __future__ import annotations

import asyncio

import msgspec

from parlor.cache.contents import Contents, RedisContents
from parlor.cache.live import Live
from parlor.errors import CacheUnavailable
from parlor.fsck.check import Fsck, Report
from parlor.fsck.look import Scope
from parlor.model.access import AccountRow
from parlor.model.ids import AccountId
from parlor.reading.identity import Identity, Survey
from parlor.store.access import AccessStore
from parlor.store.accounts import AccountStore
from parlor.store.ports import ChatStore

AT_ONCE = 50
"""Accounts that are put back side by side."""


class Found(msgspec.Struct, frozen=True):
    """What there is to adopt."""

    survey: Survey
    contents: Contents

    @property
    def nameless(self) -> bool:
        """Redis has partitions that say nothing of their installation, and that the shards do not know: whose they are
        only people can tell."""
        return any(not one.cached.installation for one in self.survey.behind)


class Kept(msgspec.Struct, frozen=True):
    """What was done to keep both sides."""

    raised: int
    """Partitions whose shard was behind."""
    accounts: int
    """That Redis remembers; the database has them all now, but for strangers."""
    strangers: list[AccountId]
    """Accounts whose name or number is another's in the database: they were left alone, and somebody has to look."""
    report: Report
    """What Redis had and the shards lacked is queued again; what is left is in neither."""


class Adoption:
    """Raises ``CacheUnavailable`` and ``StoreUnavailable`` throughout."""

    def __init__(self, live: Live, contents: RedisContents, store: ChatStore, identity: Identity, fsck: Fsck) -> None:
        self._live = live
        self._contents = contents
        self._store = store
        self._identity = identity
        self._fsck = fsck

    async def look(self) -> Found:
        return Found(await self._identity.survey(), await self._contents.count())

    async def keep(self, found: Found) -> Kept:
        """Keeps what Redis and the databases have. Raises ``ForeignCache`` for another installation's Redis.

        Safe to repeat: what is done is not done again.
        """
        found.survey.require_ours()
        accounts, strangers = await self._restore_accounts()
        for one in found.survey.behind:
            # Above all that Redis knows: what waits there is below, and is applied first.
            above = one.cached.last.incarnation
            opened = await self._store.open_partition(one.shard, one.partition, above=above)
            await self._live.init_partition(one.partition, opened.incarnation, opened.applied)
        await self._identity.claim()
        report = await self._fsck.run(Scope(), repair=True)
        return Kept(len(found.survey.behind), accounts, strangers, report)

    async def forget(self) -> int:
        """Removes everything that Redis has under the prefix, and makes it this installation's; returns how many keys
        it had. Raises ``CacheUnavailable`` while a writer holds any of it."""
        if holders := (await self._contents.count()).holders:
            raise CacheUnavailable(f"It is in use: {', '.join(holders)}")
        count = await self._contents.forget()
        await self._identity.claim()
        return count

    async def _restore_accounts(self) -> tuple[int, list[AccountId]]:
        """Puts back those that Redis remembers, before anything else: one that came back by itself would be given
        another number, or its number another one."""
        known: set[AccountId] = set()
        strangers: list[AccountId] = []
        batch: list[AccountRow] = []

        async def flush() -> None:
            for row, done in zip(batch, await asyncio.gather(*map(self._restore, batch)), strict=True):
                if not done:
                    strangers.append(row.account_id)
            batch.clear()

        async for row in self._contents.accounts():
            if row.account_id not in known:
                known.add(row.account_id)
                batch.append(row)
            if len(batch) >= AT_ONCE:
                await flush()
        await flush()
        return len(known) - len(strangers), strangers

    async def _restore(self, row: AccountRow) -> bool:
        """Also what ended its tokens, and its standing; False when its name or number is another's."""
        done = await self._store.restore_account(row)
        if done and row.not_before:
            await AccessStore(self._store).revoke_account(row.account_id, row.not_before)
        if done and row.standing_at:
            await AccountStore(self._store).set_standing(row.account_id, row.standing, row.standing_at)
        return done
