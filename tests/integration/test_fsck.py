"""`parlor fsck`, `parlor dead-letters`, `parlor rooms` and the lag in `parlor status`, on a running installation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.clock import SystemClock, SystemEntropy
from parlor.model.ids import IdMint, RoomId, home_of
from tests.installation import Installation
from tests.integration.shards import Shards
from tests.integration.test_tools import EVE, asked
from tests.integration.user import User
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

COMMAND_SECONDS = 50.0


async def parlor(installation: Installation, *arguments: str, code: int = 0) -> Any:
    """The command's JSON; it has to end with this exit code."""
    done = await asyncio.to_thread(installation.parlor, *arguments, "--json", timeout=COMMAND_SECONDS)
    assert done.returncode == code, f"{done.returncode}: {done.stdout} {done.stderr}"
    return json.loads(done.stdout)


def found(report: dict[str, Any]) -> list[tuple[str, str, int | None, bool]]:
    return [(one["invariant"], one["kind"], one.get("seq"), one["repaired"]) for one in report["findings"]]


async def test_nothing_is_found_while_people_talk(installation: Installation, user: User) -> None:
    rooms = [await user.create_room(f"room {number}") for number in range(3)]
    done = asyncio.Event()
    turns = dict.fromkeys(rooms, 0)

    async def talk(room: str) -> None:
        while not done.is_set():
            # The first is stored before fsck looks: it counts rows.
            sent = await user.note(room, f"note {turns[room]}", persisted=turns[room] == 0)
            await user.converse(room, "[[text=well then]]")
            if turns[room] % 3 == 0:
                await user.delete_message(room, sent["message_id"])
            turns[room] += 1

    async def fewest() -> int:
        return min(turns.values())

    talks = [asyncio.create_task(talk(room)) for room in rooms]
    try:
        await eventually(fewest, lambda found: found > 1)
        report = await parlor(installation, "fsck", "--account", user.account)
    finally:
        done.set()
        await asyncio.gather(*talks)
    assert found(report) == []
    assert report["rooms"] == 3
    assert report["messages"] > 0


async def test_planted_faults_are_found_and_repaired(
    installation: Installation, user: User, redis: Redis, keys: Keys
) -> None:
    room = RoomId(await user.create_room())
    for number in range(3):
        await user.note(room, f"message {number}", persisted=True)
    partition = home_of(room)
    await redis.hset(keys.room(partition, room), mapping={"pending": 5, "count": 9})
    # As if the entry had been lost after it was taken.
    await redis.hset(keys.states(partition, room), "s:2", "PROCESSING")
    expected = [("I2", "count", None), ("I2", "pending", None), ("I6", "lost", 2)]

    scope = ("--room", room)
    report = await parlor(installation, "fsck", *scope, code=1)
    assert found(report) == [(*one, False) for one in expected]
    repaired = await parlor(installation, "fsck", "--repair", *scope)
    assert found(repaired) == [(*one, True) for one in expected]
    await eventually(lambda: user.messages(room), lambda page: {m["state"] for m in page["messages"]} == {"SENT"})
    assert found(await parlor(installation, "fsck", *scope)) == []
    assert (await user.get(f"/v1/rooms/{room}"))["message_count"] == 3


async def test_notes_of_calls_that_no_message_bears_out_are_found_and_repaired(
    installation: Installation, user: User, shards: Shards
) -> None:
    waits = await asked(user, "Clerk", EVE)
    room, digest = waits.room, waits.part["digest"]
    await eventually(lambda: shards.room(room), lambda row: row is not None)
    await eventually(lambda: shards.waiting(room), lambda seqs: seqs == [2])
    assert found(await parlor(installation, "fsck", "--room", room)) == []
    await shards.unlist(room, 2)
    await shards.approve(room, digest)
    expected = [("I26", "approval-unfounded", None), ("I26", "waiting-unlisted", 2)]

    report = await parlor(installation, "fsck", "--room", room, code=1)
    assert found(report) == [(*one, False) for one in expected]
    assert [one["repair"] for one in report["findings"]] == ["forget-approval", "note-calls"]
    repaired = await parlor(installation, "fsck", "--repair", "--room", room)
    assert found(repaired) == [(*one, True) for one in expected]
    assert (await shards.waiting(room), await shards.approved(room)) == ([2], [])
    assert found(await parlor(installation, "fsck", "--room", room)) == []
    await waits.post("decision", decision="deny")
    await waits.events()
    await eventually(lambda: shards.waiting(room), lambda seqs: not seqs)


