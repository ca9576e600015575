"""Calls of tools that wait for people, and what was approved once for its room, as the shards know them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.ids import MessageId, RoomId, ShardId
from parlor.store.ports import CallNote, ChatStore

PAGE = 1000
"""Rooms of one call of a check."""


class WaitingReply(NamedTuple):
    """A reply that waits for people."""

    message_id: MessageId
    room_id: RoomId


class NotedReply(NamedTuple):
    """A reply that is listed as one that waits."""

    message_id: MessageId
    account_db_key: int


class NotedCalls(msgspec.Struct):
    """What is noted of a room's calls."""

    waiting: dict[int, NotedReply] = {}
    """By seq."""
    approved: set[str] = set()
    """Digests."""


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


class CallNotes:
    """The notes themselves, for checks and their repairs. Raises ``StoreUnavailable`` throughout."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def of(self, shard: ShardId, rooms: Sequence[RoomId]) -> dict[RoomId, NotedCalls]:
        """Returns what is noted of these rooms; of a room without calls there is nothing."""
        found: dict[RoomId, NotedCalls] = {}
        args = (msgspec.json.encode(rooms).decode(),)
        for room, seq, message, account_db_key, digest in await self._store.call_newest(
            shard, "fp_room_calls_get", args
        ):
            noted = found.setdefault(RoomId(_id(room)), NotedCalls())
            if isinstance(digest, str):
                noted.approved.add(digest)
            elif isinstance(seq, int) and isinstance(account_db_key, int):
                noted.waiting[seq] = NotedReply(MessageId(_id(message)), account_db_key)
            else:
                raise StoreUnavailable(debug=f"a row of fp_room_calls_get is neither a reply nor a digest: {room!r}")
        return found

    async def rooms(self, shard: ShardId) -> AsyncIterator[RoomId]:
        """Every room of which there is something."""
        start: str | None = None
        while page := await self._store.call_newest(shard, "fp_call_rooms_scan", (start, PAGE)):
            for (room,) in page:
                yield RoomId(_id(room))
            start = str(UUID(int=UUID(_id(page[-1][0])).int + 1))

    async def note(self, shard: ShardId, note: CallNote) -> None:
        """As a writer does with the message: it counts while the row has this version."""
        await self._store.call_newest(shard, "fp_calls_note", (msgspec.json.encode([note]).decode(),))

    async def mend(self, shard: ShardId, room_id: RoomId) -> None:
        """Forgets what is noted of a room that is gone, or of messages that are not there."""
        await self._store.call_newest(shard, "fp_calls_mend", (room_id,))

    async def forget_approval(self, shard: ShardId, room_id: RoomId, digest: str) -> None:
        await self._store.call_newest(shard, "fp_approved_call_drop", (room_id, digest))


def _id(value: object) -> str:
    if not isinstance(value, bytes):
        raise StoreUnavailable(debug=f"an id is {type(value).__name__}")
    return str(UUID(bytes=value))
