"""A gateway of one cluster and the actors of another one: who serves, and what the Supervisors leave to each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest

from actors.clusters import Clusters
from actors.once import Once
from actors.overdue import overdue_wakes
from actors.supervisor import Supervisor
from parlor.errors import Overloaded
from parlor.model.ids import ClusterId, RoomId, home_of
from parlor.model.requests import ReplyMode, SendRequest
from parlor.settings import Settings
from parlor.wiring import Wiring
from tests.unit.actors.cluster import Cluster, DomainWiring, FakeRoomActor, Method
from tests.unit.domain import HOME, Domain, settle

pytestmark = pytest.mark.unit

BLUE, GREEN = ClusterId("0b1"), ClusterId("9ee")
SAY = SendRequest("Hello", reply=ReplyMode.NONE)
_T = TypeVar("_T")


class Blue:
    """The Supervisor's part of the other cluster, and two RoomActors."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.actors = {name: FakeRoomActor(domain.host(BLUE)) for name in ("rooms-000", "rooms-001")}
        self.place: str | None = "rooms-000"
        self.failed: list[str | None] = []
        self.clusters = Clusters(BLUE, self._place, self.actors)
        self.clusters.begin(DomainWiring(domain))

    async def _place(self, room_id: RoomId, failed: str | None) -> str | None:
        self.failed.append(failed)
        return "rooms-001" if failed is not None else self.place

    async def holds(self, room_id: RoomId) -> None:
        actor = self.actors["rooms-000"]
        await actor.host.execute([self.domain.send_command(room_id, reply=ReplyMode.NONE)], activate=True)


@pytest.fixture
async def blue(domain: Domain) -> AsyncIterator[Blue]:
    found = Blue(domain)
    await settle()
    yield found
    await found.clusters.close()


@pytest.fixture
def green(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(domain, monkeypatch, cluster=GREEN)


async def done(domain: Domain, work: Coroutine[Any, Any, _T]) -> _T:
    task = asyncio.create_task(work)
    await settle()
    while not task.done():
        await domain.clock.advance(0.01)
    return await task


async def test_a_gateway_has_another_cluster_serve_the_rooms_that_are_there(
    domain: Domain, blue: Blue, green: Cluster
) -> None:
    room_id, gateway = await domain.new_room(), green.gateway()
    await blue.holds(room_id)
    for seq in (2, 3):
        assert (await done(domain, gateway.send_message(domain.ada, room_id, SAY))).message.seq == seq
    assert blue.actors["rooms-000"].host.rooms == [room_id]
    assert green.supervisor.asked == []


async def test_it_asks_again_when_the_actor_there_died_and_that_cluster_finds_another_one(
    domain: Domain, blue: Blue, green: Cluster
) -> None:
    room_id, gateway = await domain.new_room(), green.gateway()
    await blue.holds(room_id)
    blue.actors["rooms-000"].dies_after_the_call = True
    receipt = await done(domain, gateway.send_message(domain.ada, room_id, SAY))
    assert receipt.message.seq == 2, "and not twice"
    assert blue.failed == [None, "rooms-000"]
    assert blue.actors["rooms-001"].host.rooms == [room_id]


async def test_it_takes_the_room_when_the_other_cluster_has_died(domain: Domain, blue: Blue, green: Cluster) -> None:
    room_id, gateway = await domain.new_room(), green.gateway()
    await blue.holds(room_id)
    await blue.clusters.close()
    assert (await done(domain, gateway.send_message(domain.ada, room_id, SAY))).message.seq == 2
    assert [room_id] in [actor.host.rooms for actor in green.actors.values()]


async def test_a_cluster_that_dies_while_it_serves_is_not_waited_for(
    domain: Domain, blue: Blue, green: Cluster
) -> None:
    room_id, gateway = await domain.new_room(), green.gateway()
    await blue.holds(room_id)
    blue.actors["rooms-000"].hangs = True
    sending = domain.spawn(gateway.send_message(domain.ada, room_id, SAY))
    await domain.clock.advance(0.1)
    taking = blue.clusters._taking
    assert taking is not None
    taking.cancel()
    await domain.redis.delete(domain.live.keys.alive(BLUE))  # as when it expires
    began = domain.clock.monotonic()
    assert (await done(domain, _value(sending))).message.seq == 2
    assert domain.clock.monotonic() - began < 1.0


async def _value(task: asyncio.Task[_T]) -> _T:
    return await task


async def test_a_full_pool_there_is_said(domain: Domain, blue: Blue, green: Cluster) -> None:
    room_id = await domain.new_room()
    await blue.holds(room_id)
    blue.place = None
    with pytest.raises(Overloaded):
        await done(domain, green.gateway().send_message(domain.ada, room_id, SAY))


async def test_the_sweep_leaves_rooms_to_the_cluster_that_has_them(domain: Domain, blue: Blue) -> None:
    theirs, nobodys = await domain.new_room(), await domain.new_room()
    await blue.holds(theirs)
    for room_id in (theirs, nobodys):
        await domain.redis.zadd(domain.live.keys.generating(home_of(room_id)), {room_id: 1})
    elsewhere = DomainWiring(domain).forwarder(GREEN).elsewhere
    assert [wake.room_id for wake in await overdue_wakes(domain.reader, [HOME], elsewhere)] == [nobodys]
    assert len(await overdue_wakes(domain.reader, [HOME], blue.clusters.elsewhere)) == 2
    await blue.clusters.close()
    assert len(await overdue_wakes(domain.reader, [HOME], elsewhere)) == 2


async def test_a_supervisor_without_ray_has_no_other_clusters(domain: Domain) -> None:
    alone = Clusters(ClusterId(""), Blue(domain)._place, {})
    alone.begin(DomainWiring(domain))
    assert await alone.others() == []
    assert await alone.elsewhere({BLUE}) == set()
    await alone.close()


class _RecordingActor:
    """A RoomActor's handle: what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.leave, self.drain = Method(self._leave), Method(self._drain)

    async def _leave(self, _seconds: float) -> None:
        self.asked.append("leave")

    async def _drain(self, _seconds: float) -> None:
        self.asked.append("drain")


@pytest.mark.parametrize("there", [True, False])
async def test_a_cluster_that_is_drained_lets_its_rooms_go_first_while_another_one_lives(
    domain: Domain, blue: Blue, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if not there:
        await blue.clusters.close()
    supervisor = Supervisor(Settings().model_dump_json())

    async def opened() -> Wiring:
        return DomainWiring(domain)

    supervisor._started = Once(opened)
    supervisor._clusters = Clusters(GREEN, supervisor.place_room, {})
    supervisor._clusters.begin(DomainWiring(domain))
    told = supervisor._pools.rooms["rooms-000"] = _RecordingActor()
    monkeypatch.setattr(supervisor._liveness, "answers", lambda _: True)
    await settle()
    assert await domain.clusters.lives(GREEN)
    await supervisor.drain(1.0)
    assert told.asked == (["leave", "drain"] if there else ["drain"])
    assert not await domain.clusters.lives(GREEN)


async def test_those_that_live_are_known_beside_the_own_one(domain: Domain, blue: Blue) -> None:
    assert await done(domain, blue.clusters.known()) == {BLUE: "this one"}

    async def nowhere(room_id: RoomId, failed: str | None) -> None:
        return None

    green = Clusters(GREEN, nowhere, {})
    green.begin(DomainWiring(domain))
    await settle()
    assert await done(domain, blue.clusters.known()) == {BLUE: "this one", GREEN: "lives"}
    await green.close()
    assert await done(domain, blue.clusters.known()) == {BLUE: "this one"}
