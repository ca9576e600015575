"""Calls of tools that wait for people, and what was approved once for its room, as the shards know them."""

from __future__ import annotations

from typing import NamedTuple, Protocol
from uuid import UUID

from parlor.errors import StoreUnavailable
from parlor.model.ids import MessageId, RoomId, ShardId
from parlor.store.ports import ChatStore


class WaitingReply(NamedTuple):
    """A reply that waits for people."""

    message_id: MessageId
    room_id: RoomId


class StoredCalls(Protocol):
    """Raises ``StoreUnavailable`` throughout."""

    async def waiting(
        self, shard: ShardId, account_db_key: int, *, start: MessageId | None, limit: int
    ) -> list[WaitingReply]:
        """Returns the account's replies that wait by their stored rows, oldest first; from ``start`` on."""

    async def approved(self, shard: ShardId, room_id: RoomId, digest: str) -> bool:
        """Returns whether the same call was approved once for this room."""


class CallStore:
    """``StoredCalls`` by stored procedures."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def waiting(
        self, shard: ShardId, account_db_key: int, *, start: MessageId | None, limit: int
    ) -> list[WaitingReply]:
        found = await self._store.call_newest(shard, "fp_waiting_replies_get", (account_db_key, start, limit))
        return [WaitingReply(MessageId(_id(message)), RoomId(_id(room))) for room, message in found]

    async def approved(self, shard: ShardId, room_id: RoomId, digest: str) -> bool:
        return bool(await self._store.call_newest(shard, "fp_approved_call_get", (room_id, digest)))


def _id(value: object) -> str:
    if not isinstance(value, bytes):
        raise StoreUnavailable(debug=f"an id is {type(value).__name__}")
    return str(UUID(bytes=value))
