"""What was said can be said again or differently: nothing of it is lost, and what is deleted is gone with all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.model.ids import RoomId, home_of
from tests.integration.shards import Shards, StoredVersion
from tests.integration.sse import text_of
from tests.integration.user import PERSISTED, Json, User, of
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("private",)
"""Once is enough for what is the same program; what differs by database is the contract tests' business."""

DIFFERENT_EACH_TIME = "[[tokens=4 stamp=1]]"
"""The answer's words are the times at which they were said."""
LONG = "[[tokens=2000 delay=20ms]]"


async def _stored(user: User, room: str) -> None:
    """Returns when everything that was said is in the shard."""
    await user.note(room, "kept", persisted=True)


async def _forget(redis: Redis, keys: Keys, room: str) -> None:
    """Redis loses all that it has of the room."""
    room_id = RoomId(room)
    partition = home_of(room_id)
    await eventually(lambda: _pending(redis, keys, room_id), "0".__eq__)
    makers: list[Callable[..., str]] = [keys.room, keys.messages, keys.states, keys.events, keys.open, keys.draft]
    assert await redis.delete(*(maker(partition, room_id) for maker in makers)) >= 3


async def _pending(redis: Redis, keys: Keys, room: RoomId) -> str:
    """How many of the room's operations wait for the shard."""
    return str(await redis.hget(keys.room(home_of(room), room), "pending"))


def said(variants: list[Json]) -> list[tuple[int, str]]:
    return [(variant["attempt"], variant["content"]) for variant in variants]


async def test_each_attempt_is_a_variant_here_in_the_shard_and_after_redis_forgot(
    user: User, shards: Shards, redis: Redis, keys: Keys
) -> None:
    room = await user.create_room("Attempts")
    sent = await user.converse(room, DIFFERENT_EACH_TIME)
    reply = sent["reply"]["message_id"]
    attempts = [sent["reply"]]
    for attempt in (2, 3):
        begun = await user.regenerate(room, reply)
        assert (begun["message_id"], begun["seq"], begun["attempt"]) == (reply, 2, attempt)
        assert (begun["content"], begun["is_streaming"], begun["finish_reason"]) == ("", True, None)
        attempts.append(await user.ended(room, reply))

    expected = [(number, found["content"]) for number, found in enumerate(attempts, 1)]
    assert len({content for _, content in expected}) == 3
    assert said(await user.variants(room, reply)) == expected
    assert [message["content"] for message in await user.history(room)] == [DIFFERENT_EACH_TIME, expected[2][1]]
    await _stored(user, room)
    rows = await shards.messages(room)
    assert [(row.seq, row.message_id, row.content) for row in rows[:2]] == [
        (1, sent["message"]["message_id"], DIFFERENT_EACH_TIME),
        (2, reply, expected[2][1]),
    ]
    assert await shards.versions(room) == [
        StoredVersion(2, 1, 1, expected[0][1], "stop"),
        StoredVersion(2, 3, 2, expected[1][1], "stop"),
    ]

    await _forget(redis, keys, room)
    assert said(await user.variants(room, reply)) == expected
    # Only the last reply can be begun anew; behind it stands a note now.
    answer = await user.http.post(f"{of(room)}/messages/{reply}/regenerate")
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal-transition")


async def test_a_reply_is_begun_anew_from_the_shard_alone(user: User, redis: Redis, keys: Keys) -> None:
    room = await user.create_room("Cold")
    sent = await user.send(room, DIFFERENT_EACH_TIME)
    reply = sent["reply"]["message_id"]
    first = await user.ended(room, reply)
    await user.flush()
    await _forget(redis, keys, room)

    assert (await user.regenerate(room, reply))["attempt"] == 2
    second = await user.ended(room, reply)
    assert said(await user.variants(room, reply)) == [(1, first["content"]), (2, second["content"])]


