"""Ids in request paths. A malformed id names nothing, so it is answered with 404, not 422."""

from __future__ import annotations

from parlor.errors import MessageNotFound, RoomNotFound
from parlor.ids import MessageId, RoomId, partition_of


def room_id_of(text: str) -> RoomId:
    """Raises ``RoomNotFound``."""
    if partition_of(text) is None:
        raise RoomNotFound
    return RoomId(text)


def message_id_of(text: str) -> MessageId:
    """Raises ``MessageNotFound``."""
    if partition_of(text) is None:
        raise MessageNotFound
    return MessageId(text)
