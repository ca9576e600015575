"""Whether Redis and the databases belong to one installation, and have not gone back behind each other (I21)."""

from __future__ import annotations

import asyncio

import msgspec

from parlor.cache.audit import AuditCache, PartitionSnapshot
from parlor.cache.codes import FOREIGN
from parlor.cache.live import NOTHING_APPLIED, Live
from parlor.errors import ForeignCache, ShardBehind
from parlor.model.ids import InstallationId, Partition, ShardId
from parlor.model.messages import QueuePosition
from parlor.store.ports import ChatStore

BEHIND = "The shard is older than what Redis knows of it"


class Standing(msgspec.Struct, frozen=True):
    """A partition, as Redis and its shard know it."""

    partition: Partition
    shard: ShardId
    cached: PartitionSnapshot
    incarnation: int
    """The shard's; 0: it does not know the partition."""
    applied: QueuePosition
    """The shard's watermark."""

    @property
    def behind(self) -> bool:
        """The shard has forgotten what Redis knows of it: a backup was restored, or other databases were given."""
        return self.cached.last.incarnation > self.incarnation or self.cached.applied > self.applied


class Survey(msgspec.Struct, frozen=True):
    """All partitions."""

    installation: InstallationId
    """The databases'."""
    standings: list[Standing]

    @property
    def foreign(self) -> list[Standing]:
        """Those that another installation has in Redis."""
        return [one for one in self.standings if one.cached.installation not in ("", self.installation)]

    @property
    def behind(self) -> list[Standing]:
        """Those of the others whose shard is behind."""
        foreign = {one.partition for one in self.foreign}
        return [one for one in self.standings if one.behind and one.partition not in foreign]

    def require_ours(self) -> None:
        """Raises ``ForeignCache``."""
        if self.foreign:
            raise ForeignCache(FOREIGN, debug=f"{self.foreign[0].cached.installation}, not {self.installation}")

    def require_one(self) -> None:
        """Raises ``ForeignCache`` or ``ShardBehind`` unless all is this installation's, and no shard has gone back."""
        self.require_ours()
        if self.behind:
            one = self.behind[0]
            known = f"Redis knows {one.cached.last} and {one.cached.applied} as applied"
            raise ShardBehind(BEHIND, debug=f"partition {one.partition}: {known}, shard {one.shard} {one.applied}")


class Identity:
    """Raises ``CacheUnavailable`` and ``StoreUnavailable`` throughout."""

    def __init__(self, live: Live, audit: AuditCache, store: ChatStore) -> None:
        self._live = live
        self._audit = audit
        self._store = store

    async def survey(self) -> Survey:
        """Reads every partition, Redis first: its shard is further by then, or it has gone back."""
        homes = {p: shard for shard in self._store.shard_ids() for p in await self._store.partitions_of(shard)}
        cached = await asyncio.gather(*map(self._audit.partition, homes))
        stored = {row.partition: row for shard in self._store.shard_ids() for row in await self._store.progress(shard)}
        standings = []
        for (partition, shard), snapshot in zip(homes.items(), cached, strict=True):
            row = stored.get(partition)
            incarnation, applied = (row.incarnation, row.applied) if row else (0, NOTHING_APPLIED)
            standings.append(Standing(partition, shard, snapshot, incarnation, applied))
        return Survey(await self._store.installation(), sorted(standings, key=lambda one: one.partition))

    async def claim(self, survey: Survey | None = None) -> None:
        """Makes every partition in Redis this installation's. Raises ``ForeignCache`` and ``ShardBehind``, before
        anything is changed."""
        survey = survey or await self.survey()
        survey.require_one()
        first, *others = [one.partition for one in survey.standings]
        # Of two installations that begin with the same empty Redis, one gets the first partition, and with it all.
        await self._live.own_partition(first)
        await asyncio.gather(*map(self._live.own_partition, others))
