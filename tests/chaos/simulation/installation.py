"""A whole installation in one event loop: owners of rooms, writers, an edge, one Redis, two shards.

Each part is a process of its own with the production wiring (``parlor.wiring``); only the clients' network, the
databases' transport, clocks, random bits and the language model are the simulation's.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

from pydantic import SecretStr

from parlor.cache.events import CHUNK
from parlor.metrics import NoMetrics
from parlor.model.budgets import Payer
from parlor.model.ids import NO_CLUSTER, AccountId, ClusterId, RoomId, ShardId, in_cluster
from parlor.model.messages import Message, MessageDoc
from parlor.persistence.writer import ShardWriterLoop
from parlor.rooms.commands import Command, Outcome
from parlor.rooms.host import RoomHost
from parlor.rooms.reply_job import ReplyJob
from parlor.rooms.turns import adopted_job
from parlor.settings import CacheSettings, LlmSettings, QueueSettings, RedisSettings, RoomSettings, Settings
from parlor.settings.limits import LimitSettings
from parlor.wiring import Wiring
from tests.chaos.simulation.clusters import PARTITIONS, SimCluster
from tests.chaos.simulation.loop import Process, current_process
from tests.chaos.simulation.model import SimModel
from tests.chaos.simulation.redis_client import SimClient, virtual_seconds
from tests.chaos.simulation.redis_server import SimServer
from tests.chaos.simulation.store import Shards, SimStore
from tests.chaos.simulation.tools import NoServers, ToolServer
from tests.fake_redis import load_for_fakes
from tests.unit.memory_store import Templates

EPOCH = 1_750_000_000.0
"""Unix time, in seconds, when a run begins."""
SKEW_MAX = 2.0
"""Seconds by which the wall clock of a process may be off."""
SHARD, OTHER_SHARD = ShardId(1), ShardId(2)
PAYERS = [
    Payer(AccountId(name), zlib.crc32(name.encode()), partition)
    for name, partition in zip(("ada", "eve"), PARTITIONS, strict=True)
]
"""The accounts of the people."""
ANSWER_TOKENS = 150
"""Tokens that an answer may have."""
APPROVAL_TTL = timedelta(seconds=40)
CLUSTERED_OWNERS = 4
SETTINGS: dict[str, Any] = {
    "redis": RedisSettings(url=SecretStr("redis://simulated")),
    "cache": CacheSettings(messages_per_room=50, states_per_room=50),
    "queue": QueueSettings(
        batch_size=4,
        batch_limit=12,
        batch_interval=timedelta(seconds=1),
        batch_pause=timedelta(seconds=0.3),
        cleanup_interval=timedelta(seconds=8),
        lease_ttl=timedelta(seconds=6),
        lease_wait=timedelta(seconds=2),
    ),
    "rooms": RoomSettings(idle_after=timedelta(seconds=12), reply_lease=timedelta(seconds=3), max_attempts=3),
    "llm": LlmSettings(summaries=False, titles=False),
}
"""Short times, so that leases run out and rooms fall idle within a run."""


class SimClock:
    """``skews`` are the seconds by which each process's wall clock is off."""

    def __init__(self, skews: dict[str, float], process: str) -> None:
        self._skews = skews
        self._process = process

    def now_ms(self) -> int:
        return round((EPOCH + self._skews[self._process] + self.monotonic()) * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SimEntropy:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def bits(self, count: int) -> int:
        return self._chance.getrandbits(count)


class SimMetrics(NoMetrics):
    """Counts over all processes."""

    def __init__(self) -> None:
        self.stale: Counter[str] = Counter()
        """Writes of owners and writers that were refused, by script."""
        self.parked_count = 0

    def stale_write_refused(self, script: str) -> None:
        self.stale[script] += 1

    def stale_batch_refused(self, shard: int) -> None:
        self.stale["batch"] += 1

    def parked(self, shard: int) -> None:
        self.parked_count += 1


class Node:
    """One process with its own connections, and the half of ``Wiring`` that it uses."""

    def __init__(self, installation: SimInstallation, name: str) -> None:
        self.installation = installation
        self.process = Process(name)
        settings = Settings(**SETTINGS | installation.short)
        self.wiring: Wiring = self.process.context.run(Wiring, settings, SimStore(installation.shards))


class Owner(Node):
    """A RoomActor's process."""

    def __init__(self, installation: SimInstallation, name: str, cluster: ClusterId) -> None:
        super().__init__(installation, name)
        model: Any = SimModel(
            self.wiring.internal_history,
            self.wiring.memories,
            random.Random(installation.chance.random()),
            installation.cut,
            counted=installation.budget is not None,
            server=installation.tools,
        )
        ports = self.wiring.room_ports(model, installation.metrics, cluster)
        self.host = self.process.context.run(RoomHost, ports)
        self.task = self.process.spawn(self.host.run())

    def writes(self, reply: Message) -> bool:
        room = self.host._rooms.get(reply.room_id)
        return not self.process.killed and room is not None and reply.message_id in room._replies


class Writer(Node):
    """A ShardWriter's process. ``name`` outlives it."""

    def __init__(self, installation: SimInstallation, name: str, shard: ShardId = SHARD) -> None:
        super().__init__(installation, name)
        self.shard = shard
        self.wanted = list(PARTITIONS if shard == SHARD else ())
        """What it was made with, or told since."""
        ports = self.process.context.run(self.wiring.writer_ports, installation.metrics)
        self.loop = self.process.context.run(ShardWriterLoop, ports, shard, name, self.wanted)
        self.task = self.process.spawn(self.loop.run())


def _short_of(budget: int | None, asking: bool, replicated: bool) -> dict[str, Any]:
    """Settings of a run besides those of all: with a budget, a few replies use it up."""
    short: dict[str, Any] = {}
    if budget is not None:
        short["limits"] = LimitSettings(tokens_per_day=budget, answer_tokens=ANSWER_TOKENS)
        short["llm"] = LlmSettings(summaries=False, titles=False, context_tokens=256)
    if asking:
        short["rooms"] = SETTINGS["rooms"].model_copy(update={"approval_ttl": APPROVAL_TTL})
    if replicated:
        short["redis"] = RedisSettings(url=SecretStr("redis+sentinel://simulated/primary"))
    return short


class SimInstallation:
    """Made in a running ``VirtualLoop``; ``close`` it. ``chunk``: entries of an event log that are read at once;
    ``cut``: the share of answers that end by their length."""

    def __init__(
        self,
        seed: int,
        templates: Templates,
        owners: int = 3,
        writers: int = 2,
        *,
        chunk: int = CHUNK,
        cut: float = 0.0,
        budget: int | None = None,
        asking: bool = False,
        moving: bool = False,
        replicated: bool = False,
        clustered: bool = False,
    ) -> None:
        """``budget``: tokens that an account may use on one day; ``asking``: models use tools; ``moving``: there are
        writers of the other shard, and whoever tells them what has come; ``replicated``: Redis may fail over;
        ``clustered``: there are two Ray clusters."""
        self.budget = budget
        self.short = _short_of(budget, asking, replicated)
        self.cut = cut
        self._chunk = chunk
        self.chance = random.Random(seed)
        self.server = SimServer(random.Random(self.chance.random()))
        self.shards = Shards(templates, random.Random(self.chance.random()))
        self.tools = ToolServer(random.Random(self.chance.random())) if asking else None
        if replicated:
            self.server.be_replicated()
        self.metrics = SimMetrics()
        self.skews: dict[str, float] = {}
        """Of each process's wall clock, in seconds."""
        self._patches = contextlib.ExitStack()
        self._patches.enter_context(self._wired())
        self.edge = Node(self, "edge")
        self.hub = self.edge.process.context.run(self.edge.wiring.event_hub)
        self.streams = self.edge.wiring.streams(self.hub)
        self.taken: list[RoomId] = []
        """Rooms with a reply that an owner began again while another one was writing it."""
        self._names = [self._cluster_name(number, 0) for number in range(2)] if clustered else [NO_CLUSTER]
        self._lives = 0
        owners = CLUSTERED_OWNERS if clustered else owners
        self.owners = [Owner(self, f"owner-{number}", self._name_of(number)) for number in range(owners)]
        self.writers = [Writer(self, self._writer_name(number)) for number in range(writers)]
        if moving:
            self.writers += [Writer(self, f"other-{number}", OTHER_SHARD) for number in range(writers)]
            self._telling = self.edge.process.spawn(self._tell_writers())
        self._dead: list[Process] = []
        self.traffic: int | None = None if clustered else 0
        """The cluster that all requests go to; None: either."""
        if clustered:
            self.clusters = [self._new_cluster(number) for number in range(2)]
        else:
            self.clusters = [SimCluster(NO_CLUSTER, self.owners, [*range(owners)], self.edge, self.edge, self.chance)]
        if budget is not None:
            self._budgets_sweep = self.edge.process.spawn(self._sweep_budgets())

    async def close(self) -> None:
        """Ends every task that was ever begun; by now nothing that they do counts."""
        self.server.faults.down = True
        self.shards.down = True
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        here = [self.edge, *self.owners, *self.writers, *(cluster.supervisor for cluster in self.clusters)]
        for process in [*(node.process for node in here), *self._dead]:
            process.bury()
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest, timeout=60)
        self._patches.close()
        await self.shards.close()

    # Owners and writers come and go

    def restart_owner(self, number: int) -> None:
        self._bury(self.owners[number].process)
        self.owners[number] = Owner(self, f"owner-{number}", self._name_of(number))

    def restart_writer(self, number: int) -> None:
        before = self.writers[number]
        self._bury(before.process)
        self.writers[number] = Writer(self, before.process.name, before.shard)

    def kill_cluster(self, number: int) -> None:
        """All of its processes but its edge, to which nobody goes while another cluster is there."""
        for process in self._processes_of(number):
            process.kill()

    def new_cluster(self, number: int) -> None:
        """In the place of one that was killed, or drained: another one, which knows nothing of it."""
        for process in self._processes_of(number):
            self._bury(process)
        self._lives += 1
        self._names[number] = self._cluster_name(number, self._lives)
        for owner in self.clusters[number].owners:
            self.owners[owner] = Owner(self, f"owner-{owner}", self._names[number])
        self.writers[number] = Writer(self, self._writer_name(number))
        self.clusters[number] = self._new_cluster(number)

    def _new_cluster(self, number: int) -> SimCluster:
        edge = Node(self, f"edge-{number}")
        supervisor = Node(self, f"supervisor-{number}")
        own = [owner for owner in range(CLUSTERED_OWNERS) if owner % 2 == number]
        return SimCluster(self._names[number], self.owners, own, edge, supervisor, self.chance)

    def _processes_of(self, number: int) -> list[Process]:
        cluster = self.clusters[number]
        owners = [self.owners[owner].process for owner in cluster.owners]
        return [cluster.supervisor.process, *owners, self.writers[number].process]

    def _name_of(self, number: int) -> ClusterId:
        return self._names[number % len(self._names)]

    def _writer_name(self, number: int) -> str:
        """Writers of two clusters are namesakes."""
        cluster = self._name_of(number)
        return in_cluster("writer-0", cluster) if cluster else f"writer-{number}"

    @staticmethod
    def _cluster_name(number: int, life: int) -> ClusterId:
        return ClusterId(f"c{number}l{life}")

    def _bury(self, process: Process) -> None:
        process.kill()
        self._dead.append(process)

    # The way to a room's owner

    async def ask(self, command: Command) -> Outcome:
        """Sends it to either of two clusters, or to the one to which all requests go now."""
        front = self.traffic if self.traffic is not None else self.chance.randrange(len(self.clusters))
        return await self.clusters[front].ask(command)

    def misplace(self, room_id: RoomId) -> None:
        for cluster in self.clusters:
            cluster.misplace(room_id)

    async def give_away(self, room_id: RoomId) -> None:
        await asyncio.gather(*(cluster.give_away(room_id) for cluster in self.clusters))

    # What is there

    def queued_since(self) -> list[int]:
        """When each operation was queued that is not stored yet: unix time in ms, by the clock of who queued it."""
        keys = self.edge.wiring.live.keys
        queues = [self.server.look(("XRANGE", keys.queue(partition), "-", "+")) for partition in PARTITIONS]
        return [int(fields.get(b"at", 0)) for queue in queues for _, fields in queue]

    def unfinished(self) -> str:
        """What is queued or open, in words; empty for nothing."""
        keys = self.edge.wiring.live.keys
        left = []
        for partition in PARTITIONS:
            queued = self.server.look(("XLEN", keys.queue(partition)))
            open_rooms = self.server.look(("ZCARD", keys.generating(partition)))
            if queued or open_rooms:
                left.append(f"partition {partition}: {queued} queued, {open_rooms} rooms with open replies")
        return "; ".join(left)

    async def _tell_writers(self) -> None:
        """As the Supervisor does it."""
        store = self.edge.wiring.store
        while True:
            await asyncio.sleep(1.0)
            await store.refresh_shard_map()
            for writer in self.writers:
                wanted = [partition for partition in PARTITIONS if await store.shard_of(partition) == writer.shard]
                if wanted != writer.wanted and not writer.process.killed:
                    writer.wanted = wanted
                    writer.process.spawn(writer.loop.assign(wanted))

    async def _sweep_budgets(self) -> None:
        """As the Supervisor does it."""
        while True:
            await asyncio.sleep(10.0)
            await self.edge.wiring.budgets.sweep(PARTITIONS)

    def _adopted_job(
        self, reply: Message, row: MessageDoc, since: int, cut_off: int | None, *rest: Any, waits: bool = False
    ) -> ReplyJob:
        others = [owner for owner in self.owners if owner.process is not current_process()]
        if cut_off is not None and not waits and any(owner.writes(reply) for owner in others):
            self.taken.append(reply.room_id)
        return adopted_job(reply, row, since, cut_off, *rest, waits=waits)

    @contextlib.contextmanager
    def _wired(self) -> Iterator[None]:
        def clock() -> SimClock:
            process = current_process()
            name = process.name if process else ""
            self.skews.setdefault(name, self.chance.uniform(-SKEW_MAX, SKEW_MAX))
            return SimClock(self.skews, name)

        def connect(*_: object, **__: object) -> SimClient:
            return SimClient(self.server)

        def entropy() -> SimEntropy:
            return SimEntropy(random.Random(self.chance.random()))

        loop = asyncio.get_running_loop()
        with (
            virtual_seconds(lambda: EPOCH + loop.time()),
            mock.patch("parlor.cache.live.load", load_for_fakes) if self.server.replica else contextlib.nullcontext(),
            mock.patch("parlor.cache.cluster.connect", connect),
            mock.patch("parlor.cache.queue.connect", connect),
            mock.patch("parlor.wiring.connect", connect),
            mock.patch("parlor.cache.events.CHUNK", self._chunk),
            mock.patch("parlor.cache.hub.CHUNK", self._chunk),
            mock.patch("parlor.wiring.SystemClock", clock),
            mock.patch("parlor.wiring.SystemEntropy", entropy),
            mock.patch("parlor.wiring.HttpCaller", return_value=self.tools),
            mock.patch("parlor.wiring.McpServers", return_value=NoServers()),
            mock.patch("parlor.rooms.room.adopted_job", self._adopted_job),
        ):
            yield
