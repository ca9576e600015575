"""Reads every room of a shard, deleted ones too, for checks. Nothing here changes a row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.ids import AccountId, Partition, RoomId, ShardId
from parlor.store.ports import ChatStore

PAGE = 1000
"""Rooms of one call."""


class StoredRoom(msgspec.Struct, frozen=True):
    """The columns of a room that a check compares with Redis."""

    room_id: RoomId
    partition: Partition
    account_id: AccountId
    account_db_key: int
    title: str
    message_count: int
    version: int
    """The version of title and persona."""
    last_seq: int
    deleted: bool


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    room_id: bytes
    partition: Partition
    account_id: AccountId
    account_db_key: int
    title: str
    message_count: int
    version: int
    last_seq: int
    deleted_at: int | None


class StoreAudit:
    """Raises ``StoreUnavailable`` throughout."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def room(self, shard: ShardId, room_id: RoomId) -> StoredRoom | None:
        found = await self._scan(shard, room_id, 1)
        return found[0] if found and found[0].room_id == room_id else None

    async def rooms(self, shard: ShardId) -> AsyncIterator[StoredRoom]:
        """Every room of the shard, ascending; those that are made meanwhile may be missing."""
        start: str | None = None
        while page := await self._scan(shard, start, PAGE):
            for room in page:
                yield room
            if len(page) < PAGE:
                return
            start = str(UUID(int=UUID(page[-1].room_id).int + 1))

    async def _scan(self, shard: ShardId, start: str | None, limit: int) -> list[StoredRoom]:
        return [
            _room(row) for row in await self._store.call_shard_procedure(shard, "fp_chat_rooms_scan", (start, limit))
        ]


def _room(row: tuple[object, ...]) -> StoredRoom:
    try:
        found = msgspec.convert(row, _Columns)
    except msgspec.ValidationError as error:
        raise StoreUnavailable(debug=f"a row of fp_chat_rooms_scan does not fit: {error}") from error
    return StoredRoom(
        RoomId(str(UUID(bytes=found.room_id))),
        found.partition,
        found.account_id,
        found.account_db_key,
        found.title,
        found.message_count,
        found.version,
        found.last_seq,
        found.deleted_at is not None,
    )
