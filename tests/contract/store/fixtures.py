"""One partition with its writer's fence, and short ways to make rows and write them."""

from __future__ import annotations

from parlor.model.ids import AccountId, IdMint, MessageId, Partition, RoomId, ShardId
from parlor.model.messages import JsonObject, MessageDoc, MessageRow, QueuePosition, SenderType
from parlor.model.rooms import RoomRow
from parlor.store.ports import (
    Batch,
    ChatStore,
    Fence,
    MessageDelete,
    MessageSave,
    PartitionProgress,
    RoomCreate,
    RoomDelete,
    RoomTouch,
    VersionSave,
)
from tests.unit.fake_clock import SeededEntropy, TickingClock

PARTITIONS = 4096
SHARD = ShardId(1)


class StoreFixtures:
    """Writes as one writer does; ``number`` is the last queue entry of its partition."""

    def __init__(self, store: ChatStore, partition: Partition, held: PartitionProgress) -> None:
        self.store = store
        self.partition = partition
        self.account = AccountId(f"account-{partition}")
        self.key = 10_000 + partition
        self.epoch = held.epoch
        self.incarnation = held.incarnation
        self.number = 0
        self._mint = IdMint(TickingClock(), SeededEntropy(partition))

    @classmethod
    async def make(cls, store: ChatStore, number: int) -> StoreFixtures:
        partition = Partition(2 * number)  # those of shard 1
        await store.open_partition(SHARD, partition)
        return cls(store, partition, await store.acquire_partition(SHARD, partition))

    def room_id(self) -> RoomId:
        return self._mint.room_id(self.partition)

    def message_id(self) -> MessageId:
        return self._mint.message_id(self.partition)

    def fence(self, step: int = 1) -> Fence:
        return Fence(self.partition, self.epoch, QueuePosition(self.incarnation, self.number + step))

    def create(self, room_id: RoomId, *, title: str = "A room", created_at: int = 1000) -> RoomCreate:
        return RoomCreate(room_id, self.partition, self.account, self.key, title, "GPT4O", created_at, 1)

    def delete_room(self, room_id: RoomId, *, deleted_at: int = 5000) -> RoomDelete:
        return RoomDelete(room_id, self.partition, self.account, self.key, deleted_at)

    def doc(
        self,
        message_id: MessageId | None = None,
        content: str = "Hello",
        *,
        version: int = 1,
        metadata: JsonObject | None = None,
    ) -> MessageDoc:
        found = message_id or self.message_id()
        return MessageDoc(found, SenderType.USER, content, 2000, version=version, metadata=metadata or {})

    async def write(
        self,
        *,
        creates: list[RoomCreate] | None = None,
        saves: list[MessageSave] | None = None,
        versions: list[VersionSave] | None = None,
        touches: list[RoomTouch] | None = None,
        deletes: list[MessageDelete] | None = None,
        room_deletes: list[RoomDelete] | None = None,
    ) -> None:
        """One batch that has to be accepted."""
        batch = Batch(
            [self.fence()],
            room_creates=creates or [],
            message_saves=saves or [],
            version_saves=versions or [],
            room_touches=touches or [],
            message_deletes=deletes or [],
            room_deletes=room_deletes or [],
        )
        await self.apply(batch)

    async def apply(self, batch: Batch) -> None:
        assert await self.store.apply(SHARD, batch) == []
        self.number += 1

    async def room_with(self, *docs: MessageDoc) -> RoomId:
        """A room with these messages, seq 1, 2, 3, ..."""
        room_id = self.room_id()
        saves = [MessageSave(room_id, seq, doc) for seq, doc in enumerate(docs, 1)]
        await self.write(creates=[self.create(room_id)], saves=saves)
        return room_id

    async def room(self, room_id: RoomId) -> RoomRow | None:
        return await self.store.room_get(SHARD, room_id)

    async def messages(self, room_id: RoomId) -> list[MessageRow]:
        return await self.store.messages_get(SHARD, room_id, limit=1000, newest=False)

    async def versions(self, room_id: RoomId, seq: int = 1) -> list[MessageDoc]:
        return await self.store.versions_get(SHARD, room_id, seq, limit=1000)
