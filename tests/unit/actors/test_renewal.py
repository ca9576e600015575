"""An actor gets a new process: its rooms are handed over before, and nobody relies on a new one that does not start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast

import pytest
from ray.exceptions import RayActorError

from actors import renewal
from actors.contracts import STATE_MACHINE, ActorsFailed, ActorStatus
from actors.graduation import Graduation
from actors.liveness import LivenessCheck, NotStarted
from actors.pools import Pools, state_machine_name
from actors.renewal import Renewal
from parlor.clock import SystemClock
from parlor.model.ids import RoomId
from parlor.rooms.commands import decode_commands
from parlor.rooms.pool import RoomPool
from parlor.settings import RoomSettings
from tests.unit.actors.cluster import NODE, Method

pytestmark = pytest.mark.unit

SHARED, NEXT, THIRD, OWN = "rooms-000", "rooms-001", "rooms-002", "room-a"
ROOM, OTHER = RoomId("a"), RoomId("b")
WRITER = "writer-shard1-0"


class Actor:
    """A process that knows its rooms."""

    def __init__(self, name: str, kind: str, book: list[str]) -> None:
        self.name, self.kind, self.book = name, kind, book
        self.pid = 1
        self.rooms: list[RoomId] = []
        self.stays: set[RoomId] = set()
        """Rooms whose reply takes longer than anybody waits."""
        self.broken = False
        self.failure: NotStarted | None = None
        self.nowhere = False
        """It waits for a node."""
        self.status, self.stop = Method(self._status), Method(self._stop)
        self.give_away, self.execute = Method(self._give_away), Method(self._execute)

    async def ask(self) -> ActorStatus | None:
        if self.failure is not None:
            raise self.failure
        return None if self.nowhere else await self._status()

    async def _status(self) -> ActorStatus:
        return ActorStatus(self.name, self.kind, self.pid, NODE, True, rooms=[str(room) for room in self.rooms])

    async def _stop(self) -> None:
        self.book.append(f"stop {self.name}")
        if self.broken:
            raise RayActorError

    async def _give_away(self, room: RoomId, seconds: float) -> bool:
        self.book.append(f"{room} leaves {self.name}")
        if room in self.stays:
            return False
        self.rooms.remove(room)
        return True

    async def _execute(self, commands: bytes, activate: bool) -> bytes:
        self.book.append(f"woken at {self.name}")
        self.rooms += [command.room_id for command in decode_commands(commands)]
        return b""


class FakePools:
    """Makes actors without Ray."""

    def __init__(self) -> None:
        self.book: list[str] = []
        self.rooms: dict[str, Any] = {}
        self.writers: dict[str, Any] = {WRITER: Actor(WRITER, "ShardWriter", self.book)}
        self.state_machines: dict[str, Any] = {STATE_MACHINE: Actor(STATE_MACHINE, "StateMachine", self.book)}
        self.failure: NotStarted | None = None

    @property
    def all(self) -> dict[str, tuple[str, Actor]]:
        return {
            name: (one.kind, one)
            for group in (self.rooms, self.writers, self.state_machines)
            for name, one in group.items()
        }

    def make_room_actors(self, count: int) -> None:
        assert count == 1
        name = next(name for name in (SHARED, NEXT) if name not in self.rooms)
        self.make(name)

    def make(self, name: str) -> Actor:
        self.rooms[name] = made = Actor(name, "RoomActor", self.book)
        made.failure = self.failure
        return made

    def ensure_state_machine(self, node: str, *, first: bool) -> None:
        name = state_machine_name(node, first=first)
        self.state_machines[name] = Actor(name, "StateMachine", self.book)

    def restart(self, name: str) -> None:
        self.book.append(f"restart {name}")
        _, actor = self.all[name]
        actor.pid += 1
        actor.rooms, actor.failure = [], self.failure

    def end(self, name: str) -> None:
        self.book.append(f"end {name}")
        for group in (self.rooms, self.writers, self.state_machines):
            group.pop(name, None)


class Scene:
    def __init__(self, *, bound: bool = False) -> None:
        self.pools = FakePools()
        self.rooms = RoomPool(RoomSettings(actors_min=1, actors_max=1), SystemClock(), 1)
        self.liveness = LivenessCheck(SystemClock(), self._answered, self.rooms.silent)
        pools = cast("Pools", self.pools)
        self.graduation = Graduation(self.rooms, pools, self._change, self._claims, lambda: False)
        parts = (pools, self.rooms, self.liveness, self.graduation, self._change, self._retire)
        self.renewal = Renewal(*parts, bound=bound)

    def _answered(self, status: ActorStatus) -> None:
        if status.kind == "RoomActor":
            self.rooms.answered(status.name, status.node, [RoomId(room) for room in status.rooms])

    async def _change(self, action: Callable[[], None]) -> None:
        action()
        for name, (kind, actor) in self.pools.all.items():
            self.liveness.watch(name, kind, actor.ask)
        for name in self.pools.rooms.keys() - self.rooms.names:
            self.rooms.add(name)

    async def _claims(self, room: RoomId) -> int:
        return 7

    async def _retire(self, name: str, seconds: float) -> None:
        self.pools.book.append(f"retire {name}")
        self.liveness.forget(name)
        self.pools.end(name)
        self.rooms.remove(name)

    async def with_room_actor(self, name: str, *rooms: RoomId) -> Actor:
        actor = self.pools.make(name)
        actor.rooms = list(rooms)
        await self._change(lambda: None)
        await self.liveness.until(partial(self.liveness.answers, name))
        return actor


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(renewal, "this_node", lambda: NODE)
    found = Scene()
    async with asyncio.timeout(20):
        yield found
    await found.liveness.close()


@pytest.fixture
async def bound(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Nodes have no place for one actor more."""
    found = Scene(bound=True)
    async with asyncio.timeout(20):
        yield found
    await found.liveness.close()


