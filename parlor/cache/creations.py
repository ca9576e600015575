"""The live store of rooms that are to be: whoever creates a room does not own it yet."""

from __future__ import annotations

from parlor.cache.codes import Code, refusal
from parlor.cache.live import ACCOUNT, Live, RoomAddress, key_of, or_empty
from parlor.cache.records import text
from parlor.errors import LimitReached
from parlor.model.ids import RoomId
from parlor.model.requests import Idempotency


class CreationCache:
    """Creates rooms."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def create(
        self,
        address: RoomAddress,
        title: str,
        persona: str,
        by: str,
        idempotency: Idempotency | None = None,
        *,
        stored: int | None = 0,
    ) -> RoomId | None:
        """Returns the room's id, which is another one when the idempotency key was known. With ``stored`` None, returns
        None when Redis does not know how many rooms the account has; the shard then has to be asked. Raises
        ``PartitionUnknown``, ``Overloaded``, ``IdempotencyMismatch``, ``LimitReached``, ``RoomNotFound`` (it was
        deleted)."""
        live = self._live
        keys = live.room_keys(address, "partition", "queue", "room", "messages", "states", *ACCOUNT)
        keys["idempotency"] = live.keys.creation(address.partition, address.account_id, key_of(idempotency))
        limit = live.limits.rooms
        answer = await live.attempt(
            "create_room",
            keys,
            {
                "room": address.room_id,
                "owner": address.account_id,
                "db_key": address.account_db_key,
                "title": title,
                "persona": persona,
                "by": by,
                **live.repeatable(idempotency),
                "backlog_limit": live.queue.backlog_limit,
                "rooms_limit": or_empty(limit),
                "stored": or_empty(stored),
            },
        )
        if answer[0] == Code.MISSING:
            return None
        if answer[0] == Code.LIMIT:
            raise LimitReached(f"The account has {limit} rooms; more are not allowed")
        if answer[0] < 0:
            raise refusal(answer[0])
        return RoomId(text(answer[1]))
