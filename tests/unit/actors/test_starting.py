"""What starts an actor's work: ``start``, by the pools or by the liveness check. Asking for a status does not."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError, RayTaskError

from actors import process, room_actor, shard_writer, state_machine
from actors.contracts import STATE_MACHINE, ActorStatus, PooledActorContract
from actors.liveness import AGAIN_SECONDS, PAUSE_SECONDS, LivenessCheck, NotStarted
from actors.metrics import RayRoomMetrics
from actors.pools import Pools
from actors.room_actor import RoomActor
from actors.shard_writer import ShardWriter
from actors.state_machine import StateMachine
from actors.status import TRIES, ask_started, ask_status
from parlor.errors import StoreUnavailable
from parlor.model.ids import ShardId
from parlor.persistence.writer import ShardWriterLoop
from parlor.rooms.commands import Wake, encode_commands
from parlor.rooms.host import RoomHost
from parlor.settings import Settings
from parlor.wiring import Wiring
from tests.unit.actors.cluster import DomainWiring, Method
from tests.unit.domain import HOME, Domain
from tests.unit.fake_clock import FakeClock, settle

pytestmark = pytest.mark.unit

SETTINGS = Settings().model_dump_json()


# The actors


class Opened:
    """Makes what each actor opens, of one domain, and notes who did; ``fails`` so many times."""

    def __init__(self, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
        self.domain = domain
        self.began: list[str] = []
        self.fails = 0

        async def host(_: RoomActor) -> RoomHost:
            self._note("RoomActor")
            return domain.host()

        async def loop(_: ShardWriter) -> ShardWriterLoop:
            self._note("ShardWriter")
            return domain.writer()

        async def wiring(_: Settings) -> Wiring:
            self._note("StateMachine")
            return DomainWiring(domain)

        async def watch(*_: object) -> None:
            self.began.append("watch")

        monkeypatch.setattr(RoomActor, "_open", host)
        monkeypatch.setattr(ShardWriter, "_open", loop)
        monkeypatch.setattr(Wiring, "open", wiring)
        monkeypatch.setattr(state_machine, "watch_supervisor", watch)
        for module in (room_actor, shard_writer):
            monkeypatch.setattr(module, "serve_calls", lambda: None)
        for module in (room_actor, process):
            monkeypatch.setattr(module, "this_node", lambda: "node")

    def _note(self, kind: str) -> None:
        self.began.append(kind)
        if self.fails:
            self.fails -= 1
            raise OSError("broken")


@pytest.fixture
def opened(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(domain, monkeypatch)


ACTORS: dict[str, Callable[[], PooledActorContract]] = {
    "RoomActor": lambda: RoomActor(SETTINGS, "rooms-000"),
    "ShardWriter": lambda: ShardWriter(SETTINGS, "writer-shard1-0", ShardId(1), [HOME]),
    "StateMachine": lambda: StateMachine(SETTINGS, "state-machine-node"),
}


@pytest.mark.parametrize("kind", ACTORS)
async def test_a_status_starts_nothing_and_says_so(opened: Opened, kind: str) -> None:
    actor = ACTORS[kind]()
    for _ in range(2):
        status = await actor.status()
        assert (status.kind, status.started, status.alive, status.node) == (kind, False, True, "node")
    await settle()
    assert opened.began == []


@pytest.mark.parametrize("kind", ACTORS)
async def test_start_begins_the_work_once(opened: Opened, kind: str) -> None:
    actor = ACTORS[kind]()
    await asyncio.gather(actor.start(), actor.start())
    await actor.start()
    assert opened.began == [kind]
    assert (await actor.status()).started


@pytest.mark.parametrize("kind", ACTORS)
async def test_a_start_that_failed_is_made_again(opened: Opened, kind: str) -> None:
    actor = ACTORS[kind]()
    opened.fails = 1
    with pytest.raises(OSError, match="broken"):
        await actor.start()
    assert not (await actor.status()).started
    await actor.start()
    assert (await actor.status()).started


async def test_the_first_state_machine_watches_the_supervisor_once(opened: Opened) -> None:
    actor = StateMachine(SETTINGS, STATE_MACHINE)
    await actor.start()
    await actor.start()
    await settle()
    assert opened.began == ["StateMachine", "watch"]


async def test_a_command_does_not_wait_for_the_start(opened: Opened) -> None:
    """The gateway may reach a restarted RoomActor before the liveness check does."""
    actor = RoomActor(SETTINGS, "rooms-000")
    room_id = await opened.domain.new_room()
    await actor.execute(encode_commands([Wake(None, room_id, "test")]), activate=True)
    status = await actor.status()
    assert (opened.began, status.started, status.rooms) == (["RoomActor"], True, [room_id])


async def test_rooms_that_stay_are_counted_again_and_again(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = RoomActor(SETTINGS, "rooms-000")
    await actor.execute(encode_commands([Wake(None, await opened.domain.new_room(), "test")]), activate=True)
    counts: list[int] = []
    monkeypatch.setattr(RayRoomMetrics, "rooms_active", lambda _, count: counts.append(count))
    for _ in range(2):
        await actor.status()
    assert counts == [1, 1]


async def test_an_actor_says_what_it_is_and_what_it_does(opened: Opened) -> None:
    assert repr(ShardWriter(SETTINGS, "writer-shard1-0", ShardId(2), [HOME])) == (
        "ShardWriter(writer-shard1-0, 1 partition of shard 2)"
    )
    assert repr(StateMachine(SETTINGS, STATE_MACHINE)) == "StateMachine(state-machine)"
    actor = RoomActor(SETTINGS, "rooms-003")
    assert repr(actor) == "RoomActor(rooms-003)"
    rooms = [await opened.domain.new_room() for _ in range(2)]
    await actor.execute(encode_commands([Wake(None, room, "test") for room in rooms]), activate=True)
    assert repr(actor) == "RoomActor(rooms-003, 2 rooms, 0 replies)"


# The Supervisor


class Process:
    """An actor's process: it has begun nothing when it is new. ``restart`` is what Ray does after a death."""

    def __init__(self) -> None:
        self.began = False
        self.starts = 0
        self.dead = False
        self.error: Exception | None = None
        self.status = Method(self._status)
        self.start = Method(self._start)

    def restart(self) -> None:
        self.began = self.dead = False

    async def _status(self) -> ActorStatus:
        if self.dead:
            raise RayActorError
        return ActorStatus("writer-shard1-0", "ShardWriter", 7, "node", True, started=self.began)

    async def _start(self) -> None:
        if self.error is not None:
            raise self.error
        self.starts += 1
        self.began = True


