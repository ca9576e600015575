"""Redis or MariaDB away for a while: answered at once, nothing lost, and on again by itself (P1, P7)."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx2
import pytest
from asyncmy.errors import OperationalError

from tests.installation import Installation
from tests.integration.shards import Shards
from tests.integration.user import PERSISTED, Json, User, of, signed_in
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

KINDS = ("private",)
LAST = True
AT_ONCE = 2.0
"""Seconds; one is promised, and this machine does other things too."""


@asynccontextmanager
async def frozen(installation: Installation, server: str) -> AsyncIterator[None]:
    """The server is there and answers nothing, which is worse than being gone."""
    installation.signal(server, signal.SIGSTOP)
    try:
        yield
    finally:
        installation.signal(server, signal.SIGCONT)


def _unavailable(answer: httpx2.Response, code: str) -> Json:
    assert answer.status_code == 503, answer.text
    problem: Json = answer.json()
    assert (problem["code"], problem["errorCode"]) == (code, 1012)
    assert int(answer.headers["retry-after"]) == problem["retry_after_seconds"]
    return problem


async def _readiness(user: User) -> dict[str, bool]:
    body = (await user.http.get("/readyz")).json()
    return {each["name"]: each["ok"] for each in body["dependencies"]}


async def _recovered(user: User, room: str, seconds: float) -> None:
    async def send() -> int:
        return (await user.http.post(f"{of(room)}/messages", json={"content": "on again", "reply": "none"})).status_code

    await eventually(send, lambda code: code == 201, seconds)


async def test_with_redis_frozen_sends_are_refused_at_once_and_history_is_read_from_the_shards(
    user: User, installation: Installation, shards: Shards
) -> None:
    room = await user.create_room("Kept")
    for number in range(3):
        await user.note(room, f"line {number}", persisted=True)
    await eventually(lambda: shards.room(room), lambda row: row is not None and row.last_seq == 3)
    key = {"Idempotency-Key": uuid4().hex}

    async with frozen(installation, "redis"):
        for _ in range(3):
            began = time.monotonic()
            answer = await user.http.post(
                f"{of(room)}/messages", json={"content": "lost?", "reply": "none"}, headers=key
            )
            assert time.monotonic() - began < AT_ONCE
            _unavailable(answer, "cache-unavailable")
        began = time.monotonic()
        _unavailable(await user.http.post("/v1/rooms", json={}), "cache-unavailable")
        _unavailable(await user.http.get(f"{of(room)}/events"), "cache-unavailable")
        assert time.monotonic() - began < 2 * AT_ONCE
        assert [message["content"] for message in await user.history(room)] == ["line 0", "line 1", "line 2"]
        listed = await user.get("/v1/rooms")
        assert [(found["room_id"], found["title"]) for found in listed["rooms"]] == [(room, "Kept")]
        assert (await user.get(of(room)))["title"] == "Kept"
        ready = await _readiness(user)
        # The writers cannot hold their partitions then, and may have said so already.
        assert {name for name, ok in ready.items() if not ok} - {"actors"} == {"cache"}, ready

    async def again() -> httpx2.Response:
        return await user.http.post(f"{of(room)}/messages", json={"content": "lost?", "reply": "none"}, headers=key)

    await eventually(again, lambda answer: answer.status_code in (200, 201), 5)
    assert [message["content"] for message in await user.history(room)] == ["line 0", "line 1", "line 2", "lost?"]
    rows = await eventually(lambda: shards.messages(room), lambda rows: len(rows) == 4)
    assert rows[-1].content == "lost?"


async def test_a_killed_redis_comes_back_with_everything_it_acknowledged(
    user: User, installation: Installation, shards: Shards
) -> None:
    room = await user.create_room()
    pid = installation.pid("redis")
    kept = [(await user.note(room, f"line {number}"))["message_id"] for number in range(5)]

    installation.signal("redis", signal.SIGKILL)

    await _recovered(user, room, 10)
    await eventually(lambda: asyncio.sleep(0, installation.pid("redis")), lambda now: now != pid)
    history = await user.history(room)
    assert [message["message_id"] for message in history[:5]] == kept
    assert [message["seq"] for message in history] == list(range(1, len(history) + 1))
    await eventually(lambda: shards.messages(room), lambda rows: len(rows) == len(history), 20)
    await eventually(lambda: user.history(room), lambda found: all(message["state"] == "SENT" for message in found), 20)


async def test_a_reply_under_way_when_redis_is_killed_is_brought_to_its_end(
    user: User, installation: Installation
) -> None:
    room = await user.create_room()
    sent = await user.send(room, "[[tokens=100 delay=20ms]]")
    await eventually(lambda: user.message(room, sent["reply"]["message_id"]), lambda found: found["content"])

    installation.signal("redis", signal.SIGKILL)

    async def look() -> Json:
        answer = await user.http.get(f"{of(room)}/messages/{sent['reply']['message_id']}")
        found: Json = answer.json() if answer.status_code == 200 else {"is_streaming": True, "refused": answer.text}
        return found

    reply = await eventually(look, lambda found: not found["is_streaming"], 30)
    assert reply["finish_reason"] in ("stop", "interrupted")
    if reply["finish_reason"] == "stop":
        assert len(reply["content"].split()) == 100


async def test_with_mariadb_frozen_chat_goes_on_and_drains_when_it_is_back(
    user: User, installation: Installation, shards: Shards
) -> None:
    room = await user.create_room()
    await user.note(room, "line 0", persisted=True)

    async with frozen(installation, "mariadb"):
        for number in range(1, 6):
            began = time.monotonic()
            message = await user.note(room, f"line {number}")
            assert time.monotonic() - began < AT_ONCE
            assert message["durability"] == "cached"
        turn = await user.send(room, "[[text=still here]]", headers={"Prefer": "wait=10"})
        assert turn["reply"]["content"] == "still here"
        asked = time.monotonic()
        answer = await user.http.post(
            f"{of(room)}/messages", json={"content": "line 6", "reply": "none"}, headers=PERSISTED
        )
        problem = _unavailable(answer, "store-unavailable")
        waited = installation.settings.api.persisted_timeout.total_seconds()
        assert time.monotonic() - asked < waited + AT_ONCE
        assert [message["content"] for message in await user.history(room)] == [
            *(f"line {number}" for number in range(6)),
            "[[text=still here]]",
            "still here",
            "line 6",
        ]
        found = await user.message(room, problem["message_id"])
        assert (found["content"], found["durability"]) == ("line 6", "cached")

    rows = await eventually(lambda: shards.messages(room), lambda rows: len(rows) == 9 and rows[-1].content, 40)
    history = await eventually(
        lambda: user.history(room), lambda found: all(message["state"] == "SENT" for message in found), 20
    )
    assert [row.content for row in rows] == [message["content"] for message in history]


async def test_a_killed_mariadb_costs_nothing_but_time(user: User, installation: Installation, shards: Shards) -> None:
    room = await user.create_room()
    installation.signal("mariadb", signal.SIGKILL)
    for number in range(10):
        await user.note(room, f"line {number}")

    rows = await eventually(lambda: _rows(shards, room), lambda rows: len(rows) == 10, 40)
    assert rows == [f"line {number}" for number in range(10)]
    await user.note(room, "and on", persisted=True)
    # A writer says within seconds that it holds its partitions again.
    await eventually(lambda: _readiness(user), lambda ready: all(ready.values()), 20)


async def test_a_newcomer_waits_for_mariadb_and_an_old_hand_does_not(user: User, installation: Installation) -> None:
    room = await user.create_room()
    async with frozen(installation, "mariadb"), signed_in(installation, f"new-{uuid4().hex}") as newcomer:
        answer, message = await asyncio.gather(newcomer.http.get("/v1/rooms"), user.note(room, "hello"))
    assert message["seq"] == 1
    _unavailable(answer, "store-unavailable")


async def _rows(shards: Shards, room: str) -> list[str]:
    try:
        return [row.content for row in await shards.messages(room)]
    except (OSError, OperationalError):
        return []
