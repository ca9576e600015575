"""An account's rooms: order, pages, and what is not shown."""

from __future__ import annotations

import base64

import pytest

from parlor.errors import InvalidRequest, RoomNotFound, StoreUnavailable
from parlor.ids import RoomId
from parlor.model import RoomPage
from parlor.states import RoomState
from tests.unit.rig import HOME, NEIGHBOUR, Rig

pytestmark = pytest.mark.unit


async def rooms_of(rig: Rig, count: int) -> list[RoomId]:
    """Rooms made one after the other, the newest first."""
    made = []
    for number in range(count):
        await rig.clock.advance(1)
        made.append(await rig.new_room(title=f"room {number}"))
    return made[::-1]


def ids(page: RoomPage) -> list[RoomId]:
    return [room.room_id for room in page.rooms]


async def every_page(rig: Rig, limit: int) -> list[RoomId]:
    found: list[RoomId] = []
    cursor: str | None = None
    while True:
        page = await rig.directory.page(rig.ada, limit, cursor)
        found += ids(page)
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_the_newest_activity_comes_first(rig: Rig) -> None:
    newest, middle, oldest = await rooms_of(rig, 3)
    assert ids(await rig.directory.page(rig.ada, 10, None)) == [newest, middle, oldest]
    await rig.clock.advance(1)
    await rig.say(rig.room(oldest))
    page = await rig.directory.page(rig.ada, 10, None)
    assert ids(page) == [oldest, newest, middle]
    assert (page.total_count, page.next_cursor) == (3, None)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 20])
@pytest.mark.parametrize("source", ["cache", "filled", "shard"])
async def test_pages_have_every_room_once(rig: Rig, limit: int, source: str) -> None:
    rooms = await rooms_of(rig, 7)
    await rig.write_all()
    if source == "filled":
        await rig.redis.flushall()
    rig.server.connected = source != "shard"
    assert await every_page(rig, limit) == rooms
    first = await rig.directory.page(rig.ada, limit, None)
    assert first.total_count == 7


@pytest.mark.parametrize("source", ["cache", "filled", "shard"])
async def test_rooms_of_one_moment_are_told_apart(rig: Rig, source: str) -> None:
    rooms = sorted([await rig.new_room() for _ in range(6)], reverse=True)
    await rig.write_all()
    if source == "filled":
        await rig.redis.flushall()
    rig.server.connected = source != "shard"
    assert await every_page(rig, 2) == rooms


async def test_a_list_is_filled_from_the_shard_in_pieces(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.room_list.FILL_PAGE", 2)
    rooms = await rooms_of(rig, 5)
    await rig.write_all()
    await rig.redis.flushall()
    assert ids(await rig.directory.page(rig.ada, 10, None)) == rooms
    rig.store.calls.clear()
    assert ids(await rig.directory.page(rig.ada, 10, None)) == rooms
    assert "fp_chat_rooms_get" not in rig.store.calls


async def test_a_new_room_does_not_hide_the_old_ones(rig: Rig) -> None:
    """A list that expired is not complete again because a room was put into it."""
    rooms = await rooms_of(rig, 3)
    await rig.write_all()
    await rig.redis.delete(rig.live.keys.rooms(HOME, rig.ada.account_id))
    await rig.clock.advance(1)
    new = await rig.new_room()
    assert ids(await rig.directory.page(rig.ada, 10, None)) == [new, *rooms]


async def test_a_deleted_room_is_not_shown_from_the_first_moment(rig: Rig) -> None:
    first, second = await rooms_of(rig, 2)
    await rig.delete_room(rig.room(first))
    page = await rig.directory.page(rig.ada, 10, None)
    assert (ids(page), page.total_count) == ([second], 1)
    with pytest.raises(RoomNotFound):
        await rig.directory.room(first, rig.ada.account_id)
    await rig.write_all()
    assert ids(await rig.directory.page(rig.ada, 10, None)) == [second]
    rig.server.connected = False
    assert ids(await rig.directory.page(rig.ada, 10, None)) == [second]


async def test_a_room_on_its_way_out_does_not_come_back_with_a_filled_list(rig: Rig) -> None:
    first, second = await rooms_of(rig, 2)
    await rig.write_all()
    await rig.delete_room(rig.room(first))
    await rig.redis.delete(rig.live.keys.rooms(HOME, rig.ada.account_id))
    page = await rig.directory.page(rig.ada, 10, None)
    assert (ids(page), page.total_count) == ([second], 1)


async def test_an_account_without_rooms_has_an_empty_list(rig: Rig) -> None:
    await rig.new_room()
    page = await rig.directory.page(rig.session("nobody"), 10, None)
    assert (page.rooms, page.total_count, page.next_cursor) == ([], 0, None)
    rig.server.connected = False
    page = await rig.directory.page(rig.session("nobody"), 10, None)
    assert (page.rooms, page.total_count) == ([], 0)


async def test_accounts_do_not_see_each_others_rooms(rig: Rig) -> None:
    (mine,) = await rooms_of(rig, 1)
    eve = rig.session("eve")
    hers = await rig.new_room(eve)
    elsewhere = rig.session("ada", NEIGHBOUR)
    await rig.new_room(elsewhere)
    assert ids(await rig.directory.page(rig.ada, 10, None)) == [mine]
    assert ids(await rig.directory.page(eve, 10, None)) == [hers]
    with pytest.raises(RoomNotFound):
        await rig.directory.room(mine, eve.account_id)
    await rig.write_all()
    rig.server.connected = False
    with pytest.raises(RoomNotFound):
        await rig.directory.room(mine, eve.account_id)


async def test_the_lists_cursor_is_the_place_in_the_accounts_events(rig: Rig) -> None:
    await rooms_of(rig, 2)
    page = await rig.directory.page(rig.ada, 1, None)
    stream = rig.live.keys.account_events(HOME, rig.ada.account_id)
    assert await rig.log.entries(stream, page.events_cursor) == []
    new = await rig.new_room()
    (entry,) = await rig.log.entries(stream, page.events_cursor)
    assert entry[1][b"room"].decode() == new


async def test_a_room_is_found_in_the_shard_when_redis_is_down(rig: Rig) -> None:
    (room_id,) = await rooms_of(rig, 1)
    await rig.say(rig.room(room_id))
    await rig.write_all()
    cached = await rig.directory.room(room_id, rig.ada.account_id)
    rig.server.connected = False
    stored = await rig.directory.room(room_id, rig.ada.account_id)
    assert stored == cached
    assert (stored.state, stored.title, stored.message_count) == (RoomState.ACTIVE, "room 0", 1)
    rig.store.down = True
    with pytest.raises(StoreUnavailable):
        await rig.directory.room(room_id, rig.ada.account_id)


@pytest.mark.parametrize(
    "plain", [b"", b"no", b"12:not-a-room", b"x:01a20669-29c8-8000-a46d-d6122265b1f5", b"\xff\xfe", b"1:2:3"]
)
async def test_a_cursor_that_is_none_is_refused(rig: Rig, plain: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await rig.directory.page(rig.ada, 10, base64.urlsafe_b64encode(plain).decode() or "=")


async def test_a_cursor_with_foreign_characters_is_refused(rig: Rig) -> None:
    for cursor in ("ümlaut", "a b", "===="):
        with pytest.raises(InvalidRequest):
            await rig.directory.page(rig.ada, 10, cursor)
