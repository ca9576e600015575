"""Reading messages for the search: what the writer's transactions noted becomes entries of the index.

It works behind the writer, in its process, for the partitions that the writer holds. The backlog is in the shard and is
filled by the transactions themselves, so nothing is forgotten when a process ends; and two indexers of one partition
only do the same work twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from parlor.clock import Clock
from parlor.errors import ParlorError
from parlor.model.ids import Partition, ShardId
from parlor.reading.terms import tokens
from parlor.store.search import Search, SearchEntry, SearchText

_log = structlog.get_logger(__name__)

BATCH = 100
"""Messages that are read at a time: a reply may have 200,000 characters."""
PORTION = 1_000_000
"""Characters of tokens that are kept at a time, and one message more: a database takes no statement of any length."""
TURN = 10_000
"""Characters after which others have their turn: reading them takes milliseconds, and leases are to be kept."""
RETRY_SECONDS = 2.0
"""After a failure. With a batch of 3 s, an acknowledged message is found within 5 s."""


class SearchIndexer:
    """``held`` tells the partitions that its writer holds at this moment."""

    def __init__(self, search: Search, shard: ShardId, held: Callable[[], list[Partition]], clock: Clock) -> None:
        self._search = search
        self._shard = shard
        self._held = held
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Says that there may be something in the backlog."""
        self._woken.set()

    async def run(self) -> None:
        """Works until it is cancelled. A failure delays it; the backlog keeps what is to be done."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                while await self.index() == BATCH:
                    pass
            except ParlorError as error:
                _log.warning("search_not_indexed", shard=self._shard, code=error.code, debug=error.debug)
                await self._clock.sleep(RETRY_SECONDS)
                self._woken.set()

    async def index(self) -> int:
        """Takes up to ``BATCH`` messages out of the backlog; returns how many there were. Raises
        ``StoreUnavailable``."""
        texts = await self._search.backlog(self._shard, self._held(), BATCH)
        entries, read, written = list[SearchEntry](), 0, 0
        for text in texts:
            entries.append(_entry(text))
            read += len(text.content)
            written += len(entries[-1].tokens)
            if written >= PORTION:
                await self._search.save(self._shard, entries)
                entries, written = [], 0
            elif read >= TURN:
                read = 0
                await asyncio.sleep(0)
        if entries:
            await self._search.save(self._shard, entries)
        return len(texts)


def _entry(text: SearchText) -> SearchEntry:
    found = ""
    if text.content and text.account_db_key is not None:
        found = tokens(text.content, text.account_db_key, text.room_id)
    return SearchEntry(text.partition, text.room_id, text.seq, text.mark, text.version or 0, found)