async def test_a_row_that_is_refused_is_parked_and_dropped(
    installation: Installation, user: User, redis: Redis, keys: Keys, shards: Shards
) -> None:
    room, dead_letter = await parked(installation, user, redis, keys, shards)
    assert (dead_letter["op"], dead_letter["seq"], dead_letter["account_id"]) == ("CHAT_MESSAGE_SAVE", 2, user.account)
    assert [row.seq for row in await shards.messages(room)] == [1, 3]
    page = await user.messages(room)
    assert [message["durability"] for message in page["messages"]] == ["persisted", "cached", "persisted"]
    assert page["persisted_seq"] == 1

    (result,) = await parlor(installation, "dead-letters", "drop", dead_letter["id"])
    assert result == {"id": dead_letter["id"], "result": "dropped: its message is deleted"}
    rows = await eventually(lambda: shards.messages(room), lambda rows: len(rows) == 3)
    assert [(row.seq, row.deleted) for row in rows] == [(1, False), (2, True), (3, False)]
    page = await eventually(lambda: user.messages(room), lambda page: page["persisted_seq"] == 3)
    assert [message["content"] for message in page["messages"]] == ["one", "", "three"]
    assert found(await parlor(installation, "fsck", "--room", room)) == []


async def test_a_row_that_is_refused_is_replayed_when_nothing_is_in_its_way(
    installation: Installation, user: User, redis: Redis, keys: Keys, shards: Shards
) -> None:
    room, dead_letter = await parked(installation, user, redis, keys, shards)
    report = await parlor(installation, "fsck", "--room", room)
    assert (found(report), report["dead_letters"] >= 1) == ([], True)
    (result,) = await parlor(installation, "dead-letters", "replay", dead_letter["id"])
    assert result["result"] == "queued again"
    rows = await eventually(lambda: shards.messages(room), lambda rows: len(rows) == 3)
    assert [(row.seq, row.content) for row in rows] == [(1, "one"), (2, "two"), (3, "three")]
    await eventually(lambda: user.messages(room), lambda page: page["persisted_seq"] == 3)


async def parked(
    installation: Installation, user: User, redis: Redis, keys: Keys, shards: Shards
) -> tuple[str, dict[str, Any]]:
    """A room with three messages, and the dead letter of the second one: another message had its seq in the shard,
    and is removed."""
    room = await user.create_room()
    await user.note(room, "one", persisted=True)
    other = str(IdMint(SystemClock(), SystemEntropy()).message_id(home_of(RoomId(room))))
    await shards.put_message(room, 2, other)
    for content in ("two", "three"):
        await user.note(room, content)

    stream = keys.dead(home_of(RoomId(room)))

    async def parked_here() -> list[str]:
        entries: Any = await redis.xrange(stream)
        return [entry_id for entry_id, fields in entries if fields["room"] == room]

    await eventually(parked_here, bool, seconds=30)
    listed = await parlor(installation, "dead-letters", "list")
    (dead_letter,) = [dead_letter for dead_letter in listed if dead_letter["room_id"] == room]
    assert "seq-conflict" in dead_letter["reason"]
    await eventually(lambda: user.messages(room), lambda page: page["messages"][2]["durability"] == "persisted")
    await shards.remove_message(room, 2)
    return room, dead_letter


async def test_rooms_are_listed_with_their_actors(installation: Installation, user: User) -> None:
    room = await user.create_room()
    await user.note(room, "Hello")
    rooms = (await parlor(installation, "rooms"))["rooms"]
    (mine,) = [one for one in rooms if one["room_id"] == room]
    assert (mine["account_id"], mine["messages"]) == (user.account, 1)
    status = installation.status()
    assert sum(shard["lag_entries"] for shard in status["shards"]) == sum(one["depth"] for one in status["queues"])
    actors = {actor["name"]: actor for actor in status["actors"]}
    assert actors[mine["actor"]]["pid"] == mine["pid"]
