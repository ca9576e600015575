"""A process dies: its rooms go on within seconds, and what was being written is brought to an end (P1, P3)."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from parlor.client import AsyncClient
from tests.installation import Installation
from tests.integration.actor_processes import processes_of
from tests.integration.shards import Shards
from tests.integration.sse import SseEvent, text_of
from tests.integration.user import Json, User, of
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

LAST = True
GOES_ON_WITHIN = 5.0
"""Seconds in which a room takes messages again."""


async def _holder(installation: Installation, room: str) -> Json:
    """The actor that holds the room."""

    async def look() -> list[Any]:
        status = await asyncio.to_thread(installation.status)
        return [actor for actor in status["actors"] if room in actor["rooms"]]

    found: Json = (await eventually(look, bool))[0]
    return found


async def test_a_client_follows_a_reply_through_the_death_of_its_actor(user: User, installation: Installation) -> None:
    token = installation.token(user.account)
    async with AsyncClient(installation.base_url, token) as client:
        room = (await client.create_room("Followed")).room_id
        owners = processes_of(installation, "RoomActor")
        reply = await client.ask(room, "[[tokens=100 delay=30ms]]")
        text, resets = "", 0
        async for delta in reply:
            # At the first piece: whoever asked the status first would come when the reply has ended.
            for pid in owners if text == "" and resets == 0 else ():
                os.kill(pid, signal.SIGKILL)
            resets += delta.type == "reset"
            text = "" if delta.type == "reset" else text + delta.text
        stored = await client.get_message(room, reply.message_id)
    assert resets == 1
    assert text == reply.text == stored.content
    assert reply.message is not None
    assert (reply.message.finish_reason, stored.attempt) in (("stop", resets + 1), ("interrupted", 1))


async def _send_until_taken(user: User, room: str, content: str, seconds: float) -> Json:
    """As a client does it: the same key again after a refusal that may be retried."""
    headers = {"Idempotency-Key": uuid4().hex}

    async def look() -> httpx2.Response:
        return await user.http.post(f"{of(room)}/messages", json={"content": content, "reply": "none"}, headers=headers)

    answer = await eventually(look, lambda found: found.status_code in (200, 201), seconds)
    message: Json = answer.json()["message"]
    return message


async def test_a_killed_room_actor_loses_nothing(user: User, installation: Installation, shards: Shards) -> None:
    room = await user.create_room()
    await user.note(room, "first")
    actor = await _holder(installation, room)
    assert actor["kind"] == "RoomActor"
    sent = await user.send(room, "[[tokens=100 delay=30ms]]")
    reply = sent["reply"]["message_id"]
    events: list[SseEvent] = []
    async with user.events(of(room), after=sent["cursor"]) as reader:
        events += await reader.until("message.delta")

        os.kill(actor["pid"], signal.SIGKILL)

        note = await _send_until_taken(user, room, "still there?", GOES_ON_WITHIN)
        events += await reader.until("message.completed", "message.failed", seconds=30)

    assert note["seq"] == 4
    final = events[-1].data["message"]
    assert final["message_id"] == reply
    if events[-1].type == "message.completed":
        # A second attempt: readers were told to forget the first.
        assert [event.data["attempt"] for event in events if event.type == "message.reset"] == [2]
        assert (final["attempt"], len(final["content"].split())) == (2, 100)
    else:
        assert final["finish_reason"] == "interrupted"
    assert text_of(events, reply) == final["content"]
    history = await user.history(room)
    assert [message["seq"] for message in history] == [1, 2, 3, 4]
    assert history[2]["content"] == final["content"]
    await eventually(
        lambda: shards.messages(room),
        lambda rows: [row.content for row in rows] == [message["content"] for message in history],
    )


async def test_every_send_under_way_when_an_actor_dies_is_kept_once(
    user: User, installation: Installation, shards: Shards
) -> None:
    room = await user.create_room()
    await user.note(room, "first")
    actor = await _holder(installation, room)
    acknowledged: dict[int, str] = {}

    async def talk(client: int) -> None:
        for number in range(10):
            content = f"client {client} says {number}"
            message = await _send_until_taken(user, room, content, 15.0)
            assert message["seq"] not in acknowledged
            acknowledged[message["seq"]] = content

    talking = [asyncio.create_task(talk(client)) for client in range(5)]
    await eventually(lambda: asyncio.sleep(0, acknowledged), lambda found: len(found) >= 10)
    os.kill(actor["pid"], signal.SIGKILL)
    await asyncio.gather(*talking)

    assert sorted(acknowledged) == list(range(2, 52))
    history = await user.history(room)
    assert {message["seq"]: message["content"] for message in history[1:]} == acknowledged
    rows = await eventually(lambda: shards.messages(room), lambda rows: len(rows) == 51)
    assert {row.seq: row.content for row in rows[1:]} == acknowledged


async def test_any_other_actor_may_die_too(user: User, installation: Installation, shards: Shards) -> None:
    room = await user.create_room()
    await user.note(room, "before")
    actors = (await asyncio.to_thread(installation.status))["actors"]
    agreed_views = ["before"]

    async def another_room() -> int:
        return (await user.http.post("/v1/rooms", json={"title": "Another"})).status_code

    async def readiness() -> int:
        return (await user.http.get("/readyz")).status_code

    for kind in ("ShardWriter", "StateMachine", "Supervisor"):
        for actor in actors:
            if actor["kind"] == kind:
                os.kill(actor["pid"], signal.SIGKILL)
        agreed_views.append(f"without {kind}")
        await _send_until_taken(user, room, agreed_views[-1], GOES_ON_WITHIN)
        await eventually(another_room, lambda status: status == 201, 10)
        expected = list(agreed_views)
        await eventually(partial(_contents, shards, room), expected.__eq__, 20)
        await eventually(readiness, lambda status: status == 200, 15)


async def test_a_killed_demo_model_ends_the_reply_with_a_reason_and_comes_back(
    user: User, installation: Installation
) -> None:
    room = await user.create_room()
    async with user.stream(room, "[[tokens=500 delay=20ms]]") as reader:
        await reader.until("message.delta")
        installation.signal("demo-model", signal.SIGKILL)
        events = await reader.rest()
    assert events[-1].type == "message.failed"
    assert events[-1].data["message"]["finish_reason"] == "error"

    async def ask() -> Json:
        return await user.send(room, "[[text=back]]", headers={"Prefer": "wait=10"})

    await eventually(ask, lambda turn: turn["reply"]["content"] == "back", 20)


async def _contents(shards: Shards, room: str) -> list[str]:
    return [row.content for row in await shards.messages(room)]
