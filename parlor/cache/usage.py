"""Tokens that no message's end counts, on their way to the account's day in the shard."""

from __future__ import annotations

from parlor.cache.live import Live, RoomAddress
from parlor.model.messages import Usage


class UsageCache:
    """Raises ``CacheUnavailable``, ``OutOfStep`` (Redis does not have the room) and ``PartitionUnknown``."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def add(
        self,
        address: RoomAddress,
        purpose: str,
        call: str,
        usage: Usage,
        cost: int = 0,
        reply: str = "",
        attempt: int = 0,
    ) -> None:
        """Counts once for each ``call`` of a ``purpose``; the calls of one purpose come one after the other. ``reply``
        and ``attempt`` are those whose reservation it settles, unless whoever took the reply over has done so."""
        await self._live.run(
            "count_usage",
            self._live.room_keys(address, "partition", "queue", "room", "messages", "states", "account", "rooms"),
            {
                "room": address.room_id,
                "owner": address.account_id,
                "db_key": address.account_db_key,
                "purpose": purpose,
                "call": call,
                "message": reply,
                "attempt": attempt,
                "cost": cost,
                "input": usage.input_tokens,
                "output": usage.output_tokens,
            },
        )
