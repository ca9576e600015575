"""The list of rooms, its order, its pages and its events."""

from __future__ import annotations

from functools import partial

import pytest

from tests.integration.shards import Shards
from tests.integration.sse import SseEvent
from tests.integration.user import Json, User, of, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


def _ids(rooms: list[Json]) -> list[str]:
    return [room["room_id"] for room in rooms]


async def test_pages_go_from_newest_to_oldest_activity_and_hold_each_room_once(user: User) -> None:
    made = [await user.create_room(f"Room {number}") for number in range(45)]
    # One that was quiet speaks up.
    await user.note(made[3], "back again")
    expected = [made[3], *(room for room in reversed(made) if room != made[3])]

    found: list[str] = []
    cursor, pages = None, 0
    while True:
        page = await user.get("/v1/rooms", **({"cursor": cursor} if cursor else {}))
        assert page["total_count"] == 45
        found += _ids(page["rooms"])
        pages += 1
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == 3
    assert found == expected
    assert _ids((await user.get("/v1/rooms", limit=100))["rooms"]) == expected
    assert (await user.get("/v1/rooms", limit=45))["next_cursor"] is None


async def test_an_account_without_rooms_has_an_empty_list_and_hears_of_its_first_one(user: User) -> None:
    page = await user.get("/v1/rooms")
    assert (page["rooms"], page["total_count"], page["next_cursor"]) == ([], 0, None)
    room = await user.create_room("First")
    async with user.events("/v1", after=page["events_cursor"]) as reader:
        event = await reader.next()
    assert event is not None
    assert (event.type, event.data["room"]["room_id"]) == ("room.created", room)


async def test_the_account_hears_of_its_rooms_and_of_nobody_elses(user: User, stranger: User) -> None:
    cursor = (await user.get("/v1/rooms"))["events_cursor"]
    async with user.events("/v1") as live:
        theirs = await stranger.create_room("Not yours")
        room = await user.create_room("Mine")
        await user.note(room, "hello")
        succeeded(await user.http.patch(of(room), json={"title": "Still mine"}), 200)
        seen = [event for event in [await live.next(), await live.next(), await live.next()] if event]
        async with user.events("/v1", after=cursor) as again:
            repeated = [await again.next(), await again.next(), await again.next()]
        succeeded(await user.http.delete(of(room)), 202)
        last = (await live.until("room.deleted"))[-1]

    assert [event.type for event in seen] == ["room.created", "room.updated", "room.updated"]
    assert {event.data["room"]["room_id"] for event in seen} == {room}
    assert [event.id for event in seen] == [event.id for event in repeated if event]
    assert last.data == {"room_id": room}
    assert theirs not in str(seen)
    # Who comes late hears that it is gone, and nothing else of it.
    async with user.events("/v1", after=cursor) as late:
        assert await late.next() == last


async def test_the_cursor_of_the_list_continues_it_without_gap(user: User, shards: Shards) -> None:
    room = await user.create_room("Before")
    await eventually(lambda: user.state(room), lambda found: found["state"] == "ACTIVE")
    page = await user.get("/v1/rooms")
    await user.note(room, "later")
    renamed = succeeded(await user.http.patch(of(room), json={"title": "After"}), 200)

    async with user.events("/v1", after=page["events_cursor"]) as reader:
        found: list[SseEvent] = [event for event in [await reader.next(), await reader.next()] if event]
    assert [event.type for event in found] == ["room.updated", "room.updated"]
    shown = found[-1].data["room"]
    assert (shown["room_id"], shown["title"]) == (room, "After")
    assert shown["last_message_at"] == renamed["last_message_at"] is not None
    await eventually(lambda: shards.room(room), lambda row: row is not None and row.title == "After")


async def test_a_rename_is_an_event_of_the_room_too(user: User) -> None:
    room = await user.create_room("One")
    async with user.events(of(room)) as reader:
        succeeded(await user.http.patch(of(room), json={"title": "Two"}), 200)
        event = await reader.next()
    assert event is not None
    assert (event.type, event.data["room"]["title"]) == ("room.updated", "Two")


async def test_deleted_rooms_leave_the_list_and_its_count(user: User) -> None:
    rooms = [await user.create_room(f"Room {number}") for number in range(3)]
    for room in rooms:
        await eventually(partial(user.state, room), lambda found: found["state"] == "ACTIVE")
    succeeded(await user.http.delete(of(rooms[1])), 202)

    page = await user.get("/v1/rooms")
    assert (_ids(page["rooms"]), page["total_count"]) == ([rooms[2], rooms[0]], 2)
