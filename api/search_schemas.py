"""Requests and responses of the search, as in ``api.schemas``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.fields import ListCursor, Timestamp, _Answer, _Body, _Query
from parlor.model.messages import SenderType


class SearchRequest(_Query):
    q: Annotated[str, Field(min_length=1, max_length=200)]
    """What to look for: words, or parts of them, in any language. A message has to have each of them; upper and lower
    case, blanks and punctuation make no difference."""
    room_id: str | None = None
    """Only in this room."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: ListCursor | None = None
    """`next_cursor` of the page before."""


class SearchResult(_Body):
    room_id: str
    message_id: str
    seq: int
    sender_type: SenderType
    timestamp: Timestamp
    snippet: str
    """The part of the message around the first match, on one line; `…` where it was cut."""
    highlights: list[tuple[int, int]]
    """The matches in the snippet: from, to (exclusive), in characters (Unicode code points)."""


class SearchResponse(_Answer):
    """Messages that were acknowledged in the last five seconds may be missing; deleted ones are never shown."""

    results: list[SearchResult]
    """Newest first. A page may have fewer than `limit` although there are more: `next_cursor` tells."""
    next_cursor: str | None