async def test_readers_see_the_new_attempt_take_the_place_of_the_old(user: User) -> None:
    room = await user.create_room("Watched")
    sent = await user.converse(room, DIFFERENT_EACH_TIME)
    reply, cursor = sent["reply"]["message_id"], (await user.messages(room))["cursor"]
    async with user.events(of(room), after=cursor) as watching:
        await user.regenerate(room, reply)
        events = await watching.until("message.completed")
    async with user.events(f"{of(room)}/messages/{reply}") as later:
        own = await later.rest()

    kinds = [event.type for event in events if event.type != "message.delta"]
    assert kinds == ["message.updated", "message.reset", "message.completed"]
    assert events[1].data == {"message_id": reply, "attempt": 2}
    final = events[-1].data["message"]
    assert (final["attempt"], final["content"]) == (2, text_of(events, reply))
    # Who comes late reads the attempt that counts, and no end of an earlier one.
    assert own[-1] == events[-1]
    assert [event.type for event in own].count("message.completed") == 1


async def test_a_reply_that_failed_is_begun_anew_and_the_failure_is_kept(user: User, shards: Shards) -> None:
    room = await user.create_room("Failing")
    # The demo model counts its faults by message.
    sent = await user.converse(room, f"{room} [[tokens=6 fail_after=2 times=1]]")
    reply = sent["reply"]["message_id"]
    assert (sent["reply"]["finish_reason"], sent["reply"]["content"]) == ("error", "the quick")
    await user.regenerate(room, reply)
    second = await user.ended(room, reply)

    assert (second["finish_reason"], len(second["content"].split()), second["error"]) == ("stop", 6, None)
    variants = await user.variants(room, reply)
    assert [(each["finish_reason"], each["content"]) for each in variants] == [
        ("error", "the quick"),
        ("stop", second["content"]),
    ]
    await _stored(user, room)
    assert [(found.finish_reason, found.content) for found in await shards.versions(room)] == [("error", "the quick")]


async def test_only_the_last_reply_that_has_ended_is_begun_anew(user: User) -> None:
    async def refused(message: str) -> tuple[int, str]:
        answer = await user.http.post(f"{of(room)}/messages/{message}/regenerate")
        return answer.status_code, answer.json()["code"]

    room = await user.create_room("Refusals")
    first = await user.converse(room, "[[text=one]]")
    second = await user.send(room, LONG)
    assert await refused(first["message"]["message_id"]) == (422, "invalid-request")
    assert await refused(first["reply"]["message_id"]) == (409, "illegal-transition")
    assert await refused(second["reply"]["message_id"]) == (409, "room-busy")
    await user.delete_message(room, second["reply"]["message_id"])
    assert await refused(second["reply"]["message_id"]) == (409, "illegal-transition")
    assert said(await user.variants(room, first["reply"]["message_id"])) == [(1, "one")]


async def test_an_edit_begins_the_answer_anew_from_the_new_words(user: User, shards: Shards) -> None:
    room = await user.create_room("Edited")
    old, new = "My name is Ada [[echo=1 delay=0ms]]", "My name is Grace [[echo=1 delay=0ms]]"
    sent = await user.converse(room, old)
    message, reply = sent["message"]["message_id"], sent["reply"]["message_id"]
    receipt = await user.edit_message(room, message, new)

    assert (receipt["content"], receipt["seq"], receipt["message_id"]) == (new, 1, message)
    assert receipt["metadata"]["edited_at"]
    assert (receipt["reply"]["message_id"], receipt["reply"]["attempt"], receipt["reply"]["is_streaming"]) == (
        reply,
        2,
        True,
    )
    async with user.events(of(room), after=receipt["cursor"]) as reader:
        events = await reader.until("message.completed")
    assert [event.type for event in events if event.type != "message.delta"] == [
        "message.updated",
        "message.updated",
        "message.reset",
        "message.completed",
    ]
    answer = events[-1].data["message"]
    prompt = msgspec.json.decode(answer["content"])["messages"]
    assert [turn["content"] for turn in prompt[1:]] == [new]
    assert [each["content"] for each in await user.variants(room, message)] == [old, new]
    assert said(await user.variants(room, reply)) == [(1, sent["reply"]["content"]), (2, answer["content"])]
    await _stored(user, room)
    rows = await shards.messages(room)
    assert [(row.version, row.content) for row in rows[:2]] == [(2, new), (3, answer["content"])]
    assert [(found.seq, found.version, found.content) for found in await shards.versions(room)] == [
        (1, 1, old),
        (2, 1, sent["reply"]["content"]),
    ]


