"""The index that messages are found by: filled from the writers' notes, exact about deletes, accounts and rooms."""

from __future__ import annotations

import asyncio

import pytest

from parlor.model.ids import MessageId, Partition, RoomId
from parlor.model.messages import MessageDoc, QueuePosition
from parlor.persistence.indexer import BATCH, SearchIndexer
from parlor.reading.terms import runs, wanted
from parlor.store.ports import Batch, ChatStore, Fence, MessageDelete, MessageSave, RowRefused, SearchNote
from parlor.store.search import SearchEntry, SearchStore
from tests.contract.store.fixtures import SHARD, StoreFixtures
from tests.unit.fake_clock import TickingClock

pytestmark = pytest.mark.contract


def indexer(fixtures: StoreFixtures) -> SearchIndexer:
    return SearchIndexer(SearchStore(fixtures.store), SHARD, lambda: [fixtures.partition], TickingClock())


def note(fixtures: StoreFixtures, room_id: RoomId, seq: int) -> SearchNote:
    return SearchNote(fixtures.partition, room_id, seq)


async def said(fixtures: StoreFixtures, *contents: str) -> tuple[RoomId, list[MessageDoc]]:
    """A room with these messages, which are noted."""
    docs = [fixtures.doc(content=content) for content in contents]
    room_id = fixtures.room_id()
    saves = [MessageSave(room_id, seq, doc) for seq, doc in enumerate(docs, 1)]
    notes = [note(fixtures, room_id, seq) for seq in range(1, len(docs) + 1)]
    await fixtures.apply(
        Batch([fixtures.fence()], room_creates=[fixtures.create(room_id)], message_saves=saves, search_notes=notes)
    )
    return room_id, docs


async def found(
    fixtures: StoreFixtures,
    query: str,
    *,
    key: int | None = None,
    room_id: RoomId | None = None,
    below: MessageId | None = None,
    limit: int = 10,
) -> list[str]:
    needed = wanted(runs(query), fixtures.key if key is None else key, room_id)
    rows = await SearchStore(fixtures.store).find(SHARD, needed, below=below, limit=limit)
    return [row.content for row in rows]


async def backlog(fixtures: StoreFixtures) -> int:
    return len(await SearchStore(fixtures.store).backlog(SHARD, [fixtures.partition], 1000))


@pytest.mark.parametrize(
    "query", ["tea", "EE", "green", "tea green", "g", "세계", "녕하", "하", "検索", "绿茶", "about the"]
)
async def test_what_was_noted_is_found(fixtures: StoreFixtures, query: str) -> None:
    text = "Green tea: 안녕하세요 세계 日本語の検索 我喜欢绿茶, about the Weather"
    await said(fixtures, text)
    assert await found(fixtures, query) == []
    assert await indexer(fixtures).index() == 1
    assert await found(fixtures, query) == [text]
    assert await found(fixtures, f"{query} coffee") == []
    assert await backlog(fixtures) == 0


async def test_the_newest_come_first_and_a_page_goes_on_below_the_last(fixtures: StoreFixtures) -> None:
    _, docs = await said(fixtures, "tea one", "tea two", "coffee", "tea three")
    await indexer(fixtures).index()
    assert await found(fixtures, "tea", limit=2) == ["tea three", "tea two"]
    assert await found(fixtures, "tea", below=docs[1].message_id) == ["tea one"]
    assert await found(fixtures, "tea", below=docs[0].message_id) == []


async def test_another_account_and_another_room_have_their_own(fixtures: StoreFixtures) -> None:
    one, _ = await said(fixtures, "tea one")
    two, _ = await said(fixtures, "tea two")
    await indexer(fixtures).index()
    assert await found(fixtures, "tea") == ["tea two", "tea one"]
    assert await found(fixtures, "tea", room_id=one) == ["tea one"]
    assert await found(fixtures, "tea", room_id=two) == ["tea two"]
    assert await found(fixtures, "tea", key=fixtures.key + 1) == []


async def test_a_deleted_message_is_not_found_before_the_index_follows_nor_after(
    fixtures: StoreFixtures, store: ChatStore
) -> None:
    room_id, docs = await said(fixtures, "secret tea", "other tea")
    await indexer(fixtures).index()
    delete = MessageDelete(room_id, 1, docs[0].message_id, 5000)
    await fixtures.apply(Batch([fixtures.fence()], message_deletes=[delete], search_notes=[note(fixtures, room_id, 1)]))
    assert await found(fixtures, "tea") == ["other tea"]
    assert await indexer(fixtures).index() == 1
    assert await found(fixtures, "tea") == ["other tea"]
    assert await backlog(fixtures) == 0


