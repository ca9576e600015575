"""Search over the messages of an account, newest first.

The shard's index finds candidates; what is shown is what Redis says now, where it knows the message: so an
acknowledged delete or edit holds at once, although the index follows a few seconds later (I20).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from parlor.cache.reads import CacheReader
from parlor.errors import InvalidRequest
from parlor.model.access import Session
from parlor.model.cursors import parse_message_cursor
from parlor.model.ids import RoomId
from parlor.model.search import SearchPage, SearchResult
from parlor.model.states import GONE, GONE_MESSAGES
from parlor.reading.terms import runs, snippet, wanted
from parlor.store.search import Search, SearchRow

CANDIDATES = 100
"""Messages that are looked at in one call of the shard."""
ROUNDS = 10
"""Calls for one page: a page of a query whose pairs are frequent, but not side by side, may have fewer results than
it could, and a cursor to go on from."""


class MessageSearch:
    """Finds messages in the rooms of one account, whatever the index has."""

    def __init__(self, reader: CacheReader, search: Search) -> None:
        self._reader = reader
        self._search = search

    async def page(
        self, session: Session, query: str, *, room_id: RoomId | None, limit: int, cursor: str | None
    ) -> SearchPage:
        """Returns messages of the account's rooms (or of one of them) that have every word of the query as a part,
        newest first. Raises ``InvalidRequest`` for a query of nothing but blanks and punctuation, ``InvalidCursor``,
        ``StoreUnavailable``, and ``CacheUnavailable`` rather than show what may have been deleted."""
        sought = runs(query)
        if not sought:
            raise InvalidRequest("The query has no letter, digit or sign to look for")
        needed = wanted(sought, session.account_db_key, room_id)
        below = None if cursor is None else parse_message_cursor(cursor)
        results: list[SearchResult] = []
        for _ in range(ROUNDS):
            rows = await self._search.find(session.home, needed, below=below, limit=CANDIDATES)
            for result, row in zip(await self._shown(session, rows, sought), rows, strict=True):
                if result is not None and len(results) == limit:
                    return SearchPage(results, below)
                if result is not None:
                    results.append(result)
                below = row.message_id
            if len(rows) < CANDIDATES:
                return SearchPage(results, None)
        return SearchPage(results, below)

    async def _shown(self, session: Session, rows: Sequence[SearchRow], sought: list[str]) -> list[SearchResult | None]:
        return list(await asyncio.gather(*(self._result(session, row, sought) for row in rows)))

    async def _result(self, session: Session, row: SearchRow, sought: list[str]) -> SearchResult | None:
        known = await self._reader.slot(row.room_id, row.seq)
        if known.room_state in GONE or known.state in GONE_MESSAGES:
            return None
        if known.account_id is not None and known.account_id != session.account_id:
            return None
        found = snippet(row.content if known.doc is None else known.doc.content, sought)
        if found is None:
            return None
        return SearchResult(
            row.room_id, row.message_id, row.seq, row.sender_type, row.timestamp, found.text, found.highlights
        )
