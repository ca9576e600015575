"""What Redis has of a room, for tests that take it away."""

from __future__ import annotations

from parlor.cache.keys import Keys
from parlor.model.ids import RoomId, home_of

EVERYTHING = ("room", "messages", "states", "events", "open")


def names(keys: Keys, room: RoomId, *kinds: str) -> list[str]:
    """The names of these keys; ``EVERYTHING`` has all kinds."""
    partition = home_of(room)
    return [str(getattr(keys, kind)(partition, room)) for kind in kinds]
