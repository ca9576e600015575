"""What a search finds."""

from __future__ import annotations

import msgspec

from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import SenderType


class SearchResult(msgspec.Struct, frozen=True):
    room_id: RoomId
    message_id: MessageId
    seq: int
    sender_type: SenderType
    timestamp: int
    snippet: str
    """The part of the message around the first match, on one line."""
    highlights: list[tuple[int, int]]
    """The matches in the snippet: from, to (exclusive), in characters (code points); ascending, without overlaps."""


class SearchPage(msgspec.Struct, frozen=True):
    results: list[SearchResult]
    """Newest first."""
    next_cursor: MessageId | None
    """None: there are no more."""