async def test_where_nodes_are_full_the_others_take_the_rooms_and_its_place_is_its_own(bound: Scene) -> None:
    await bound.with_room_actor(SHARED, ROOM, OTHER)
    await bound.with_room_actor(NEXT)
    await bound.with_room_actor(THIRD)
    status = await bound.renewal.renew(SHARED, 5.0)
    assert status is not None
    assert (status.name, status.pid) == (SHARED, 2)
    book = bound.pools.book
    assert sorted(book[:-1]) == ["a leaves rooms-000", "b leaves rooms-000", "woken at rooms-001", "woken at rooms-002"]
    assert book[-1] == "restart rooms-000"
    assert {bound.rooms.place(ROOM), bound.rooms.place(OTHER)} == {NEXT, THIRD}


async def test_one_that_waited_for_a_node_may_take_the_place(bound: Scene) -> None:
    old = await bound.with_room_actor(SHARED, ROOM)
    await bound.with_room_actor(NEXT)
    waiting = bound.pools.make(THIRD)
    waiting.nowhere = True
    await bound._change(lambda: None)

    def restart(name: str) -> None:
        old.nowhere, waiting.nowhere = True, False

    bound.pools.restart = restart  # type: ignore[method-assign]
    status = await bound.renewal.renew(SHARED, 5.0)
    assert status is not None
    assert status.name == THIRD
    assert bound.pools.book[-2:] == ["retire rooms-000", "end rooms-000"]
    assert set(bound.rooms.answering) == {NEXT, THIRD}


async def test_rooms_move_to_the_successor_before_their_actor_ends(scene: Scene) -> None:
    await scene.with_room_actor(SHARED, ROOM, OTHER)
    status = await scene.renewal.renew(SHARED, 5.0)
    assert status is not None
    assert status.name == NEXT
    book = scene.pools.book
    assert sorted(book[:-2]) == ["a leaves rooms-000", "b leaves rooms-000", "woken at rooms-001", "woken at rooms-001"]
    assert book[-2:] == ["retire rooms-000", "end rooms-000"]
    assert {scene.rooms.place(room) for room in (ROOM, OTHER, RoomId("c"))} == {NEXT}


