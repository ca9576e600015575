"""Rooms move into an actor of their own: made, asked for, and placed there once they are free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from ray.exceptions import RayActorError

from actors.graduation import Graduation
from actors.pools import Pools
from parlor.errors import CacheUnavailable
from parlor.model.ids import RoomId
from parlor.rooms.commands import Command, Wake, decode_commands
from parlor.rooms.own_actors import CONVERSATION
from parlor.rooms.pool import RoomPool
from parlor.settings import RoomSettings
from tests.unit.actors.cluster import Method
from tests.unit.fake_clock import FakeClock, settle

pytestmark = pytest.mark.unit

ROOM = RoomId("a")
SHARED, OWN = "rooms-000", "room-a"


class Holder:
    """The actor that has the room."""

    def __init__(self) -> None:
        self.asked: list[RoomId] = []
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.give_away = Method(self._give_away)

    async def _give_away(self, room: RoomId, seconds: float) -> bool:
        self.asked.append(room)
        return await self.answer


class Own:
    """The actor that the room moves into."""

    def __init__(self) -> None:
        self.woken: list[Command] = []
        self.failure: Exception | None = None
        self.execute = Method(self._execute)

    async def _execute(self, commands: bytes, activate: bool) -> bytes:
        assert activate
        if self.failure is not None:
            raise self.failure
        self.woken += decode_commands(commands)
        return b""


class Scene:
    """A room that has become a conversation, in an actor that it shares."""

    def __init__(self) -> None:
        self.rooms = RoomPool(RoomSettings(actors_min=1, actors_max=1), FakeClock(), 1)
        self.holder = Holder()
        self.own = Own()
        self.made: list[str] = []
        self.handles: dict[str, object] = {SHARED: self.holder, OWN: self.own}
        pools = SimpleNamespace(rooms=self.handles, make_own_actor=self.made.append)
        self.graduation = Graduation(self.rooms, cast("Pools", pools), self._change, self._claims, lambda: False)
        self.rooms.add(SHARED)
        self.rooms.answered(SHARED, "node", [])
        self.rooms.place(ROOM)
        self.rooms.answered(SHARED, "node", [ROOM], [CONVERSATION])

    async def _change(self, action: Callable[[], None]) -> None:
        action()
        for name in self.made:
            if name not in self.rooms.names:
                self.rooms.add(name)

    async def _claims(self, room: RoomId) -> int:
        return 7

    async def step(self) -> None:
        await self.graduation.step()
        await settle()


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_the_room_stays_until_its_own_actor_answers_and_its_reply_has_ended(scene: Scene) -> None:
    await scene.step()
    assert scene.made == [OWN]
    await scene.step()
    assert (scene.made, scene.holder.asked) == ([OWN], [])
    scene.rooms.answered(OWN, "node", [])
    await scene.step()
    await scene.step()
    assert scene.holder.asked == [ROOM], "once"
    assert scene.rooms.place(ROOM) == SHARED
    scene.holder.answer.set_result(True)
    await settle()
    assert scene.rooms.place(ROOM) == OWN
    assert scene.own.woken == [Wake(None, ROOM, "", ticket=7)], "for replies that wait"
    assert scene.graduation.moving == []


@pytest.mark.parametrize("failure", [False, RayActorError(), TimeoutError()])
async def test_a_room_that_is_not_given_away_stays_and_is_asked_for_again(
    scene: Scene, failure: bool | Exception
) -> None:
    await scene.step()
    scene.rooms.answered(OWN, "node", [])
    await scene.step()
    if isinstance(failure, Exception):
        scene.holder.answer.set_exception(failure)
    else:
        scene.holder.answer.set_result(failure)
    await settle()
    assert scene.rooms.place(ROOM) == SHARED
    scene.holder.answer = asyncio.get_running_loop().create_future()
    await scene.step()
    assert scene.holder.asked == [ROOM, ROOM]
    scene.holder.answer.set_result(True)
    await settle()
    assert scene.rooms.place(ROOM) == OWN


@pytest.mark.parametrize("failure", [RayActorError(), TimeoutError(), KeyError(OWN), CacheUnavailable()])
async def test_a_room_that_is_not_woken_is_there_for_the_next_command(scene: Scene, failure: Exception) -> None:
    await scene.step()
    scene.rooms.answered(OWN, "node", [])
    scene.own.failure = failure
    await scene.step()
    scene.holder.answer.set_result(True)
    await settle()
    assert scene.graduation.moving == []
    assert scene.rooms.place(ROOM) == OWN


async def test_its_own_actor_may_be_gone_by_then(scene: Scene) -> None:
    await scene.step()
    scene.rooms.answered(OWN, "node", [])
    await scene.step()
    scene.rooms.silent(OWN)
    scene.holder.answer.set_result(True)
    await settle()
    assert scene.rooms.place(ROOM) == SHARED
