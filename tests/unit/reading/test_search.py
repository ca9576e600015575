"""Search through a writer's index, with what Redis knows better: acknowledged deletes and edits hold at once."""

from __future__ import annotations

import pytest

from parlor.errors import CacheUnavailable, InvalidRequest
from parlor.model.access import Session
from parlor.model.cursors import InvalidCursor
from parlor.model.ids import RoomId
from parlor.model.search import SearchPage
from parlor.persistence.indexer import SearchIndexer
from parlor.reading import search
from parlor.reading.search import MessageSearch
from parlor.rooms.room import Room
from parlor.store.search import SearchStore
from tests.unit.domain import HOME, SHARD, Domain

pytestmark = pytest.mark.unit


async def indexed(domain: Domain) -> None:
    """Everything that is queued is stored and read for the search."""
    await domain.write_all()
    indexer = SearchIndexer(SearchStore(domain.store), SHARD, lambda: [HOME], domain.clock)
    while await indexer.index():
        pass


async def page(
    domain: Domain,
    query: str,
    *,
    room_id: RoomId | None = None,
    limit: int = 20,
    cursor: str | None = None,
    session: Session | None = None,
) -> SearchPage:
    finder = MessageSearch(domain.reader, SearchStore(domain.store))
    asked = session or domain.ada
    return await finder.page(asked, query, room_id=room_id, limit=limit, cursor=cursor)


async def found(domain: Domain, query: str, **options: object) -> list[str]:
    return [result.snippet for result in (await page(domain, query, **options)).results]  # type: ignore[arg-type]


async def talk(domain: Domain, *contents: str) -> Room:
    room = domain.room(await domain.new_room())
    for content in contents:
        await domain.say(room, content)
        await domain.clock.advance(0.001)  # Ids of one millisecond have no order.
    await indexed(domain)
    return room


async def test_messages_are_found_newest_first_and_page_by_page(domain: Domain) -> None:
    await talk(domain, "tea one", "coffee", "tea two", "tea three")
    first = await page(domain, "TEA", limit=2)
    assert [it.snippet for it in first.results] == ["tea three", "tea two"]
    assert first.results[0].highlights == [(0, 3)]
    last = await page(domain, "TEA", limit=2, cursor=first.next_cursor)
    assert [it.snippet for it in last.results] == ["tea one"]
    assert last.next_cursor is None


async def test_a_page_that_ends_with_the_last_result_has_no_successor(domain: Domain) -> None:
    await talk(domain, "tea one", "tea two")
    assert (await page(domain, "tea", limit=2)).next_cursor is None


async def test_only_the_rooms_of_the_account_are_searched(domain: Domain) -> None:
    room = await talk(domain, "tea of ada")
    other = await talk(domain, "tea again")
    assert await found(domain, "tea", session=domain.session("bob")) == []
    assert await found(domain, "tea", room_id=room.room_id) == ["tea of ada"]
    assert await found(domain, "tea", room_id=other.room_id) == ["tea again"]


async def test_an_acknowledged_delete_holds_before_it_is_stored(domain: Domain) -> None:
    room = await talk(domain, "secret tea", "tea")
    message = (await domain.page(room.room_id)).messages[0]
    await domain.delete_message(room, message.message_id)
    assert await found(domain, "tea") == ["tea"]
    await indexed(domain)
    assert await found(domain, "tea") == ["tea"]


async def test_an_acknowledged_edit_holds_before_it_is_stored(domain: Domain) -> None:
    room = await talk(domain, "green tea")
    message = (await domain.page(room.room_id)).messages[-1]
    await domain.edit(room, message.message_id, "green coffee")
    assert await found(domain, "tea") == []
    assert await found(domain, "green") == ["green coffee"]
    await indexed(domain)
    assert await found(domain, "coffee") == ["green coffee"]


async def test_messages_of_a_room_that_is_being_deleted_are_not_shown(domain: Domain) -> None:
    room = await talk(domain, "tea")
    await domain.delete_room(room)
    assert await found(domain, "tea") == []


async def test_what_redis_has_forgotten_is_found_in_the_shard(domain: Domain) -> None:
    room = await talk(domain, "tea")
    await domain.forget_room(room.room_id)
    assert await found(domain, "tea") == ["tea"]


async def test_pairs_that_are_not_side_by_side_are_no_match_and_do_not_end_the_page(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "CANDIDATES", 2)
    await talk(domain, "teat eate", *["te ea"] * 5, "nothing")
    assert await found(domain, "tea") == ["teat eate"]
    monkeypatch.setattr(search, "ROUNDS", 2)
    cut = await page(domain, "tea")
    assert cut.results == []
    assert cut.next_cursor is not None
    assert await found(domain, "tea", cursor=cut.next_cursor) == ["teat eate"]


@pytest.mark.parametrize("query", [" ", "...", "\u200b"])
async def test_a_query_of_nothing_is_refused(domain: Domain, query: str) -> None:
    with pytest.raises(InvalidRequest):
        await page(domain, query)


async def test_a_cursor_that_is_none_of_ours_is_refused(domain: Domain) -> None:
    with pytest.raises(InvalidCursor):
        await page(domain, "tea", cursor="zzz")


async def test_without_redis_nothing_is_shown_that_may_have_been_deleted(domain: Domain) -> None:
    await talk(domain, "tea")
    domain.server.connected = False
    with pytest.raises(CacheUnavailable):
        await page(domain, "tea")
