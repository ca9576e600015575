"""An account's rooms: order, pages, and what is not shown."""

from __future__ import annotations

import base64

import pytest

from parlor.errors import InvalidRequest, RoomNotFound, StoreUnavailable
from parlor.model.ids import RoomId
from parlor.model.rooms import RoomPage
from parlor.model.states import RoomState
from tests.unit.domain import HOME, NEIGHBOUR, Domain

pytestmark = pytest.mark.unit


async def rooms_of(domain: Domain, count: int) -> list[RoomId]:
    """Makes rooms one after the other and returns their ids, newest first."""
    made = []
    for number in range(count):
        await domain.clock.advance(1)
        made.append(await domain.new_room(title=f"room {number}"))
    return made[::-1]


def ids(page: RoomPage) -> list[RoomId]:
    return [room.room_id for room in page.rooms]


async def every_page(domain: Domain, limit: int) -> list[RoomId]:
    found: list[RoomId] = []
    cursor: str | None = None
    while True:
        page = await domain.directory.page(domain.ada, limit, cursor)
        found += ids(page)
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_the_newest_activity_comes_first(domain: Domain) -> None:
    newest, middle, oldest = await rooms_of(domain, 3)
    assert ids(await domain.directory.page(domain.ada, 10, None)) == [newest, middle, oldest]
    await domain.clock.advance(1)
    await domain.say(domain.room(oldest))
    page = await domain.directory.page(domain.ada, 10, None)
    assert ids(page) == [oldest, newest, middle]
    assert (page.total_count, page.next_cursor) == (3, None)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 20])
@pytest.mark.parametrize("source", ["cache", "filled", "shard"])
async def test_pages_have_every_room_once(domain: Domain, limit: int, source: str) -> None:
    rooms = await rooms_of(domain, 7)
    await domain.write_all()
    if source == "filled":
        await domain.redis.flushall()
    domain.server.connected = source != "shard"
    assert await every_page(domain, limit) == rooms
    first = await domain.directory.page(domain.ada, limit, None)
    assert first.total_count == 7


@pytest.mark.parametrize("source", ["cache", "filled", "shard"])
async def test_rooms_of_one_moment_are_told_apart(domain: Domain, source: str) -> None:
    rooms = sorted([await domain.new_room() for _ in range(6)], reverse=True)
    await domain.write_all()
    if source == "filled":
        await domain.redis.flushall()
    domain.server.connected = source != "shard"
    assert await every_page(domain, 2) == rooms


async def test_a_list_is_filled_from_the_shard_in_pieces(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.reading.room_list.FILL_PAGE", 2)
    rooms = await rooms_of(domain, 5)
    await domain.write_all()
    await domain.redis.flushall()
    assert ids(await domain.directory.page(domain.ada, 10, None)) == rooms
    domain.store.calls.clear()
    assert ids(await domain.directory.page(domain.ada, 10, None)) == rooms
    assert "fp_chat_rooms_get" not in domain.store.calls


async def test_a_new_room_does_not_hide_the_old_ones(domain: Domain) -> None:
    """A list that expired does not count as complete again because a room is added to it."""
    rooms = await rooms_of(domain, 3)
    await domain.write_all()
    await domain.redis.delete(domain.live.keys.rooms(HOME, domain.ada.account_id))
    await domain.clock.advance(1)
    new = await domain.new_room()
    assert ids(await domain.directory.page(domain.ada, 10, None)) == [new, *rooms]


async def test_a_deleted_room_is_not_shown_from_the_first_moment(domain: Domain) -> None:
    first, second = await rooms_of(domain, 2)
    await domain.delete_room(domain.room(first))
    page = await domain.directory.page(domain.ada, 10, None)
    assert (ids(page), page.total_count) == ([second], 1)
    with pytest.raises(RoomNotFound):
        await domain.directory.room(first, domain.ada.account_id)
    await domain.write_all()
    assert ids(await domain.directory.page(domain.ada, 10, None)) == [second]
    domain.server.connected = False
    assert ids(await domain.directory.page(domain.ada, 10, None)) == [second]


async def test_a_room_on_its_way_out_does_not_come_back_with_a_filled_list(domain: Domain) -> None:
    first, second = await rooms_of(domain, 2)
    await domain.write_all()
    await domain.delete_room(domain.room(first))
    await domain.redis.delete(domain.live.keys.rooms(HOME, domain.ada.account_id))
    page = await domain.directory.page(domain.ada, 10, None)
    assert (ids(page), page.total_count) == ([second], 1)


async def test_an_account_without_rooms_has_an_empty_list(domain: Domain) -> None:
    await domain.new_room()
    page = await domain.directory.page(domain.session("nobody"), 10, None)
    assert (page.rooms, page.total_count, page.next_cursor) == ([], 0, None)
    domain.server.connected = False
    page = await domain.directory.page(domain.session("nobody"), 10, None)
    assert (page.rooms, page.total_count) == ([], 0)


async def test_accounts_do_not_see_each_others_rooms(domain: Domain) -> None:
    (mine,) = await rooms_of(domain, 1)
    eve = domain.session("eve")
    hers = await domain.new_room(eve)
    elsewhere = domain.session("ada", NEIGHBOUR)
    await domain.new_room(elsewhere)
    assert ids(await domain.directory.page(domain.ada, 10, None)) == [mine]
    assert ids(await domain.directory.page(eve, 10, None)) == [hers]
    with pytest.raises(RoomNotFound):
        await domain.directory.room(mine, eve.account_id)
    await domain.write_all()
    domain.server.connected = False
    with pytest.raises(RoomNotFound):
        await domain.directory.room(mine, eve.account_id)


async def test_the_lists_cursor_is_a_cursor_of_the_accounts_events(domain: Domain) -> None:
    await rooms_of(domain, 2)
    page = await domain.directory.page(domain.ada, 1, None)
    stream = domain.live.keys.account_events(HOME, domain.ada.account_id)
    assert await domain.log.entries(stream, page.events_cursor) == []
    new = await domain.new_room()
    (entry,) = await domain.log.entries(stream, page.events_cursor)
    assert entry[1][b"room"].decode() == new


async def test_a_room_is_found_in_the_shard_when_redis_is_down(domain: Domain) -> None:
    (room_id,) = await rooms_of(domain, 1)
    await domain.say(domain.room(room_id))
    await domain.write_all()
    cached = await domain.directory.room(room_id, domain.ada.account_id)
    domain.server.connected = False
    stored = await domain.directory.room(room_id, domain.ada.account_id)
    assert stored == cached
    assert (stored.state, stored.title, stored.message_count) == (RoomState.ACTIVE, "room 0", 1)
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await domain.directory.room(room_id, domain.ada.account_id)


@pytest.mark.parametrize(
    "plain", [b"", b"no", b"12:not-a-room", b"x:01a20669-29c8-8000-a46d-d6122265b1f5", b"\xff\xfe", b"1:2:3"]
)
async def test_a_cursor_that_is_none_is_refused(domain: Domain, plain: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await domain.directory.page(domain.ada, 10, base64.urlsafe_b64encode(plain).decode() or "=")


async def test_a_cursor_with_foreign_characters_is_refused(domain: Domain) -> None:
    for cursor in ("ümlaut", "a b", "===="):
        with pytest.raises(InvalidRequest):
            await domain.directory.page(domain.ada, 10, cursor)
