"""`parlor upgrade` under load: every process of ours is another one afterwards, and nobody who chats has noticed."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import httpx2
import pytest

from parlor.client import AsyncClient
from tests.installation import Installation
from tests.integration.shards import Shards
from tests.integration.talk import Talk, follow
from tests.integration.user import Json, User, of
from tests.integration.waiting import eventually, patience

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

KINDS = ("private",)
LAST = True
ROOMS = 3
COMMAND_SECONDS = 60.0
"""On an idle machine it takes half of that."""


class Rooms:
    """Makes rooms, one after the other, and talks in each: they need a StateMachine, and the Supervisor for a place."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.made = 0
        self.ends = asyncio.Event()

    async def run(self) -> None:
        while not self.ends.is_set():
            answer = await eventually(self._create, lambda found: found.status_code == 201, 10.0)
            async with Talk(self.user, answer.json()["room_id"]) as talk:
                await talk.began.wait()
            assert talk.late == []
            self.made += 1

    async def _create(self) -> httpx2.Response:
        return await self.user.http.post("/v1/rooms", json={"title": "New"})


async def _upgrade(installation: Installation, *options: str) -> Json:
    """What the command reports."""
    command = ("upgrade", "--json", *options)
    done = await asyncio.to_thread(installation.parlor, *command, timeout=patience(COMMAND_SECONDS))
    assert done.returncode == 0, done.stderr
    found: Json = json.loads(done.stdout)
    return found


async def test_everything_is_replaced_and_nobody_notices(
    user: User, installation: Installation, shards: Shards
) -> None:
    before = (await asyncio.to_thread(installation.status))["actors"]
    rooms = Rooms(user)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        talks = [await stack.enter_async_context(Talk(user, await user.create_room())) for _ in range(ROOMS)]
        making = group.create_task(rooms.run())
        client = await stack.enter_async_context(AsyncClient(installation.base_url, installation.token(user.account)))
        following = group.create_task(follow(client, "[[tokens=500 delay=40ms]]"))
        async with user.events(of(await user.create_room("Quiet"))) as reader:
            report = await _upgrade(installation, "--all")
            last = (await reader.until("stream.reconnect"))[-1]
        followed = await following
        rooms.ends.set()
        await making

    assert last.data["reason"] == "drain"
    assert (followed.resets, followed.finish_reason, followed.text) == (0, "stop", followed.stored), "it was waited for"
    assert rooms.made > 0
    await user.flush()
    for talk in talks:
        assert talk.late == []
        history = await user.history(talk.room)
        assert {message["seq"]: message["content"] for message in history} == talk.taken
        assert [row.content for row in await shards.messages(talk.room)] == list(talk.taken.values())

    status = await asyncio.to_thread(installation.status)
    assert {actor["pid"] for actor in before} & {actor["pid"] for actor in status["actors"]} == set()
    assert list(status["versions"]) == [report["version"]]
    assert {actor["version"] for actor in status["actors"]} == {report["version"]}
    kinds = list(dict.fromkeys(one["kind"] for one in report["replaced"]))
    assert kinds == ["Supervisor", "StateMachine", "ShardWriter", "RoomActor", "ChatApi"]


async def test_what_runs_it_already_is_left_alone(installation: Installation) -> None:
    assert (await _upgrade(installation))["replaced"] == []
