"""What is done to processes. A fault is applied, healed, and then *probed* until it is healed: nothing sleeps for it.

``aim`` finds what is to be hit, ``apply`` returns when the damage is done, ``heal`` undoes what does not heal by
itself, ``is_healed`` asks once.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from parlor_cli import processes
from parlor_cli.processes import ProcessRef
from parlor_cli.servers import mariadb, redis
from tests.chaos.checker import Foreign
from tests.chaos.system.load import Delivery
from tests.chaos.system.target import Target
from tests.installation import Kind

PROBE = 0.05
"""Seconds between two probes."""
STOPPED_SECONDS = (5.0, 40.0)
"""How long a process is stopped: from a liveness check's patience (5 s) to beyond a writer's lease (30 s)."""
BUSY_SECONDS = 0.5
"""How long workers are looked at."""
FIND_SECONDS = 60.0
"""Longest wait for a process to be hit: after the fault before, Ray may still be starting it."""


class Blow:
    """One kind of damage; an instance is one occurrence."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]] = ("embedded", "private")
    """What it can be done to."""
    within: ClassVar[float | None] = None
    """Seconds in which every room is to take sends again, from ``back_at`` on; None: no promise."""
    needs_disks: ClassVar[bool] = False
    needs_nodes: ClassVar[bool] = False
    """Whether it is for an installation on two nodes, and for no other."""
    needs_replicas: ClassVar[bool] = False
    """Whether it is for an installation whose Redis fails over, and for no other."""
    loses: ClassVar[bool] = False
    """Whether what was acknowledged and not stored may be lost."""

    def __init__(self, target: Target, chance: random.Random, stopped: tuple[float, float] = STOPPED_SECONDS) -> None:
        self.target = target
        self.chance = chance
        self.stopped = stopped
        self.back_at: float | None = None
        """When what was hit was there again, by ``time.monotonic``; None: the promise counts from ``apply``."""
        self.foreign: Foreign | None = None
        """What became of another installation's Redis that was a part of it."""
        self.notes = ""
        """What else there is to say about it."""

    async def aim(self) -> None:
        """Finds out what to hit; the fault begins with ``apply``."""

    async def apply(self) -> None:
        raise NotImplementedError

    async def heal(self) -> None:
        """Most heal by themselves."""

    async def is_healed(self) -> bool:
        return True

    def say_of(self, felt: Sequence[Delivery], applied_at: float) -> str:
        """What else there is to say about it, when those messages were on their way during it."""
        return self.notes


class KillWorker(Blow):
    """SIGKILL of one of Ray's workers; another one has to take its place."""

    title: ClassVar[str]

    async def aim(self) -> None:
        self._before = await until_some(lambda: self.target.workers(self.title))
        self._victim = await busiest(self._before)

    async def apply(self) -> None:
        processes.send(self._victim, signal.SIGKILL)
        await gone([self._victim])

    async def is_healed(self) -> bool:
        return len(self.target.workers(self.title)) >= len(self._before)


class StopWorker(Blow):
    """SIGSTOP, and SIGCONT when it has been away for longer than its lease: what it then writes is stale."""

    title: ClassVar[str]

    async def aim(self) -> None:
        self._victim = await busiest(await until_some(lambda: self.target.workers(self.title)))

    async def apply(self) -> None:
        processes.send(self._victim, signal.SIGSTOP)

    async def heal(self) -> None:
        try:
            await asyncio.sleep(self.chance.uniform(*self.stopped))
        finally:
            # Ray may have killed it meanwhile, and started another.
            processes.send(self._victim, signal.SIGCONT)

    async def is_healed(self) -> bool:
        return bool(self.target.workers(self.title))


class KillRoomActor(KillWorker):
    name, title, within = "kill-room-actor", "RoomActor", 5.0


class StopRoomActor(StopWorker):
    name, title = "stop-room-actor", "RoomActor"


class KillWriter(KillWorker):
    name, title, within = "kill-writer", "ShardWriter", 5.0


class StopWriter(StopWorker):
    name, title = "stop-writer", "ShardWriter"


class KillStateMachine(KillWorker):
    name, title = "kill-state-machine", "StateMachine"


class StopStateMachine(StopWorker):
    name, title = "stop-state-machine", "StateMachine"


class KillSupervisor(KillWorker):
    name, title = "kill-supervisor", "Supervisor"


class StopSupervisor(StopWorker):
    name, title = "stop-supervisor", "Supervisor"


class KillReplica(KillWorker):
    name, title = "kill-replica", "ServeReplica:parlor:ChatApi"


class StopReplica(StopWorker):
    name, title = "stop-replica", "ServeReplica:parlor:ChatApi"


class KillProxy(Blow):
    """SIGKILL of HAProxy, whose manager ends with it; Serve starts both again."""

    name = "kill-proxy"

    async def apply(self) -> None:
        found = await until_some(self.target.proxies)
        for ref in found:
            processes.send(ref, signal.SIGKILL)
        await gone(found)

    async def is_healed(self) -> bool:
        return bool(self.target.proxies())


class StopProxy(Blow):
    name = "stop-proxy"

    async def apply(self) -> None:
        self._victims = await until_some(self.target.proxies)
        for ref in self._victims:
            processes.send(ref, signal.SIGSTOP)

    async def heal(self) -> None:
        try:
            await asyncio.sleep(self.chance.uniform(*self.stopped))
        finally:
            for ref in self._victims:
                processes.send(ref, signal.SIGCONT)

    async def is_healed(self) -> bool:
        return bool(self.target.proxies())