async def test_messages_of_a_deleted_room_are_not_found(fixtures: StoreFixtures) -> None:
    room_id, _ = await said(fixtures, "tea")
    await indexer(fixtures).index()
    await fixtures.write(room_deletes=[fixtures.delete_room(room_id)])
    assert await found(fixtures, "tea") == []


async def test_an_edited_message_is_found_by_what_it_says_now(fixtures: StoreFixtures) -> None:
    room_id, docs = await said(fixtures, "green tea")
    await indexer(fixtures).index()
    edited = fixtures.doc(docs[0].message_id, "black coffee", version=2)
    await fixtures.apply(
        Batch(
            [fixtures.fence()],
            message_saves=[MessageSave(room_id, 1, edited)],
            search_notes=[note(fixtures, room_id, 1)],
        )
    )
    await indexer(fixtures).index()
    assert (await found(fixtures, "tea"), await found(fixtures, "coffee")) == ([], ["black coffee"])


async def test_what_changes_while_it_is_read_is_read_again(fixtures: StoreFixtures) -> None:
    """An indexer that was slow keeps nothing of an older version, and does not take the newer one out."""
    room_id, docs = await said(fixtures, "green tea")
    search = SearchStore(fixtures.store)
    (read,) = await search.backlog(SHARD, [fixtures.partition], 10)
    edited = fixtures.doc(docs[0].message_id, "black coffee", version=2)
    await fixtures.apply(
        Batch(
            [fixtures.fence()],
            message_saves=[MessageSave(room_id, 1, edited)],
            search_notes=[note(fixtures, room_id, 1)],
        )
    )
    slow = SearchEntry(fixtures.partition, room_id, 1, read.mark, read.version or 0, "account00000001 slowtoken")
    await search.save(SHARD, [slow])
    assert await search.find(SHARD, ["slowtoken"], below=None, limit=10) == []
    assert await backlog(fixtures) == 1
    await indexer(fixtures).index()
    await search.save(SHARD, [slow])
    assert await search.find(SHARD, ["slowtoken"], below=None, limit=10) == []
    assert await found(fixtures, "coffee") == ["black coffee"]


async def test_two_indexers_do_the_same_work_twice_and_no_harm(fixtures: StoreFixtures) -> None:
    await said(fixtures, *(f"tea {n}" for n in range(20)))
    await asyncio.gather(*(indexer(fixtures).index() for _ in range(3)))
    assert len(await found(fixtures, "tea", limit=100)) == 20
    assert await backlog(fixtures) == 0


async def test_a_refused_batch_notes_nothing(fixtures: StoreFixtures) -> None:
    room_id = fixtures.room_id()
    bad = Batch([fixtures.fence()], search_notes=[SearchNote(fixtures.partition, room_id, 2**63)])
    with pytest.raises(RowRefused):
        await fixtures.store.apply(SHARD, bad)
    fence = Fence(fixtures.partition, fixtures.epoch - 1, QueuePosition(fixtures.incarnation, 1))
    stale = Batch([fence], search_notes=[note(fixtures, room_id, 1)])
    assert await fixtures.store.apply(SHARD, stale) == [fixtures.partition]
    assert await backlog(fixtures) == 0


async def test_a_long_backlog_is_taken_in_pieces(fixtures: StoreFixtures) -> None:
    await said(fixtures, *(f"tea {n}" for n in range(BATCH + 5)))
    behind = indexer(fixtures)
    assert [await behind.index() for _ in range(3)] == [BATCH, 5, 0]
    assert len(await found(fixtures, "tea", limit=1000)) == BATCH + 5


async def test_only_the_partitions_that_are_held_are_read(fixtures: StoreFixtures, store: ChatStore) -> None:
    await said(fixtures, "tea")
    search = SearchStore(store)
    assert await search.backlog(SHARD, [], 10) == []
    assert await search.backlog(SHARD, [Partition(fixtures.partition + 2000)], 10) == []
    assert len(await search.backlog(SHARD, [Partition(fixtures.partition + 2000), fixtures.partition], 10)) == 1
