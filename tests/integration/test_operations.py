"""The seven operations of the specification, followed from the answer through Redis into the shard."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.model.ids import AccountId, RoomId, home_of
from tests.integration.shards import Shards, StoredRoom
from tests.integration.user import PERSISTED, Json, User, of, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


def steps(report: Json) -> list[tuple[str, str]]:
    return [(line["from"], line["to"]) for line in report["log"]]


async def test_a_created_room_is_in_redis_at_once_and_in_one_shard_soon(
    user: User, redis: Redis, keys: Keys, shards: Shards
) -> None:
    answer = await user.http.post("/v1/rooms", json={"title": "Tea ☕", "ai_persona": "GPT4O"})
    room = succeeded(answer, 201)
    room_id = RoomId(room["room_id"])

    assert answer.headers["location"] == f"/v1/rooms/{room_id}"
    assert (room["title"], room["ai_persona"], room["message_count"]) == ("Tea ☕", "GPT4O", 0)
    assert room["last_message_at"] is None
    assert room["state"] in ("PENDING", "PROCESSING", "ACTIVE")
    partition = home_of(room_id)
    held = await redis.hgetall(keys.room(partition, room_id))
    assert (held["account"], held["title"], held["seq"]) == (user.account, "Tea ☕", "0")
    assert await redis.zscore(keys.rooms(partition, AccountId(user.account)), room_id) is not None

    report = await eventually(lambda: user.state(room_id), lambda found: found["state"] == "ACTIVE")
    assert steps(report) == [("CREATING", "PENDING"), ("PENDING", "PROCESSING"), ("PROCESSING", "ACTIVE")]
    stored = await shards.room(room_id)
    assert stored is not None
    assert (stored.account_id, stored.title, stored.ai_persona, stored.deleted) == (
        user.account,
        "Tea ☕",
        "GPT4O",
        False,
    )


async def test_a_room_is_active_only_after_its_row_is_committed(user: User, shards: Shards) -> None:
    room = await user.create_room()

    async def look() -> tuple[str, StoredRoom | None]:
        state = (await user.state(room))["state"]
        return state, await shards.room(room)

    def holds(found: tuple[str, StoredRoom | None]) -> bool:
        state, row = found
        assert state != "ACTIVE" or row is not None
        return state == "ACTIVE"

    await eventually(look, holds)


async def test_a_message_is_in_redis_when_acknowledged_and_sent_only_after_the_commit(
    user: User, redis: Redis, keys: Keys, shards: Shards
) -> None:
    room_id = RoomId(await user.create_room())
    sent = await user.send(room_id, "Good morning", reply="none", metadata={"from": "test", "n": [1, 2.5, None]})
    message, partition = sent["message"], home_of(room_id)

    assert (message["seq"], message["sender_type"], message["content"]) == (1, "USER", "Good morning")
    assert (message["state"], message["durability"]) == ("PENDING", "cached")
    assert message["metadata"] == {"from": "test", "n": [1, 2.5, None]}
    assert "Good morning" in str(await redis.hget(keys.messages(partition, room_id), "d:1"))
    assert await redis.hget(keys.states(partition, room_id), f"i:{message['message_id']}") == "1"
    assert await redis.hget(keys.room(partition, room_id), "seq") == "1"

    seen = set()

    async def look() -> str:
        # State first: a row that comes between the two reads is no proof of anything.
        state = str(await redis.hget(keys.states(partition, room_id), "s:1"))
        rows = await shards.messages(room_id)
        assert state != "SENT" or [row.message_id for row in rows] == [message["message_id"]]
        seen.add(state)
        return state

    await eventually(look, lambda state: state == "SENT")
    assert seen <= {"PENDING", "PROCESSING", "SENT"}
    report = await user.state(room_id, message["message_id"])
    assert report["state"] == "SENT"
    assert steps(report) == [("COMPOSING", "PENDING"), ("PENDING", "PROCESSING"), ("PROCESSING", "SENT")]
    assert [line["by"] for line in report["log"]] == ["room", "writer", "writer"]
    times = [line["at"] for line in report["log"]]
    assert times == sorted(times)
    row = (await shards.messages(room_id))[0]
    assert (row.content, row.sender_type, row.deleted) == ("Good morning", "USER", False)
    found = await user.message(room_id, message["message_id"])
    assert (found["state"], found["durability"]) == ("SENT", "persisted")
    assert found["metadata"] == message["metadata"]


async def test_a_send_that_asks_for_persistence_is_answered_after_the_commit(user: User, shards: Shards) -> None:
    room = await user.create_room()
    for number in range(1, 4):
        answer = await user.http.post(
            f"{of(room)}/messages", json={"content": f"keep {number}", "reply": "none"}, headers=PERSISTED
        )
        message = succeeded(answer, 201)["message"]

        assert answer.headers["preference-applied"] == "durability=persisted"
        assert (message["state"], message["durability"], message["seq"]) == ("SENT", "persisted", number)
        assert [row.content for row in await shards.messages(room)] == [f"keep {n}" for n in range(1, number + 1)]
        assert (await user.get(of(room)))["persisted_seq"] == number


async def test_both_messages_of_a_turn_are_kept(user: User, shards: Shards) -> None:
    room = await user.create_room()
    turn = await user.converse(room, "What can you do?")

    message, reply = turn["message"], turn["reply"]
    assert (message["seq"], reply["seq"], reply["sender_type"]) == (1, 2, "AI")
    assert reply["parent_message_id"] == message["message_id"]
    assert (reply["finish_reason"], reply["attempt"]) == ("stop", 1)
    assert reply["usage"]["output_tokens"] > 0
    assert "You said" in reply["content"]
    rows = await eventually(
        lambda: shards.messages(room), lambda rows: len(rows) == 2 and all(row.version for row in rows)
    )
    assert [(row.seq, row.message_id, row.content) for row in rows] == [
        (1, message["message_id"], "What can you do?"),
        (2, reply["message_id"], reply["content"]),
    ]
    assert (await user.history(room))[1]["content"] == reply["content"]
    stored = await shards.room(room)
    assert stored is not None
    assert (stored.message_count, stored.last_seq) == (2, 2)
    assert (await user.get(of(room)))["message_count"] == 2


async def test_a_new_title_shows_at_once_and_reaches_the_shard(user: User, shards: Shards) -> None:
    room = await user.create_room("Old")
    renamed = succeeded(await user.http.patch(of(room), json={"title": "New ✨"}), 200)

    assert renamed["title"] == "New ✨"
    assert (await user.get(of(room)))["title"] == "New ✨"
    listed = await user.get("/v1/rooms")
    assert [found["title"] for found in listed["rooms"]] == ["New ✨"]
    await eventually(lambda: shards.room(room), lambda row: row is not None and row.title == "New ✨")


async def test_a_deleted_message_is_a_tombstone_everywhere(
    user: User, redis: Redis, keys: Keys, shards: Shards
) -> None:
    room_id = RoomId(await user.create_room())
    kept = await user.note(room_id, "keep")
    secret = await user.note(room_id, "a secret", persisted=True)
    await user.note(room_id, "after", persisted=True)

    gone = await user.delete_message(room_id, secret["message_id"])

    assert gone == {"message_id": secret["message_id"], "state": "DELETING", "outcome": "deleting"}
    assert "a secret" not in str(await redis.hgetall(keys.messages(home_of(room_id), room_id)))
    shown = await user.message(room_id, secret["message_id"])
    assert (shown["seq"], shown["content"], shown["state"]) == (2, "", "DELETING")
    report = await eventually(
        lambda: user.state(room_id, secret["message_id"]), lambda found: found["state"] == "DELETED"
    )
    assert steps(report)[-2:] == [("SENT", "DELETING"), ("DELETING", "DELETED")]
    rows = await shards.messages(room_id)
    assert [(row.seq, row.content, row.deleted) for row in rows] == [
        (1, "keep", False),
        (2, "", True),
        (3, "after", False),
    ]
    again = await user.delete_message(room_id, secret["message_id"])
    assert again["outcome"] == "already_deleted"
    history = await user.history(room_id)
    assert [(each["seq"], each["content"]) for each in history] == [(1, "keep"), (2, ""), (3, "after")]
    assert history[0]["message_id"] == kept["message_id"]
    assert (await user.get(of(room_id)))["message_count"] == 2


async def test_a_message_deleted_before_it_was_stored_leaves_no_text_behind(user: User, shards: Shards) -> None:
    room = await user.create_room()
    message = await user.note(room, "never mind")
    gone = await user.delete_message(room, message["message_id"])

    assert gone["outcome"] in ("cancelled", "deleting")
    await eventually(
        lambda: shards.messages(room), lambda rows: [(row.content, row.deleted) for row in rows] == [("", True)]
    )
    assert [each["content"] for each in await user.history(room)] == [""]


async def test_a_deleted_room_is_gone_at_once_and_softly_deleted_in_the_shard(user: User, shards: Shards) -> None:
    room, other = await user.create_room("Away"), await user.create_room("Stays")
    await user.note(room, "text", persisted=True)

    assert succeeded(await user.http.delete(of(room)), 202)["state"] == "DELETING"

    assert [found["room_id"] for found in (await user.get("/v1/rooms"))["rooms"]] == [other]
    assert (await user.http.get(of(room))).status_code == 404
    assert succeeded(await user.http.delete(of(room)), 202)["state"] in ("DELETING", "DELETED")
    await eventually(lambda: shards.room(room), lambda row: row is not None and row.deleted)
    assert succeeded(await user.http.delete(of(room)), 202)["state"] in ("DELETING", "DELETED")
    assert (await user.get("/v1/rooms"))["total_count"] == 1
