"""Replies that have not ended, as a shard knows them: a reply's slot has its row from when it was reserved."""

from __future__ import annotations

from uuid import UUID

from parlor.errors import StoreUnavailable
from parlor.model.ids import MessageId, RoomId, ShardId, first_made_at
from parlor.store.ports import ChatStore

PAGE = 1000
"""Replies of one call."""


class OpenReplies:
    """Raises ``StoreUnavailable``."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def rooms(self, shard: ShardId, since: int) -> set[RoomId]:
        """Returns the rooms of the shard that have a reply without an end whose turn was appended after ``since``, in
        unix milliseconds. One that was begun anew counts from when it was first reserved."""
        found: set[RoomId] = set()
        above: str = first_made_at(since)
        while page := await self._store.call_newest(shard, "fp_open_replies_get", (above, PAGE)):
            found |= {RoomId(_id(room)) for room, _ in page}
            above = MessageId(_id(page[-1][1]))
            if len(page) < PAGE:
                break
        return found


def _id(raw: object) -> str:
    if not isinstance(raw, bytes):
        raise StoreUnavailable(debug=f"an id is {type(raw).__name__}")
    return str(UUID(bytes=raw))