async def test_an_edit_of_what_is_being_answered_stops_the_answer_first(user: User) -> None:
    room = await user.create_room("In flight")
    async with user.stream(room, f"old {LONG}") as reader:
        opening = await reader.until("message.delta")
        message, reply = (opening[place].data["message"]["message_id"] for place in (0, 1))
        receipt = await user.edit_message(room, message, "[[text=new]]")
    assert receipt["reply"]["attempt"] == 2
    ended = await user.ended(room, reply)
    assert (ended["content"], ended["attempt"], ended["finish_reason"]) == ("new", 2, "stop")
    first, second = await user.variants(room, reply)
    assert (first["attempt"], first["finish_reason"]) == (1, "stopped")
    assert first["content"]
    # Between the two it may have been stored.
    assert second == ended | {name: second[name] for name in ("state", "durability")}


async def test_only_the_last_message_of_a_person_can_be_edited(user: User) -> None:
    room = await user.create_room("Refusals")
    first, second = await user.converse(room, "[[text=one]]"), await user.converse(room, "[[text=two]]")
    for message, status, code in (
        (first["message"], 409, "illegal-transition"),
        (second["reply"], 422, "invalid-request"),
    ):
        path = f"{of(room)}/messages/{message['message_id']}"
        answer = await user.http.patch(path, json={"content": "other"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [message["content"] for message in await user.history(room)] == [
        "[[text=one]]",
        "one",
        "[[text=two]]",
        "two",
    ]


@pytest.mark.parametrize("stored_first", [False, True], ids=["while it is queued", "when it is stored"])
async def test_a_delete_leaves_no_word_of_any_version_behind(
    user: User, shards: Shards, redis: Redis, keys: Keys, stored_first: bool
) -> None:
    room = await user.create_room("Secrets")
    marks = [f"{kind}-{room[-12:]}" for kind in ("before", "after")]
    sent = await user.converse(room, f"{marks[0]} [[echo=1 delay=0ms]]")
    message, reply = sent["message"]["message_id"], sent["reply"]["message_id"]
    await user.edit_message(room, message, f"{marks[1]} [[echo=1 delay=0ms]]")
    await user.ended(room, reply)
    await user.regenerate(room, reply)
    await user.ended(room, reply)
    assert len(await user.variants(room, reply)) == 3
    if stored_first:
        await user.flush()
        assert await shards.tables_with(marks[0]) == ["message_versions"]
        assert await shards.tables_with(marks[1]) == ["message_versions", "messages"]

    await user.delete_message(room, reply)
    await user.delete_message(room, message)
    await user.send(room, "afterwards", reply="none", headers=PERSISTED)

    for mark in marks:
        assert await shards.tables_with(mark) == []
        kept = await redis.hgetall(keys.messages(home_of(RoomId(room)), RoomId(room)))
        assert mark not in str(kept)
    assert await shards.versions(room) == []
    for each in (message, reply):
        assert [(found["content"], found["state"]) for found in await user.variants(room, each)] == [("", "DELETED")]


async def test_a_regenerate_during_a_stop_ends_in_one_attempt_at_a_time(user: User, shards: Shards) -> None:
    """Whatever comes first, what is told in the end is one story."""
    room = await user.create_room("Busy hands")
    sent = await user.send(room, LONG)
    reply = sent["reply"]["message_id"]
    await eventually(partial(user.message, room, reply), lambda found: found["content"])
    path = f"{of(room)}/messages/{reply}"
    for _ in range(5):
        answers = await asyncio.gather(
            *(user.http.post(f"{path}/{call}") for call in ("stop", "regenerate", "stop", "regenerate"))
        )
        assert {answer.status_code for answer in answers} <= {200, 202, 409}
    await user.stop(room, reply)
    variants = await user.variants(room, reply)
    assert [each["attempt"] for each in variants] == list(range(1, len(variants) + 1))
    assert {each["finish_reason"] for each in variants} == {"stopped"}
    await _stored(user, room)
    stored = [found.content for found in await shards.versions(room)] + [(await shards.messages(room))[1].content]
    assert stored == [each["content"] for each in variants]
