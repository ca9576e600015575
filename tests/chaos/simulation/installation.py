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

import msgspec
from pydantic import SecretStr

from parlor.cache.events import CHUNK
from parlor.errors import Overloaded, ParlorError, RoomMoved
from parlor.metrics import NoMetrics
from parlor.model.budgets import Payer
from parlor.model.ids import AccountId, Partition, RoomId, ShardId
from parlor.persistence.writer import ShardWriterLoop
from parlor.rooms.commands import Command, Outcome, Refused, Wake
from parlor.rooms.host import RoomHost
from parlor.settings import CacheSettings, LlmSettings, QueueSettings, RedisSettings, RoomSettings, Settings
from parlor.settings.limits import LimitSettings
from parlor.wiring import Wiring
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
PARTITIONS = (Partition(0), Partition(2))
"""Both of the first shard, when a run begins."""
PAYERS = [
    Payer(AccountId(name), zlib.crc32(name.encode()), partition)
    for name, partition in zip(("ada", "eve"), PARTITIONS, strict=True)
]
"""The accounts of the people."""
ANSWER_TOKENS = 150
"""Tokens that an answer may have."""
APPROVAL_TTL = timedelta(seconds=40)
CALL_SECONDS = 5.0
"""Longest wait of the edge for an owner, before it asks another one (``actors.channel``)."""
GIVE_AWAY_SECONDS = 20.0
"""Longest wait for the reply of a room that is to be given away."""
ROUTES = 4
"""As ``actors.routing``."""

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

    def __init__(self, installation: SimInstallation, name: str) -> None:
        super().__init__(installation, name)
        model: Any = SimModel(
            self.wiring.internal_history,
            self.wiring.memories,
            random.Random(installation.chance.random()),
            installation.cut,
            counted=installation.budget is not None,
            server=installation.tools,
        )
        ports = self.wiring.room_ports(model, installation.metrics)
        self.host = self.process.context.run(RoomHost, ports)
        self.task = self.process.spawn(self.host.run())


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
    ) -> None:
        """``budget``: tokens that an account may use on one day; ``asking``: models use tools; ``moving``: there are
        writers of the other shard, and whoever tells them what has come; ``replicated``: Redis may fail over."""
        self.budget = budget
        self.short: dict[str, Any] = {}
        """Settings of a run with a budget: a few replies use it up."""
        if budget is not None:
            self.short["limits"] = LimitSettings(tokens_per_day=budget, answer_tokens=ANSWER_TOKENS)
            self.short["llm"] = LlmSettings(summaries=False, titles=False, context_tokens=256)
        self.cut = cut
        self._chunk = chunk
        self.chance = random.Random(seed)
        self.server = SimServer(random.Random(self.chance.random()))
        self.shards = Shards(templates, random.Random(self.chance.random()))
        self.tools = ToolServer(random.Random(self.chance.random())) if asking else None
        if asking:
            self.short["rooms"] = SETTINGS["rooms"].model_copy(update={"approval_ttl": APPROVAL_TTL})
        if replicated:
            self.server.be_replicated()
            self.short["redis"] = RedisSettings(url=SecretStr("redis+sentinel://simulated/primary"))
        self.metrics = SimMetrics()
        self.skews: dict[str, float] = {}
        """Of each process's wall clock, in seconds."""
        self._patches = contextlib.ExitStack()
        self._patches.enter_context(self._wired())
        self.edge = Node(self, "edge")
        self.hub = self.edge.process.context.run(self.edge.wiring.event_hub)
        self.streams = self.edge.wiring.streams(self.hub)
        self.owners = [Owner(self, f"owner-{number}") for number in range(owners)]
        self.writers = [Writer(self, f"writer-{number}") for number in range(writers)]
        if moving:
            self.writers += [Writer(self, f"other-{number}", OTHER_SHARD) for number in range(writers)]
            self._telling = self.edge.process.spawn(self._tell_writers())
        self._places: dict[RoomId, int] = {}
        self._dead: list[Node] = []
        self._known: dict[RoomId, int] = {}
        self._sweep = self.edge.process.spawn(self._wake_overdue())
        if budget is not None:
            self._budgets_sweep = self.edge.process.spawn(self._sweep_budgets())

    async def close(self) -> None:
        """Ends every task that was ever begun; by now nothing that they do counts."""
        self.server.faults.down = True
        self.shards.down = True
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        for node in [self.edge, *self.owners, *self.writers, *self._dead]:
            node.process.bury()
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest, timeout=60)
        self._patches.close()
        await self.shards.close()

    # Owners and writers come and go

    def restart_owner(self, number: int) -> None:
        self._bury(self.owners[number])
        self.owners[number] = Owner(self, f"owner-{number}")

    def restart_writer(self, number: int) -> None:
        before = self.writers[number]
        self._bury(before)
        self.writers[number] = Writer(self, before.process.name, before.shard)

    def _bury(self, node: Node) -> None:
        node.process.kill()
        self._dead.append(node)

    # The way to a room's owner

    async def ask(self, command: Command) -> Outcome:
        """As the gateway does it: to the room's place, and to another one when that does not answer. The same command
        may reach several owners, the last copy of it long after the answer."""
        failed: int | None = None
        known = self._known.get(command.room_id)
        if known is not None:
            outcome = await self._call(known, command, activate=False)
            if outcome is not None and not _moved(outcome):
                return outcome
            failed = known if outcome is None else None
            self._known.pop(command.room_id, None)
        for _ in range(ROUTES):
            await asyncio.sleep(0.25)
            ticket = await self.edge.wiring.reader.claims(command.room_id)
            place = self._place(command.room_id, failed)
            outcome = await self._call(place, msgspec.structs.replace(command, ticket=ticket), activate=True)
            if outcome is None:
                failed = place
            elif not _moved(outcome):
                self._known[command.room_id] = place
                return outcome
        raise Overloaded("The room is being moved", retry_after=1.0)

    async def _call(self, place: int, command: Command, *, activate: bool) -> Outcome | None:
        """None: no answer in time; it may have happened, or happen later."""
        await asyncio.sleep(self.chance.uniform(0.0005, 0.005))
        owner = self.owners[place]
        served = owner.process.spawn(owner.host.execute([command], activate=activate))
        done, _ = await asyncio.wait({served}, timeout=0.05 if owner.process.killed else CALL_SECONDS)
        return served.result()[0] if done else None

    def misplace(self, room_id: RoomId) -> None:
        """Another owner is asked from now on, while the one that holds the room lives."""
        self._known.pop(room_id, None)
        self._places[room_id] = self.chance.randrange(len(self.owners))

    async def give_away(self, room_id: RoomId) -> None:
        """Its owner lets the room go between two replies, as the Supervisor asks when it gets an actor of its own; only
        then is another one asked."""
        holder = self._places.get(room_id)
        if holder is None:
            return
        owner = self.owners[holder]
        asked = owner.process.spawn(owner.host.give_away(room_id, GIVE_AWAY_SECONDS))
        done, _ = await asyncio.wait({asked}, timeout=GIVE_AWAY_SECONDS + CALL_SECONDS)
        if done and asked.result():
            others = [number for number in range(len(self.owners)) if number != holder]
            self._places[room_id] = self.chance.choice(others)

    def _place(self, room_id: RoomId, failed: int | None) -> int:
        if room_id not in self._places or self._places[room_id] == failed:
            others = [number for number in range(len(self.owners)) if number != failed]
            self._places[room_id] = self.chance.choice(others)
        return self._places[room_id]

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

    async def _wake_overdue(self) -> None:
        """The Supervisor's sweep."""
        while True:
            await asyncio.sleep(1.0)
            for partition in PARTITIONS:
                try:
                    for room_id in await self.edge.wiring.reader.overdue_rooms(partition, 100):
                        await self.ask(Wake(None, room_id, "sweep"))
                except ParlorError:
                    continue  # The next sweep may do better.

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
        ):
            yield


def _moved(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.error.kind == RoomMoved.__name__