async def test_asking_for_a_status_does_not_start() -> None:
    process = Process()
    status = await ask_status(process)
    assert status is not None
    assert (status.started, process.starts) == (False, 0)
    process.dead = True
    assert await ask_status(process) is None


async def test_an_actor_that_ray_has_restarted_is_started_with_the_next_question() -> None:
    process, clock = Process(), FakeClock()
    process.began = True
    liveness = LivenessCheck(clock, lambda _: None, lambda _: None)
    liveness.watch("writer-shard1-0", "ShardWriter", partial(ask_started, process))
    await settle()
    assert (liveness.answers("writer-shard1-0"), process.starts) == (True, 0)
    process.dead = True
    await clock.advance(PAUSE_SECONDS)
    assert not liveness.answers("writer-shard1-0")
    process.restart()
    await clock.advance(AGAIN_SECONDS)
    assert (liveness.answers("writer-shard1-0"), process.starts) == (True, 1)
    await clock.advance(3 * PAUSE_SECONDS)
    assert process.starts == 1
    await liveness.close()


def raised(cause: Exception) -> RayTaskError:
    """How a method's exception reaches its caller."""
    return RayTaskError("start", "traceback", cause)  # type: ignore[no-untyped-call]  # Ray's


def made_wrong(cause: str) -> RayActorError:
    """How a constructor's exception reaches every caller: as text, its traceback first."""
    return RayActorError(error_msg=f"The actor died because of an error\n  File x\n{cause}\n", actor_init_failed=True)


@pytest.mark.parametrize(
    ("error", "reason", "tries"),
    [
        (raised(OSError("broken")), "OSError: broken", TRIES),
        (raised(StoreUnavailable("No store", debug="h:1")), "No store h:1", math.inf),
        (made_wrong("ValueError: no such persona"), "ValueError: no such persona", 1),
    ],
)
async def test_an_actor_that_cannot_start_says_why(error: Exception, reason: str, tries: float) -> None:
    process = Process()
    process.error = error
    with pytest.raises(NotStarted, match=reason) as caught:
        await ask_started(process)
    assert caught.value.tries == tries


async def test_an_actor_that_has_died_does_not_answer() -> None:
    process = Process()
    process.error = RayActorError()
    assert await ask_started(process) is None
    process.error = None
    status = await ask_started(process)
    assert status is not None
    assert status.started


class Made:
    """Stands in for ``ray.remote``: notes what is made, and what is started."""

    def __init__(self) -> None:
        self.starts: Counter[str] = Counter()

    def __call__(self, cls: type) -> Made:
        return self

    def options(self, **_: object) -> Made:
        return self

    def remote(self, settings_json: str, name: str, *arguments: object) -> Any:
        return SimpleNamespace(start=SimpleNamespace(remote=lambda: self.starts.update([name])))


def test_the_pools_start_what_they_make(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    monkeypatch.setattr(ray, "remote", made)
    pools = Pools(Settings(), SETTINGS)
    for _ in range(2):
        pools.ensure_state_machine("ab" * 28, first=True)
        pools.ensure_writer(ShardId(1), 0, [HOME])
    pools.make_room_actors(1)
    assert made.starts == {STATE_MACHINE: 1, "writer-shard1-0": 1, "rooms-000": 1}