class KillServer(Blow):
    """SIGKILL of a database server; the launcher starts it again."""

    server: ClassVar[str]
    within: ClassVar[float | None] = 5.0

    async def apply(self) -> None:
        self._victim = self.target.server(self.server)
        processes.send(self._victim, signal.SIGKILL)
        await gone([self._victim])

    async def is_healed(self) -> bool:
        back = self.target.server(self.server) != self._victim and self.answers()
        if back and self.back_at is None:
            self.back_at = time.monotonic()
        return back

    def answers(self) -> bool:
        socket = self.target.runtime_dir / f"{self.server}.sock"
        if self.server == "redis":
            return redis.answers(socket, self.target.redis_password(redis.USER))
        return mariadb.answers(socket)


class StopServer(Blow):
    """A database server that is there and says nothing."""

    server: ClassVar[str]
    within: ClassVar[float | None] = 5.0

    async def apply(self) -> None:
        self._victim = self.target.server(self.server)
        processes.send(self._victim, signal.SIGSTOP)

    async def heal(self) -> None:
        try:
            await asyncio.sleep(self.chance.uniform(*self.stopped))
        finally:
            processes.send(self._victim, signal.SIGCONT)
        self.back_at = time.monotonic()


class KillRedis(KillServer):
    name, server = "kill-redis", "redis"


class StopRedis(StopServer):
    name, server = "stop-redis", "redis"


class KillMariadb(KillServer):
    name, server, kinds = "kill-mariadb", "mariadb", ("private",)


class StopMariadb(StopServer):
    name, server, kinds = "stop-mariadb", "mariadb", ("private",)


class KillModel(KillServer):
    """The language model: replies end with a reason."""

    name, server, within = "kill-model", "demo-model", None

    def answers(self) -> bool:
        return True


class EmptyRedis(KillServer):
    """Redis loses its disk. What it had acknowledged and the shards did not have yet is lost, and nothing else."""

    name, server, within, loses = "empty-redis", "redis", None, True

    async def apply(self) -> None:
        launcher = self.target.run.launcher
        # It would start Redis again on the old file at once.
        processes.send(launcher, signal.SIGSTOP)
        try:
            await super().apply()
            for path in (self.target.data_dir / "redis/appendonlydir").iterdir():
                path.unlink()
        finally:
            processes.send(launcher, signal.SIGCONT)


class KillAll(Blow):
    """kill -9 of the whole installation, then `up`."""

    name = "kill-all"

    async def apply(self) -> None:
        await asyncio.to_thread(self.target.kill_everything)

    async def heal(self) -> None:
        await asyncio.to_thread(self.target.up)
        self.back_at = time.monotonic()


class FillDisk(Blow):
    disk: ClassVar[str]
    seconds = 10.0
    needs_disks = True

    async def apply(self) -> None:
        await asyncio.to_thread(self.target.disks[self.disk].fill)

    async def heal(self) -> None:
        try:
            await asyncio.sleep(self.seconds)
            # What was freed meanwhile, by a rewrite or a restart, is taken too.
            await asyncio.to_thread(self.target.disks[self.disk].fill)
            await asyncio.sleep(self.seconds)
        finally:
            self.target.disks[self.disk].free()
        self.back_at = time.monotonic()


class FillRedisDisk(FillDisk):
    """Redis ends by it, again and again; the launcher starts it when it may."""

    name, disk, within = "fill-redis-disk", "redis", 5.0

    async def is_healed(self) -> bool:
        answers = redis.answers(self.target.runtime_dir / "redis.sock", self.target.redis_password(redis.USER))
        if answers:
            self.back_at = time.monotonic()
        return answers


class FillShardDisk(FillDisk):
    name, disk = "fill-shard-disk", "shard"

    async def is_healed(self) -> bool:
        return self.target.kind == "embedded" or mariadb.answers(self.target.runtime_dir / "mariadb.sock")


async def until_some(look: Callable[[], list[ProcessRef]]) -> list[ProcessRef]:
    """What it finds; raises ``TimeoutError`` when there is nothing for a minute."""
    deadline = time.monotonic() + FIND_SECONDS
    while True:
        if found := await asyncio.to_thread(look):
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing to hit for {FIND_SECONDS:g} s")
        await asyncio.sleep(PROBE)


async def busiest(refs: list[ProcessRef]) -> ProcessRef:
    """The one that works most: after an owner's death its rooms are another one's, and to hit an idle one is easy."""
    before = [_cpu_ticks(ref) for ref in refs]
    await asyncio.sleep(BUSY_SECONDS)
    worked = [_cpu_ticks(ref) - ticks for ref, ticks in zip(refs, before, strict=True)]
    return refs[worked.index(max(worked))]


def _cpu_ticks(ref: ProcessRef) -> int:
    """That it has worked so far; 0 when it is gone."""
    try:
        text = (processes.PROC / str(ref.pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[11]) + int(fields[12])


async def gone(refs: list[ProcessRef]) -> None:
    left = await asyncio.to_thread(processes.wait_until_gone, refs, 10.0)
    if left:
        raise TimeoutError(f"still there after SIGKILL: {left}")
