"""What Redis forgot is read from the shard: a history is never shorter because the cache was cold."""

from __future__ import annotations

from functools import partial

import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.model.ids import AccountId, RoomId, home_of
from tests.integration.room_keys import EVERYTHING, names
from tests.integration.shards import Shards
from tests.integration.user import User, of
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


async def _told(user: User, count: int) -> RoomId:
    room = RoomId(await user.create_room("Memory"))
    for number in range(1, count):
        await user.note(room, f"line {number}")
    await user.note(room, f"line {count}", persisted=True)
    await eventually(lambda: user.state(room), lambda found: found["state"] == "ACTIVE")
    return room


@pytest.mark.parametrize("lost", [EVERYTHING, ("messages",), ("states",), ("messages", "states")], ids="+".join)
async def test_history_is_whole_after_redis_lost_keys(
    user: User, redis: Redis, keys: Keys, lost: tuple[str, ...]
) -> None:
    room = await _told(user, 12)
    assert await redis.delete(*names(keys, room, *lost)) >= 1

    message = await user.note(room, "line 13")

    assert message["seq"] == 13
    history = await user.history(room)
    assert [(found["seq"], found["content"]) for found in history] == [(n, f"line {n}") for n in range(1, 14)]
    newest = await user.messages(room, limit=5)
    assert [found["seq"] for found in newest["messages"]] == [9, 10, 11, 12, 13]
    assert (await user.get(of(room)))["message_count"] == 13


async def test_a_cold_room_is_read_without_a_send(user: User, redis: Redis, keys: Keys) -> None:
    room = await _told(user, 5)
    await redis.delete(*names(keys, room, *EVERYTHING))

    assert (await user.get(of(room)))["title"] == "Memory"
    assert [found["content"] for found in await user.history(room)] == [f"line {n}" for n in range(1, 6)]


async def test_a_single_old_message_is_found_when_redis_has_forgotten_it(user: User, redis: Redis, keys: Keys) -> None:
    room = await _told(user, 3)
    first = (await user.history(room))[0]
    await redis.delete(*names(keys, room, *EVERYTHING))

    found = await user.message(room, first["message_id"])
    assert (found["content"], found["state"], found["durability"]) == ("line 1", "SENT", "persisted")
    assert (await user.state(room, first["message_id"]))["state"] == "SENT"


async def test_a_message_that_only_the_shard_has_can_be_deleted(
    user: User, redis: Redis, keys: Keys, shards: Shards
) -> None:
    room = await _told(user, 3)
    first = (await user.history(room))[0]
    await redis.delete(*names(keys, room, *EVERYTHING))

    assert (await user.delete_message(room, first["message_id"]))["outcome"] == "deleting"
    await eventually(lambda: shards.messages(room), lambda rows: rows[0].deleted and rows[0].content == "")
    assert [found["content"] for found in await user.history(room)] == ["", "line 2", "line 3"]


async def test_the_list_of_rooms_is_whole_after_redis_lost_it(user: User, redis: Redis, keys: Keys) -> None:
    rooms = [RoomId(await user.create_room(f"Room {number}")) for number in range(4)]
    for room in rooms:
        await eventually(partial(user.state, room), lambda found: found["state"] == "ACTIVE")
    partition, account = home_of(rooms[0]), AccountId(user.account)
    await redis.delete(keys.rooms(partition, account), keys.account(partition, account))

    fifth = await user.create_room("Room 4")

    listed = await user.get("/v1/rooms")
    assert [found["room_id"] for found in listed["rooms"]] == [fifth, *reversed(rooms)]
    assert listed["total_count"] == 5


async def test_the_next_turn_remembers_the_first_from_the_shard(user: User, redis: Redis, keys: Keys) -> None:
    room = RoomId(await user.create_room())
    first = await user.converse(room, "My cat is called Miaou")
    await eventually(lambda: user.message(room, first["reply"]["message_id"]), lambda found: found["state"] == "SENT")
    await redis.delete(*names(keys, room, *EVERYTHING))

    second = await user.converse(room, "What is it called?")
    assert "My cat is called Miaou" in second["reply"]["content"]
