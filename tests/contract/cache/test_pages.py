"""read_page: windows without holes, and a cursor of the same moment (P4)."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.reads import CachedPage
from parlor.errors import RoomNotFound
from parlor.model.states import MessageState
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures, plain
from tests.contract.cache.test_deletes import delete

pytestmark = pytest.mark.contract


def seqs(page: CachedPage) -> list[int]:
    return [row.seq for row in page.rows]


async def room_with(fixtures: CacheFixtures, count: int) -> RoomAddress:
    fixtures.live.twice = False
    address = await fixtures.claimed()
    await fixtures.sent(address, count)
    fixtures.live.twice = True
    return address


@pytest.mark.parametrize(
    ("after", "before", "limit", "expected"),
    [
        (None, None, 4, [7, 8, 9, 10]),
        (None, None, 10, list(range(1, 11))),
        (None, None, 200, list(range(1, 11))),
        (None, None, 1, [10]),
        (None, 5, 2, [3, 4]),
        (None, 5, 50, [1, 2, 3, 4]),
        (None, 2, 50, [1]),
        (None, 1, 50, []),
        (None, 0, 50, []),
        (None, 11, 2, [9, 10]),
        (None, 999, 2, [9, 10]),
        (0, None, 3, [1, 2, 3]),
        (3, None, 3, [4, 5, 6]),
        (8, None, 50, [9, 10]),
        (9, None, 1, [10]),
        (10, None, 50, []),
        (99, None, 50, []),
    ],
)
async def test_windows(
    fixtures: CacheFixtures, after: int | None, before: int | None, limit: int, expected: list[int]
) -> None:
    address = await room_with(fixtures, 10)
    page = await fixtures.page(address, after=after, before=before, limit=limit)
    assert seqs(page) == expected
    assert page.last_seq == 10
    assert all(row.doc is not None and row.state is MessageState.PENDING for row in page.rows)


async def test_paging_back_and_forth_meets_every_message_once(fixtures: CacheFixtures) -> None:
    address = await room_with(fixtures, 23)
    back: list[int] = []
    before: int | None = None
    while found := seqs(await fixtures.page(address, before=before, limit=5)):
        back, before = [*found, *back], found[0]
    forth: list[int] = []
    while found := seqs(await fixtures.page(address, after=forth[-1] if forth else 0, limit=5)):
        forth += found
    assert back == forth == list(range(1, 24))


async def test_an_empty_room_has_an_empty_page(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    page = await fixtures.page(address)
    assert (page.rows, page.last_seq, page.persisted_seq, page.account_id) == ([], 0, 0, "ada")


async def test_a_room_that_redis_does_not_have_has_no_page(fixtures: CacheFixtures) -> None:
    assert await fixtures.reader.page(fixtures.address().room_id, None, None, 10) is None


@pytest.mark.parametrize("stored", [False, True])
async def test_a_deleted_room_has_no_page_for_anybody(fixtures: CacheFixtures, stored: bool) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    if stored:
        await fixtures.stored(address)
    with pytest.raises(RoomNotFound):
        await fixtures.page(address)


async def test_a_page_says_where_the_cache_has_no_content(fixtures: CacheFixtures) -> None:
    address = await room_with(fixtures, 60)
    await fixtures.stored(address)
    page = await fixtures.page(address, limit=60)
    assert seqs(page) == list(range(1, 61))
    assert [row.seq for row in page.rows if row.doc is None] == list(range(1, 11))
    assert all(row.state is MessageState.SENT for row in page.rows)
    assert page.persisted_seq == 60


async def test_tombstones_keep_their_places(fixtures: CacheFixtures) -> None:
    address = await room_with(fixtures, 3)
    await delete(fixtures, address, 2)
    page = await fixtures.page(address)
    assert [(row.seq, row.state, row.doc.content if row.doc else None) for row in page.rows] == [
        (1, MessageState.PENDING, "Hello"),
        (2, MessageState.DELETED, ""),
        (3, MessageState.PENDING, "Hello"),
    ]


async def test_the_live_text_is_that_of_the_live_attempt(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    reply = await fixtures.start(address, turn)
    assert (await fixtures.page(address)).live.content == ""
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "old"))
    await fixtures.start(address, turn, attempt=2)
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 2, plain(0, "né"))
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 2, plain(2, "w"))
    page = await fixtures.page(address)
    assert (page.live_message, page.live_attempt, page.live.content) == (reply, 2, "néw")


async def test_page_and_later_events_make_up_the_whole_text_at_any_moment(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    reply = await fixtures.start(address, await fixtures.send(address, 0))
    pieces = ["a", "bc", "def", "g"]
    pages, offset = [await fixtures.page(address)], 0
    for piece in pieces:
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(offset, piece))
        offset += len(piece)
        pages.append(await fixtures.page(address))
    for page in pages:
        rest = [event[b"text"].decode() for event in await fixtures.events(address, page.cursor) if b"text" in event]
        assert page.live.content + "".join(rest) == "".join(pieces)


async def test_events_after_the_cursor_continue_the_page(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    page = await fixtures.page(address)
    assert await fixtures.events(address, page.cursor) == []
    await fixtures.send(address, 1, reply=False)
    await fixtures.send(address, 2, reply=False)
    later = await fixtures.events(address, page.cursor)
    assert [int(event[b"seq"]) for event in later] == [page.last_seq + 1, page.last_seq + 2]


async def test_reading_changes_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.start(address, await fixtures.send(address, 0))
    before = await fixtures.dump()
    await fixtures.page(address)
    await fixtures.reader.room(address.room_id)
    await fixtures.reader.room_log(address.room_id)
    await fixtures.reader.list_page(fixtures.partition, address.account_id, 10, None)
    assert await fixtures.dump() == before
