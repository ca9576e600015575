"""What is deleted stays deleted, also while it is being written (P5)."""

from __future__ import annotations

import httpx2
import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.model.ids import RoomId, home_of
from tests.installation import Installation
from tests.integration.shards import Shards
from tests.integration.user import Json, User, of, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

LONG = "[[tokens=2000 delay=50ms]]"
"""Longer than any test."""


async def _stats(installation: Installation) -> Json:
    async with httpx2.AsyncClient(timeout=5) as http:
        found: Json = (await http.get(f"{installation.demo_model_url}/stats")).json()
        return found


async def test_a_reply_deleted_while_it_is_written_stops_at_once(
    user: User, installation: Installation, shards: Shards
) -> None:
    before = await _stats(installation)
    room = await user.create_room()
    async with user.stream(room, LONG) as reader:
        opening = await reader.until("message.delta")
        reply = opening[1].data["message"]["message_id"]
        gone = await user.delete_message(room, reply)
        rest = await reader.rest()

    assert gone == {"message_id": reply, "state": "DELETED", "outcome": "stopped_and_deleted"}
    assert {event.type for event in rest[:-1]} <= {"message.delta"}
    assert (rest[-1].type, rest[-1].data) == ("message.deleted", {"message_id": reply, "seq": 2, "state": "DELETED"})
    # The connection to the LLM is closed, so nobody pays for the rest.
    await eventually(lambda: _stats(installation), lambda now: now["aborted"] > before["aborted"], seconds=5)
    await eventually(
        lambda: shards.messages(room), lambda rows: len(rows) == 2 and rows[1].deleted and rows[1].content == ""
    )
    shown = await user.message(room, reply)
    assert (shown["state"], shown["content"]) == ("DELETED", "")
    assert (await user.delete_message(room, reply))["outcome"] == "already_deleted"
    turn = await user.send(room, "[[text=next]]", headers={"Prefer": "wait=10"})
    assert (turn["message"]["seq"], turn["reply"]["content"]) == (3, "next")


async def test_a_reply_deleted_while_it_waits_is_never_written(user: User, installation: Installation) -> None:
    room = await user.create_room()
    await user.send(room, "[[tokens=20 delay=50ms]]")
    waiting = await user.send(room, "[[text=never said]]")
    gone = await user.delete_message(room, waiting["reply"]["message_id"])
    last = await user.send(room, "[[text=said]]", headers={"Prefer": "wait=10"})

    assert gone["outcome"] == "stopped_and_deleted"
    assert last["reply"]["content"] == "said"
    assert [message["content"] for message in (await user.history(room))[3:]] == ["", "[[text=said]]", "said"]


async def test_a_room_deleted_during_a_reply_is_gone_on_every_path(
    user: User, installation: Installation, redis: Redis, keys: Keys, shards: Shards
) -> None:
    before = await _stats(installation)
    room = RoomId(await user.create_room("Gone"))
    async with user.events("/v1") as account, user.stream(room, LONG) as turn, user.events(of(room)) as watching:
        opening = await turn.until("message.delta")
        reply = opening[1].data["message"]["message_id"]
        assert succeeded(await user.http.delete(of(room)), 202)["state"] == "DELETING"
        for reader in (turn, watching):
            rest = await reader.rest()
            assert (rest[-1].type, rest[-1].data) == ("room.deleted", {"room_id": room})
        assert (await account.until("room.deleted"))[-1].data == {"room_id": room}

    await eventually(lambda: _stats(installation), lambda now: now["aborted"] > before["aborted"], seconds=5)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"title": "back"}),
        ("GET", "/state", None),
        ("GET", "/events", None),
        ("GET", "/events?after=0-0", None),
        ("GET", "/export", None),
        ("GET", "/messages", None),
        ("POST", "/messages", {"content": "hello?"}),
        ("GET", f"/messages/{reply}", None),
        ("DELETE", f"/messages/{reply}", None),
        ("GET", f"/messages/{reply}/state", None),
        ("GET", f"/messages/{reply}/events", None),
    ):
        answer = await user.http.request(method, of(room) + path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "room-not-found"), (method, path)
    assert await redis.exists(keys.messages(home_of(room), room)) == 0
    assert room not in [found["room_id"] for found in (await user.get("/v1/rooms"))["rooms"]]
    await eventually(lambda: shards.room(room), lambda row: row is not None and row.deleted)
    # Also when Redis has forgotten the tombstone.
    await redis.delete(keys.room(home_of(room), room))
    assert (await user.http.get(of(room))).json()["code"] == "room-not-found"
    assert (await user.http.post(f"{of(room)}/messages", json={"content": "hello?"})).status_code == 404


async def test_a_room_deleted_before_it_was_stored_does_not_come_back(user: User, shards: Shards) -> None:
    room = await user.create_room("Brief")
    await user.note(room, "short")
    succeeded(await user.http.delete(of(room)), 202)

    await eventually(lambda: shards.room(room), lambda row: row is not None and row.deleted)
    assert all(row.content == "" or row.deleted for row in await shards.messages(room))
    assert (await user.get("/v1/rooms"))["rooms"] == []


async def test_nothing_that_is_asked_for_later_has_the_text(user: User) -> None:
    room = await user.create_room("Named, or its title would be an event")
    begin = (await user.messages(room))["cursor"]
    headers = {"Prefer": "wait=10", "Idempotency-Key": "once"}
    sent = await user.send(room, "[[text=SECRET]]", headers=headers)
    ids = [sent["message"]["message_id"], sent["reply"]["message_id"]]
    assert sent["reply"]["content"] == "SECRET"
    for message_id in ids:
        await user.delete_message(room, message_id)
    last = await user.note(room, "last")

    async with user.events(of(room), after=begin) as reader:
        replayed = [await reader.next() for _ in range(3)]
    assert [(event.type, event.data.get("message_id")) for event in replayed if event is not None] == [
        *(("message.deleted", message_id) for message_id in ids),
        ("message.created", None),
    ]
    assert last["content"] in str(replayed[-1])
    for message_id in ids:
        async with user.events(f"{of(room)}/messages/{message_id}") as reader:
            assert [event.type for event in await reader.rest()] == ["message.deleted"]
    again = await user.send(room, "[[text=SECRET]]", headers=headers, status=200)
    pages = [await user.messages(room), *[await user.variants(room, message_id) for message_id in ids]]
    exports = [await user.http.get(f"{of(room)}/export", params={"format": form}) for form in ("jsonl", "markdown")]
    assert "SECRET" not in repr([replayed, again, pages, [export.text for export in exports]])
