"""All of Parlor's domain in one process, on a real Redis and a real MariaDB: owners that take rooms from each other,
and writers that take partitions from each other."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from parlor.cache.clients import connect
from parlor.cache.cluster import open_pipeline
from parlor.errors import CacheUnavailable, ParlorError
from parlor.llm.ports import Completion, Context, Persona, TextDelta
from parlor.metrics import NoMetrics
from parlor.model.ids import AccountId, IdMint, Partition, RoomId
from parlor.model.messages import FinishReason, Message, Usage
from parlor.persistence.writer import ShardWriterLoop
from parlor.rooms.commands import Command, Wake
from parlor.rooms.host import RoomHost
from parlor.settings import Settings
from parlor.store.addresses import store_addresses
from parlor.store.migrations import open_store
from parlor.tools.toolbox import Toolbox
from parlor.wiring import Wiring
from tests.chaos.call_rules import ToolKind
from tests.chaos.checker import FinalRoom
from tests.chaos.history import Recorder
from tests.chaos.observed import seen
from tests.chaos.simulation.tools import NoServers, ToolServer, declared
from tests.chaos.system.rows import Backlog, backlog, stored_rooms
from tests.chaos.wrapper.injection import FaultyPipeline, FaultyQueue, Injector, Rates, faulty_store
from tests.chaos.wrapper.users import Users

RETRY_PAUSE = 0.02
SWEEP_PAUSE = 0.2
DRY_SECONDS = 60.0
WRITERS_STALL = 10
WORDS = ("a ", "short ", "answer")


class DomainSettings(Settings):
    """What is given and the defaults; nothing of the environment or of files."""

    model_config = SettingsConfigDict(**{**Settings.model_config, "env_file": None, "toml_file": None})

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class Tally(NoMetrics):
    """Counts refused stale writes."""

    def __init__(self) -> None:
        self.stale: Counter[str] = Counter()

    def stale_write_refused(self, script: str) -> None:
        self.stale[script] += 1

    def stale_batch_refused(self, shard: int) -> None:
        self.stale["batch"] += 1


TOOLS = {
    "pay": ToolKind("always", idempotent=False, timeout=0.5),
    "book": ToolKind("always", timeout=0.5),
    "weather": ToolKind(timeout=0.5),
}
ASKING = 0.5
"""Share of the replies that use tools, once."""


class Parrot:
    """A language model that always says the same, and sometimes uses tools before."""

    def __init__(self, server: ToolServer, seed: int) -> None:
        self._server = server
        self._chance = random.Random(seed)

    def persona(self, name: str) -> Persona:
        return Persona(name, name, "", "", "parrot", tools=declared(TOOLS))

    def personas(self) -> list[Persona]:
        return [self.persona("GPT4O")]

    async def mem(
        self, room_id: RoomId, *, persona: str | None = None, before_seq: int | None = None, said: str = ""
    ) -> Context:
        return Context([], 0, 0)

    async def chat(self, persona: str, context: Context) -> AsyncGenerator[TextDelta | Completion, None]:
        for word in WORDS:
            yield TextDelta(word)
            await asyncio.sleep(0.005)
        if self._chance.random() < ASKING and not any(turn.calls for turn in context.turns):
            yield Completion(FinishReason.STOP, Usage(1, 1), self._server.asks(self._chance.choice([1, 2])))
            return
        yield Completion(FinishReason.STOP, Usage(1, len(WORDS)))


class Domain:
    """``owners`` hosts and two writers for each shard, each with connections of its own, as processes have them."""

    def __init__(self, settings: Settings, rates: Rates, recorder: Recorder, seed: int) -> None:
        self.tally = Tally()
        self._settings = settings
        self.counts: Counter[str] = Counter()
        """Of each kind of fault, how many."""
        self._rates = rates
        self._seed = seed
        self._injectors: list[Injector] = []
        self._queues: list[FaultyQueue] = []
        self._random = random.Random(seed)
        self._wirings: list[Wiring] = []
        self.hosts: list[RoomHost] = []
        self._writers: list[ShardWriterLoop] = []
        self._tasks: list[asyncio.Task[None]] = []
        """That go on until they are cancelled."""
        self._writing: list[asyncio.Task[None]] = []
        """That end when their writers are stopped."""
        self.tools = ToolServer(random.Random(seed), TOOLS)
        self.users = Users(self._wirings, self.hosts, recorder, seed)

    async def open(self, owners: int = 2) -> None:
        for _ in range(owners):
            wiring = await self._process(self._rates)
            model = wiring.chat_service()
            ports = wiring.room_ports(model, self.tally)
            # The service's own client is never used.
            await model.close()
            parrot = Parrot(self.tools, self._seed + len(self.hosts))
            toolbox = Toolbox(self.tools, NoServers(), wiring.live.guard.installation)
            reply = msgspec.structs.replace(ports.reply, model=parrot, toolbox=toolbox)
            ports = msgspec.structs.replace(ports, reply=reply)
            host = RoomHost(ports)
            self.hosts.append(host)
            self._tasks.append(asyncio.create_task(host.run()))
        # Writers make few calls; to be seen stale they have to stand still more often.
        often = msgspec.structs.replace(self._rates, stall=WRITERS_STALL * self._rates.stall)
        for number in range(2):
            wiring = await self._process(often)
            for shard in wiring.store.shard_ids():
                queue = FaultyQueue(wiring.live, self._settings.redis, self._injectors[-1])
                self._queues.append(queue)
                ports_of_writer = msgspec.structs.replace(wiring.writer_ports(self.tally), queue=queue)
                partitions = await wiring.store.partitions_of(shard)
                writer = ShardWriterLoop(ports_of_writer, shard, f"writer-{shard}-{number}", partitions)
                self._writers.append(writer)
                self._writing.append(asyncio.create_task(writer.run()))
        self._tasks.append(asyncio.create_task(self._sweep()))

    async def close(self) -> None:
        """Raises what a part of it died of."""
        self.calm()
        for writer in self._writers:
            await writer.stop()
        async with asyncio.timeout(DRY_SECONDS):
            for host in self.hosts:
                await host.drain(1.0)
        for task in self._tasks:
            task.cancel()
        async with asyncio.timeout(DRY_SECONDS):
            ended = await asyncio.gather(*self._tasks, *self._writing, return_exceptions=True)
        for queue in self._queues:
            await queue.close()
        for wiring in self._wirings:
            await wiring.close()
        for result in ended:
            if isinstance(result, Exception):
                raise result

    def rage(self) -> None:
        """From now on calls fail."""
        for injector in self._injectors:
            injector.rage()

    def calm(self) -> None:
        for injector in self._injectors:
            injector.calm()

    async def opened(self) -> bool:
        """Whether Redis has every partition, and all of them are open."""
        reader = self._wirings[0].reader
        partitions = [Partition(number) for number in range(self._settings.store.partitions)]
        with suppress(CacheUnavailable):
            return None not in await asyncio.gather(*map(reader.incarnation, partitions))
        return False

    @property
    def mint(self) -> IdMint:
        return self._wirings[0].mint

    # The end

    async def final_rooms(self) -> list[FinalRoom]:
        """When nothing waits any more. Raises ``TimeoutError``."""
        self.calm()
        async with asyncio.timeout(DRY_SECONDS):
            await self.users.settled()
        await self.run_dry()
        history = self._wirings[0].history
        found = []
        for stored in await stored_rooms(list(store_addresses(self._settings.store).shards.values())):
            room, account, page = RoomId(stored.room), AccountId(stored.account), list[Message]()
            while True:
                part = await history.page(room, account, limit=200, after=page[-1].seq if page else 0)
                page += part.messages
                if not part.has_more:
                    break
            title = (await self._wirings[0].rooms.room(room, account)).title
            read = [seen(message) for message in page]
            about = (stored.room, stored.account, stored.title, stored.deleted, stored.rows)
            found.append(FinalRoom(*about, read, title, stored.noted))
        return found

    async def run_dry(self) -> None:
        """Until nothing waits. Raises ``TimeoutError``."""
        keys, partitions = self._wirings[0].live.keys, self._settings.store.partitions
        redis = open_pipeline(self._settings.redis)
        deadline = time.monotonic() + DRY_SECONDS
        found: Backlog | None = None
        try:
            while found is None or found.queued or found.open_rooms:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"still there after {DRY_SECONDS:g} s: {found}")
                await asyncio.sleep(RETRY_PAUSE)
                with suppress(CacheUnavailable):  # A busy machine answers late.
                    found = await backlog(redis, keys, partitions)
            assert not found.dead, f"{found.dead} dead letters"
        finally:
            await redis.close()

    async def _sweep(self) -> None:
        """As the Supervisor does: rooms with replies that nobody writes get an owner."""
        reader = self._wirings[0].reader
        partitions = [Partition(number) for number in range(self._settings.store.partitions)]
        while True:
            await asyncio.sleep(SWEEP_PAUSE)
            with suppress(ParlorError):
                found = await asyncio.gather(*(reader.overdue_rooms(partition, 100) for partition in partitions))
                overdue = [room for rooms in found for room in rooms]
                tickets = await asyncio.gather(*map(reader.claims, overdue))
                wakes: Sequence[Command] = [
                    Wake(None, room, "sweep", ticket=ticket) for room, ticket in zip(overdue, tickets, strict=True)
                ]
                await self._random.choice(self.hosts).execute(wakes, activate=True)

    async def _process(self, rates: Rates) -> Wiring:
        settings = self._settings
        injector = Injector(rates, self._seed * 100 + len(self._injectors), self.counts)
        self._injectors.append(injector)
        store = faulty_store(await open_store(settings.store), injector)
        wiring = Wiring(settings, store)
        self._wirings.append(wiring)
        if settings.redis.servers.replicated:
            # What fails there is a server.
            return wiring
        pipeline = FaultyPipeline(connect(settings.redis), settings.redis)
        pipeline.injector = injector
        await wiring.live.close()
        wiring.live.pipeline = pipeline
        return wiring
