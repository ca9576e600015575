"""Placing rooms while RoomActors die and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from actors import supervisor
from actors.contracts import ActorStatus
from actors.supervisor import Supervisor
from parlor.settings import RoomSettings, Settings
from parlor.wiring import Wiring
from tests.unit.domain import Domain
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit

ONLY = "rooms-000"


class _Actor:
    """A RoomActor that is being started again until ``up``."""

    def __init__(self) -> None:
        self.up = False

    async def ask(self) -> ActorStatus | None:
        return ActorStatus(ONLY, "RoomActor", 7, "node", True) if self.up else None


class _Placing:
    def __init__(self, max_rooms: int = 100) -> None:
        settings = Settings(rooms=RoomSettings(max_rooms_per_actor=max_rooms))
        self.supervisor = Supervisor(settings.model_dump_json())
        self.supervisor._starting = asyncio.create_task(_opened())
        self.actor = _Actor()
        self.supervisor._rooms.add(ONLY)
        self.supervisor._liveness.watch(ONLY, "RoomActor", self.actor.ask)


async def _opened() -> Wiring:
    return cast("Wiring", object())


@pytest.fixture
async def placing() -> AsyncIterator[_Placing]:
    found = _Placing(max_rooms=1)
    yield found
    await found.supervisor._liveness.close()


async def test_a_room_waits_for_the_only_actor_that_is_being_started_again(placing: _Placing, domain: Domain) -> None:
    room = await domain.new_room()
    place = asyncio.create_task(placing.supervisor.place_room(room, None))
    await settle()
    assert not place.done()
    placing.actor.up = True
    began = asyncio.get_running_loop().time()
    assert await place == ONLY
    assert asyncio.get_running_loop().time() - began < supervisor.PATIENCE_SECONDS / 2


async def test_not_for_ever(placing: _Placing, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE_SECONDS", 0.01)
    assert await placing.supervisor.place_room(await domain.new_room(), None) is None


async def test_and_not_for_a_full_one(placing: _Placing, domain: Domain) -> None:
    placing.actor.up = True
    assert await placing.supervisor.place_room(await domain.new_room(), None) == ONLY
    began = asyncio.get_running_loop().time()
    assert await placing.supervisor.place_room(await domain.new_room(), None) is None
    assert asyncio.get_running_loop().time() - began < supervisor.PATIENCE_SECONDS / 2
