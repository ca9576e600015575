"""Bringing back into Redis what it does not have: partitions and rooms."""

from __future__ import annotations

from parlor.cache.live import Live, RoomAddress
from parlor.cache.reads import CacheReader
from parlor.cache.rooms import RoomCache
from parlor.errors import PartitionUnknown, RoomNotFound
from parlor.ids import Partition, RoomId, home_of
from parlor.store.ports import ChatStore


class Loader:
    """Raises ``StoreUnavailable`` and ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live, store: ChatStore) -> None:
        self._live = live
        self._store = store
        self._reader = CacheReader(live)
        self._rooms = RoomCache(live)

    async def open_partition(self, partition: Partition) -> None:
        """Makes a partition known to Redis, with an incarnation that is higher than any before (I7)."""
        if await self._reader.partition_known(partition):
            return
        shard = await self._store.shard_of(partition)
        progress = await self._store.open_partition(shard, partition)
        await self._live.init_partition(partition, progress.incarnation)

    async def load_room(self, room_id: RoomId) -> None:
        """Loads a room that Redis does not have, with the newest of its messages. Raises ``RoomNotFound``.

        Its last seq is the highest of what the shard has and what the queue still holds.
        """
        shard = await self._store.shard_of(home_of(room_id))
        # The queue before the shard: what leaves the one in between is in the other by then.
        queued = await self._reader.queue_tail(room_id)
        row = await self._store.room_get(shard, room_id)
        if row is None:
            raise RoomNotFound
        address = RoomAddress(room_id, row.account_id, row.account_db_key)
        tail = await self._store.messages_get(shard, room_id, limit=self._live.cache.messages_per_room, newest=True)
        last_seq = max(row.last_seq, queued)
        for _ in range(2):
            try:
                await self._rooms.load(address, row, tail, last_seq)
            except PartitionUnknown:
                await self.open_partition(address.partition)
            else:
                return
        raise PartitionUnknown
