"""The live store of rooms that are to be: whoever creates a room does not own it yet."""

from __future__ import annotations

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.live import ACCOUNT, Live, RoomAddress, key_of, or_empty
from parlor.cache.records import text
from parlor.errors import LimitReached
from parlor.model.ids import RoomId
from parlor.model.requests import Idempotency
from parlor.model.rooms import NewRoom


class Stored(msgspec.Struct, frozen=True):
    """What the shard knows that a creation has to know."""

    rooms: int = 0
    """How many the account has."""
    room_id: str = ""
    """The one with the external id; empty for none."""
    incarnation: int = 0
    """The partition's, from before the shard was asked."""


NOTHING_STORED = Stored()


class CreationCache:
    """Creates rooms."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def create(
        self,
        address: RoomAddress,
        new: NewRoom,
        by: str,
        idempotency: Idempotency | None = None,
        *,
        stored: Stored | None = NOTHING_STORED,
    ) -> RoomId | None:
        """Returns the room's id, which is another one when the idempotency key or the external id was known. With
        ``stored`` None, returns None when Redis does not know enough; the shard then has to be asked. Raises
        ``PartitionUnknown``, ``Overloaded``, ``IdempotencyMismatch``, ``LimitReached``, ``RoomNotFound`` (it was
        deleted), and ``OutOfStep`` when what the shard said may be out of date."""
        live = self._live
        keys = live.room_keys(address, "partition", "queue", "room", "messages", "states", *ACCOUNT)
        keys["idempotency"] = live.keys.creation(address.partition, address.account_id, key_of(idempotency))
        limit = live.limits.of(address.account_id).rooms
        answer = await live.attempt(
            "create_room",
            keys,
            {
                "room": address.room_id,
                "owner": address.account_id,
                "db_key": address.account_db_key,
                "title": new.title,
                "persona": new.persona,
                "external": new.external_id,
                "metadata": new.metadata,
                "instead_of": new.instead_of,
                "by": by,
                **live.repeatable(idempotency),
                "backlog_limit": live.queue.backlog_limit,
                "rooms_limit": or_empty(limit),
                "stored": or_empty(stored.rooms if stored else None),
                "stored_room": stored.room_id if stored else "",
                "incarnation": stored.incarnation if stored else "",
            },
        )
        if answer[0] == Code.MISSING:
            return None
        if answer[0] == Code.LIMIT:
            raise LimitReached(f"The account has {limit} rooms; more are not allowed")
        if answer[0] < 0:
            raise refusal(answer[0])
        return RoomId(text(answer[1]))
