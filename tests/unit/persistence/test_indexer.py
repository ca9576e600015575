"""Reading for the search: however long the messages are, no save is longer than a database takes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from parlor.model.ids import MessageId, Partition, RoomId, ShardId
from parlor.persistence.indexer import PORTION, SearchIndexer
from parlor.store.search import SearchEntry, SearchRow, SearchText
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

SHARD, HOME = ShardId(1), Partition(0)
ROOM = RoomId("01a20669-29f2-8000-a46d-d6122265b1f5")
LONG = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
"""Each pair of its characters is another one: 180,000 characters of tokens."""


class RecordingSearch:
    def __init__(self, *contents: str) -> None:
        self._contents = contents
        self.saved: list[list[SearchEntry]] = []

    async def backlog(self, shard: ShardId, partitions: Sequence[Partition], limit: int) -> list[SearchText]:
        texts = enumerate(self._contents[:limit], start=1)
        return [SearchText(HOME, ROOM, seq, 1, MessageId(f"m{seq}"), 1, 1, content) for seq, content in texts]

    async def save(self, shard: ShardId, entries: Sequence[SearchEntry]) -> None:
        self.saved.append(list(entries))

    async def find(
        self, shard: ShardId, wanted: Sequence[str], *, below: MessageId | None, limit: int
    ) -> list[SearchRow]:
        raise NotImplementedError


async def test_long_messages_are_kept_in_portions() -> None:
    search = RecordingSearch(*[LONG] * 40)
    assert await SearchIndexer(search, SHARD, lambda: [HOME], FakeClock()).index() == 40
    assert [entry.seq for entries in search.saved for entry in entries] == list(range(1, 41))
    longest = max(len(entry.tokens) for entry in search.saved[0])
    assert all(sum(len(entry.tokens) for entry in entries) < PORTION + longest for entries in search.saved)


async def test_short_ones_are_kept_together_and_nothing_is_kept_of_nothing() -> None:
    search = RecordingSearch("tea", "", "coffee")
    assert await SearchIndexer(search, SHARD, lambda: [HOME], FakeClock()).index() == 3
    assert [[bool(entry.tokens) for entry in entries] for entries in search.saved] == [[True, False, True]]
    nothing = RecordingSearch()
    assert await SearchIndexer(nothing, SHARD, lambda: [HOME], FakeClock()).index() == 0
    assert nothing.saved == []
