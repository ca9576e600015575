"""Loading partitions and rooms into Redis when it does not have them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, timedelta

from msgspec import structs

from parlor.cache.budgets import BudgetCache, Sums, limits_of, standings_of
from parlor.cache.live import NOTHING_APPLIED, Live, RoomAddress
from parlor.cache.reads import CacheReader, QueueTail, later_tail
from parlor.cache.rooms import RoomCache
from parlor.errors import CacheUnavailable, OutOfStep, Overloaded, PartitionUnknown, RoomNotFound
from parlor.llm.title import first_words
from parlor.model.budgets import Budget, Payer, Period
from parlor.model.ids import Partition, RoomId, home_of
from parlor.model.messages import MessageRow, SenderType
from parlor.reading.usage import day_spans
from parlor.store.ports import ChatStore

LOAD_ATTEMPTS = 3
"""How often a room is read from its shard if Redis loses its data each time in between."""
COMMIT_PAUSE = 1.0
"""Seconds between attempts to load what was used, while some of it is on its way to the shard."""


class Loader:
    """Loads partitions and rooms. Every method raises ``StoreUnavailable`` and ``CacheUnavailable``."""

    def __init__(self, live: Live, store: ChatStore) -> None:
        self._live = live
        self._store = store
        self._reader = CacheReader(live)
        self._rooms = RoomCache(live)
        self._budgets = BudgetCache(live)

    async def open_partition(self, partition: Partition) -> None:
        """Opens a partition in Redis, with a higher incarnation than any before (I7)."""
        if await self._reader.incarnation(partition) is not None:
            return
        shard = await self._store.shard_of(partition)
        progress = await self._store.open_partition(shard, partition)
        await self._live.init_partition(partition, progress.incarnation, progress.applied)

    async def load_room(self, room_id: RoomId) -> None:
        """Loads a room that Redis does not have, with its newest messages. Raises ``RoomNotFound``.

        The last seq and the message count come from the shard or from the queue, whichever is further.
        """
        partition = home_of(room_id)
        for _ in range(LOAD_ATTEMPTS):
            await self.open_partition(partition)
            try:
                await self._load(room_id, partition)
            except (PartitionUnknown, OutOfStep):
                # Redis lost its data in the meantime, so what was read from the shard may be out of date.
                continue
            return
        raise PartitionUnknown

    async def load_budget(self, payer: Payer) -> None:
        """Loads what the account has used today and this month, unless Redis knows it or there is no limit."""
        if not any(limit is not None for limit in limits_of(self._live.limits.of(payer.account_id))):
            return
        for attempt in range(LOAD_ATTEMPTS):
            await self.open_partition(payer.partition)
            if await self._budgets.standings(payer) is not None:
                return
            with suppress(OutOfStep, PartitionUnknown):
                await self._load_budget(payer)
                return
            if attempt < LOAD_ATTEMPTS - 1:
                await self._live.clock.sleep(COMMIT_PAUSE)
        raise Overloaded("What the account has used is still being stored", retry_after=2.0)

    async def standings(self, payer: Payer) -> list[Budget]:
        """Returns where the account's budgets stand; without Redis, by what its shard has."""
        with suppress(CacheUnavailable):
            await self.load_budget(payer)
            if (found := await self._budgets.standings(payer)) is not None:
                return found
        period = Period.at(self._live.clock.now_ms())
        limits = self._live.limits.of(payer.account_id)
        return standings_of(limits, period, await self.used(payer, period), Sums(0, 0, 0, 0))

    async def used(self, payer: Payer, period: Period) -> Sums:
        """Returns what the account has used today and this month, by its shard."""
        shard = await self._store.shard_of(payer.partition)
        today = date(1970, 1, 1) + timedelta(days=period.day)
        days = await self._store.daily_use(shard, payer.account_db_key, day_spans(today.replace(day=1), today, UTC))
        of_today = [day for day in days if day.day == today.isoformat()]
        tokens, cost = (lambda day: day.input_tokens + day.output_tokens), (lambda day: day.cost)
        return Sums(sum(map(tokens, of_today)), sum(map(tokens, days)), sum(map(cost, of_today)), sum(map(cost, days)))

    async def _load_budget(self, payer: Payer) -> None:
        incarnation = await self._reader.incarnation(payer.partition)
        if incarnation is None:
            raise PartitionUnknown
        period = Period.at(self._live.clock.now_ms())
        shard = await self._store.shard_of(payer.partition)
        # Before the sums: what is committed by then is in them.
        progress = {row.partition: row.applied for row in await self._store.progress(shard)}
        applied = progress.get(payer.partition, NOTHING_APPLIED)
        await self._budgets.load(payer, period, await self.used(payer, period), incarnation, applied)

    async def _load(self, room_id: RoomId, partition: Partition) -> None:
        incarnation = await self._reader.incarnation(partition)
        if incarnation is None:
            raise PartitionUnknown
        shard = await self._store.shard_of(partition)
        # Read the queue before the shard: what leaves the queue in between is in the shard by then.
        queued = await self._reader.queue_tail(room_id)
        row = await self._store.room_get(shard, room_id)
        if row is None:
            raise RoomNotFound
        address = RoomAddress(room_id, row.account_id, row.account_db_key)
        tail = await self._store.messages_get(shard, room_id, limit=self._live.cache.messages_per_room, newest=True)
        now = later_tail(queued, QueueTail(row.last_seq, row.message_count))
        row = structs.replace(row, message_count=now.count)
        await self._rooms.load(address, row, tail, now.last_seq, incarnation, _quoted(row.title, tail))


def _quoted(title: str, tail: list[MessageRow]) -> int | None:
    """The seq of the first of these messages whose first words the title is: it goes with them, for the shard does not
    know whether somebody gave it, or whether it stands in for one (I10)."""
    said = (row for row in tail if title and row.doc.sender_type is SenderType.USER and not row.deleted)
    return next((row.seq for row in said if first_words(row.doc.content) == title), None)
