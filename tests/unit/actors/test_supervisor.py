"""The Supervisor places rooms while RoomActors die and come back, and wakes those that have lost their owner."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import cast

import pytest
import structlog

from actors import supervisor
from actors.contracts import STATE_MACHINE, ActorsFailed, ActorStatus
from actors.liveness import AGAIN_SECONDS, NotStarted
from actors.once import Once
from actors.supervisor import Supervisor
from parlor.cache.reads import Holder
from parlor.errors import CacheUnavailable
from parlor.model.ids import Partition, RoomId, ShardId, home_of
from parlor.rooms.commands import decode_commands, encode_outcomes
from parlor.settings import RoomSettings, Settings
from parlor.wiring import Wiring
from tests.unit.actors.cluster import DomainWiring, Method
from tests.unit.domain import NEIGHBOUR, Domain
from tests.unit.fake_clock import FakeClock, settle

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
        self.supervisor._started = Once(_opened)
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


# Starting


class _Failing:
    """An actor that does not start: ``error`` is what asking it raises."""

    def __init__(self, error: NotStarted | None, kind: str = "RoomActor") -> None:
        self.error = error
        self._kind = kind

    async def ask(self) -> ActorStatus | None:
        if self.error is not None:
            raise self.error
        return ActorStatus(ONLY, self._kind, 7, "node", True)


@pytest.fixture
async def starting(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Supervisor, FakeClock]]:
    """A Supervisor whose other actors have started."""
    clock = FakeClock()
    monkeypatch.setattr(supervisor, "SystemClock", lambda: clock)
    found = Supervisor(Settings().model_dump_json())
    found._started = Once(_opened)
    found._rooms.add(ONLY)
    found._pools.rooms[ONLY] = object()
    found._writers = {"writer-shard1-0": (ShardId(1), 0, [])}
    for name in (STATE_MACHINE, "writer-shard1-0"):
        found._liveness.watch(name, "other", _Failing(None, "other").ask)
    await settle()
    yield found, clock
    await found._liveness.close()


async def test_an_actor_that_cannot_be_made_ends_the_start_at_once(starting: tuple[Supervisor, FakeClock]) -> None:
    found, _ = starting
    ready = asyncio.create_task(found.ready())
    await settle()
    assert not ready.done()
    assert await found.missing() == ["no RoomActor answers, of 1"]
    found._liveness.watch(ONLY, "RoomActor", _Failing(NotStarted("ValueError: no such persona", 1)).ask)
    with pytest.raises(ActorsFailed, match="rooms-000: ValueError: no such persona"):
        await ready
    assert await found.missing() == ["no RoomActor answers, of 1: ValueError: no such persona"]


async def test_a_start_that_fails_again_and_again_ends_the_start(starting: tuple[Supervisor, FakeClock]) -> None:
    found, clock = starting
    ready = asyncio.create_task(found.ready())
    found._liveness.watch(ONLY, "RoomActor", _Failing(NotStarted("OSError: broken", 3)).ask)
    await settle()
    await clock.advance(AGAIN_SECONDS)
    assert not ready.done()
    await clock.advance(AGAIN_SECONDS)
    with pytest.raises(ActorsFailed, match="rooms-000: OSError: broken"):
        await ready


async def test_an_outage_does_not_end_the_start(starting: tuple[Supervisor, FakeClock]) -> None:
    found, clock = starting
    ready = asyncio.create_task(found.ready())
    actor = _Failing(NotStarted("Redis does not answer", math.inf))
    found._liveness.watch(ONLY, "RoomActor", actor.ask)
    for _ in range(100):
        await clock.advance(AGAIN_SECONDS)
    assert await found.missing() == ["no RoomActor answers, of 1: Redis does not answer"]
    actor.error = None
    await clock.advance(AGAIN_SECONDS)
    await ready
    assert (found._liveness.failure(ONLY), await found.missing()) == (None, [])


# Waking


class _Handle:
    """What the Supervisor holds of a RoomActor: notes the rooms that it is told to wake."""

    def __init__(self) -> None:
        self.woken: list[RoomId] = []
        self.execute = Method(self._execute)

    async def _execute(self, commands: bytes, activate: bool) -> bytes:
        assert activate
        self.woken += [command.room_id for command in decode_commands(commands)]
        return encode_outcomes([])


class _Waking:
    """A Supervisor whose only RoomActor takes ``max_rooms``."""

    def __init__(self, domain: Domain, max_rooms: int) -> None:
        settings = Settings(rooms=RoomSettings(max_rooms_per_actor=max_rooms))
        self.domain = domain
        self.handle = _Handle()
        self.supervisor = Supervisor(settings.model_dump_json())
        self.supervisor._wiring = DomainWiring(domain)
        self.supervisor._pools.rooms[ONLY] = self.handle
        self.supervisor._rooms.add(ONLY)
        self.holds()

    def holds(self, *rooms: RoomId) -> None:
        """What the actor answers when it is asked for its status."""
        self.supervisor._rooms.answered(ONLY, "node", rooms)

    async def overdue_room(self, after: int = 0, partition: Partition | None = None) -> RoomId:
        """A room with an unfinished reply, ``after`` so many others."""
        session = self.domain.session("ada", partition) if partition is not None else None
        room_id = await self.domain.new_room(session)
        key = self.domain.live.keys.generating(home_of(room_id))
        await self.domain.redis.zadd(key, {room_id: after})
        return room_id

    async def sweep(self) -> list[RoomId]:
        self.handle.woken.clear()
        await self.supervisor._wake_overdue()
        return sorted(self.handle.woken)


async def test_a_room_that_cannot_be_placed_does_not_keep_the_others_asleep(domain: Domain) -> None:
    waking = _Waking(domain, max_rooms=1)
    crowded_out, held = await waking.overdue_room(), await waking.overdue_room(after=1)
    waking.holds(held)
    with structlog.testing.capture_logs() as logs:
        assert await waking.sweep() == [held]
    (line,) = logs
    assert (line["event"], line["rooms"]) == ("rooms_not_woken", [crowded_out])
    waking.holds()
    assert crowded_out in await waking.sweep(), "it is tried at each sweep"


async def test_a_partition_that_cannot_be_read_does_not_keep_the_others_asleep(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    waking = _Waking(domain, max_rooms=100)
    there, away = await waking.overdue_room(), await waking.overdue_room(partition=NEIGHBOUR)
    overdue_rooms = domain.reader.overdue_rooms

    async def without_the_neighbour(partition: Partition, limit: int) -> list[RoomId]:
        if partition == NEIGHBOUR:
            raise CacheUnavailable(debug="its node is gone")
        return await overdue_rooms(partition, limit)

    with monkeypatch.context() as patch:
        patch.setattr(domain.reader, "overdue_rooms", without_the_neighbour)
        with structlog.testing.capture_logs() as logs:
            assert await waking.sweep() == [there]
        assert [line["event"] for line in logs] == ["sweep_incomplete"]
    assert await waking.sweep() == sorted([there, away])


async def test_a_room_whose_claims_cannot_be_read_does_not_keep_the_others_asleep(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    waking = _Waking(domain, max_rooms=100)
    unknown, known = await waking.overdue_room(), await waking.overdue_room()
    holder = domain.reader.holder

    async def without_one(room_id: RoomId) -> Holder:
        if room_id == unknown:
            raise CacheUnavailable(debug="timeout")
        return await holder(room_id)

    with monkeypatch.context() as patch:
        patch.setattr(domain.reader, "holder", without_one)
        assert await waking.sweep() == [known]
    assert await waking.sweep() == sorted([known, unknown])


async def test_a_fault_of_ours_is_not_taken_for_an_outage(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    waking = _Waking(domain, max_rooms=100)

    async def broken(partition: Partition, limit: int) -> list[RoomId]:
        raise TypeError("a defect")

    monkeypatch.setattr(domain.reader, "overdue_rooms", broken)
    with pytest.raises(TypeError):
        await waking.sweep()
