"""What changes a room without owning it: an operator's deletes and updates, and the state machine's smart delete.

Everything else that is written into a room carries its owner's claim and is refused without it (I3). These scripts take
no claim at all, so there is none to leave out; each says in its header why the owner need not be asked.
"""

from __future__ import annotations

from parlor.cache.live import Live, RoomAddress
from parlor.cache.rooms import accepted
from parlor.cache.states import DELETE_KEYS, Deleted, deletion, read_deleted
from parlor.model.messages import MessageDoc
from parlor.model.states import RoomState


class OperatorCache:
    """Raises ``CacheUnavailable``, ``PartitionUnknown`` and ``OutOfStep`` (Redis does not have the room) throughout."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def delete_message(
        self, address: RoomAddress, seq: int, doc: MessageDoc, *, stored: bool, by: str
    ) -> Deleted:
        """Harmless when repeated. Raises ``RoomNotFound``, ``MessageNotFound``."""
        answer = await self._live.attempt(
            "operator_delete_message",
            self._live.room_keys(address, *DELETE_KEYS),
            deletion(address, seq, doc, stored=stored, by=by),
        )
        return read_deleted(answer)

    async def delete_room(self, address: RoomAddress, by: str) -> None:
        """Harmless when repeated. Raises ``IllegalTransition``."""
        answer = await self._live.attempt(
            "operator_delete_room", self._live.room_keys(address, *DELETE_KEYS), {**_whose(address), "by": by}
        )
        accepted(answer, RoomState.DELETING)

    async def update_room(self, address: RoomAddress, title: str, persona: str, metadata: str = "") -> None:
        """Empty ``metadata`` leaves it. Harmless when repeated. Raises ``RoomNotFound``."""
        names = ("partition", "queue", "room", "messages", "states", "events", "account", "rooms", "account_events")
        await self._live.run(
            "operator_update_room",
            self._live.room_keys(address, *names),
            {**_whose(address), "title": title, "persona": persona, "metadata": metadata},
        )


def _whose(address: RoomAddress) -> dict[str, str | int | bytes]:
    return {"room": address.room_id, "owner": address.account_id, "db_key": address.account_db_key}
