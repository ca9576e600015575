"""The index that messages are found by, in each shard: what is to be read, what is kept, and what is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.ids import MessageId, Partition, RoomId, ShardId
from parlor.model.messages import SenderType
from parlor.store.ports import ChatStore

_Row = TypeVar("_Row", bound=msgspec.Struct)


class SearchText(msgspec.Struct, frozen=True):
    """A message of the backlog: one that was saved, edited or deleted since it was read."""

    partition: Partition
    room_id: RoomId
    seq: int
    mark: int
    """Rises with each change; what was read at a lower mark stays in the backlog."""
    message_id: MessageId | None
    """None, like ``version`` and ``account_db_key``, when there is no such message."""
    version: int | None
    account_db_key: int | None
    content: str
    """Empty when the message or its room was deleted."""


class SearchEntry(msgspec.Struct, frozen=True):
    """What the index is to keep of a message."""

    partition: Partition
    room_id: RoomId
    seq: int
    mark: int
    version: int
    """The version that was read; another one is left alone."""
    tokens: str
    """Words of ASCII letters and digits between blanks; empty: the message is found no more."""


class SearchRow(msgspec.Struct, frozen=True):
    """A message that has all tokens."""

    room_id: RoomId
    seq: int
    message_id: MessageId
    sender_type: SenderType
    timestamp: int
    content: str


class Search(Protocol):
    """Raises ``StoreUnavailable`` throughout."""

    async def backlog(self, shard: ShardId, partitions: Sequence[Partition], limit: int) -> list[SearchText]:
        """Returns messages of these partitions that are to be read, in no order."""

    async def save(self, shard: ShardId, entries: Sequence[SearchEntry]) -> None:
        """Keeps entries and takes them out of the backlog, in one transaction."""

    async def find(
        self, shard: ShardId, wanted: Sequence[str], *, below: MessageId | None, limit: int
    ) -> list[SearchRow]:
        """Returns messages that have every token, newest first; of a token that ends in ``*``, one that begins so.
        ``below``: older ones than this. Deleted messages, and those of deleted rooms, are never among them."""


class SearchStore:
    """``Search`` by stored procedures."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def backlog(self, shard: ShardId, partitions: Sequence[Partition], limit: int) -> list[SearchText]:
        if not partitions:
            return []
        numbers = msgspec.json.encode(sorted(partitions)).decode()
        found = await self._store.call_newest(shard, "fp_search_backlog_get", (numbers, limit))
        return [_read(SearchText, row) for row in found]

    async def save(self, shard: ShardId, entries: Sequence[SearchEntry]) -> None:
        ordered = sorted(entries, key=lambda entry: (entry.room_id, entry.seq))
        await self._store.call_newest(shard, "fp_search_save", (msgspec.json.encode(ordered).decode(),))

    async def find(
        self, shard: ShardId, wanted: Sequence[str], *, below: MessageId | None, limit: int
    ) -> list[SearchRow]:
        query = " ".join(f"+{token}" for token in wanted)
        found = await self._store.call_newest(shard, "fp_search_find", (query, below, limit))
        return [_read(SearchRow, row) for row in found]


def _read(kind: type[_Row], row: tuple[object, ...]) -> _Row:
    try:
        values = [str(UUID(bytes=value)) if isinstance(value, bytes) else value for value in row]
        return msgspec.convert(dict(zip(kind.__struct_fields__, values, strict=True)), kind)
    except (msgspec.ValidationError, ValueError) as error:
        # Another program's table, or a newer one's: nothing that a caller could repair.
        raise StoreUnavailable(debug=f"a row does not fit {kind.__name__}: {error}") from error