async def test_a_room_whose_reply_takes_too_long_leaves_with_its_actor(scene: Scene) -> None:
    actor = await scene.with_room_actor(SHARED, ROOM, OTHER)
    actor.stays.add(ROOM)
    await scene.renewal.renew(SHARED, 0.1)
    assert scene.pools.book.count("a leaves rooms-000") == 1, "it is asked for once"
    assert scene.pools.book[-2:] == ["retire rooms-000", "end rooms-000"]


async def test_a_successor_that_does_not_start_is_removed_and_everything_stays(scene: Scene) -> None:
    await scene.with_room_actor(SHARED, ROOM)
    scene.pools.failure = NotStarted("no module named x", 1)
    with pytest.raises(ActorsFailed, match="rooms-001: no module named x"):
        await scene.renewal.renew(SHARED, 5.0)
    assert scene.pools.book == ["end rooms-001"]
    assert scene.rooms.names == {SHARED}
    assert scene.rooms.place(ROOM) == SHARED


async def test_a_room_is_shared_while_its_own_actor_is_replaced(scene: Scene) -> None:
    await scene.with_room_actor(SHARED)
    own = await scene.with_room_actor(OWN, ROOM)
    assert scene.rooms.place(ROOM) == OWN
    status = await scene.renewal.renew(OWN, 5.0)
    assert status is not None
    assert (status.name, status.pid, own.pid) == (OWN, 2, 2)
    assert scene.pools.book == ["a leaves room-a", "woken at rooms-000", "restart room-a"]
    assert scene.rooms.place(ROOM) == SHARED
    assert [own for _, _, own in scene.rooms.to_move()] == [OWN], "it moves in again"


@pytest.mark.parametrize("broken", [False, True])
async def test_a_writer_commits_first_if_it_can(scene: Scene, broken: bool) -> None:
    await scene._change(lambda: None)
    scene.pools.writers[WRITER].broken = broken
    status = await scene.renewal.renew(WRITER, 5.0)
    assert status is not None
    assert (status.name, status.pid) == (WRITER, 2)
    assert scene.pools.book == [f"stop {WRITER}", f"restart {WRITER}"]


async def test_another_state_machine_stands_in_for_the_first(scene: Scene) -> None:
    await scene._change(lambda: None)
    helper = state_machine_name(NODE, first=False)
    restart, called = scene.pools.restart, list[str]()

    def watched(name: str) -> None:
        called.append(scene.renewal.instead_of(STATE_MACHINE))
        restart(name)

    scene.pools.restart = watched  # type: ignore[method-assign]
    status = await scene.renewal.renew(STATE_MACHINE, 5.0)
    assert status is not None
    assert (status.name, status.pid) == (STATE_MACHINE, 2)
    assert called == [helper]
    assert scene.renewal.instead_of(STATE_MACHINE) == STATE_MACHINE
    assert set(scene.pools.state_machines) == {STATE_MACHINE}


async def test_an_actor_that_does_not_start_again_says_why(scene: Scene) -> None:
    await scene._change(lambda: None)
    scene.pools.failure = NotStarted("broken", 1)
    with pytest.raises(ActorsFailed, match=f"{WRITER}: broken"):
        await scene.renewal.renew(WRITER, 5.0)


async def test_one_that_is_gone_is_nothing_to_do(scene: Scene) -> None:
    assert await scene.renewal.renew("room-gone", 5.0) is None


async def test_an_answer_of_the_old_process_is_not_the_new_ones(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene._change(lambda: None)
    monkeypatch.setattr(renewal, "START_SECONDS", 0.5)
    scene.pools.restart = lambda name: None  # type: ignore[method-assign]
    with pytest.raises(ActorsFailed, match="did not start within"):
        await scene.renewal.renew(WRITER, 5.0)
