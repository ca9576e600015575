"""The parts of Parlor's domain, wired up in one process: fakeredis, SQLite in memory, a scripted LLM, and a clock that
tests move. What tests do with them is in ``domain.py``."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from fakeredis import FakeAsyncRedis
from msgspec import structs

from parlor.cache.calls import CallCache
from parlor.cache.clusters import ClusterCache
from parlor.cache.creations import CreationCache
from parlor.cache.events import EventLog
from parlor.cache.guard import Guard
from parlor.cache.hub import EventHub
from parlor.cache.live import Live, RoomAddress
from parlor.cache.reads import CacheReader
from parlor.cache.revisions import RevisionCache
from parlor.cache.rooms import RoomCache
from parlor.cache.states import StateCache
from parlor.cache.summaries import SummaryCache
from parlor.cache.usage import UsageCache
from parlor.errors import PartitionUnknown, StoreUnavailable
from parlor.files.files import Files
from parlor.llm.memory import Memory
from parlor.model.access import Session
from parlor.model.budgets import Payer
from parlor.model.ids import NO_CLUSTER, AccountId, ClusterId, IdMint, Partition, RoomId, ShardId
from parlor.model.rooms import NewRoom
from parlor.persistence.leases import WriterPorts
from parlor.persistence.writer import ShardWriterLoop
from parlor.reading.budgets import Budgets
from parlor.reading.history import HistoryReader
from parlor.reading.internal import InternalHistory, InternalMemories
from parlor.reading.loading import Loader
from parlor.reading.room_list import RoomDirectory
from parlor.reading.streams import EventStreams
from parlor.rooms.follow_up import FollowUp
from parlor.rooms.host import RoomHost
from parlor.rooms.reply_job import ReplyPorts
from parlor.rooms.room import Room
from parlor.rooms.room_ports import RoomPorts
from parlor.rooms.stateless import StatelessCalls, StatelessPorts
from parlor.settings import LlmSettings
from parlor.state_machine import ChatStateMachine
from parlor.store.files import StoredFileRows
from parlor.tools.toolbox import Toolbox
from tests.fake_redis import fake_server
from tests.unit.counting_metrics import CountingMetrics
from tests.unit.fake_cache import FakeQueue, FaultyPipeline
from tests.unit.fake_clock import FakeClock, SeededEntropy
from tests.unit.memory_files import MemoryFileStore
from tests.unit.memory_store import SHARDS, MemoryStore, Templates
from tests.unit.plain_settings import plain_settings
from tests.unit.scripted_model import ScriptedModel
from tests.unit.scripted_tools import ScriptedTools

SHARD = ShardId(1)
OTHER_SHARD = ShardId(2)
HOME, NEIGHBOUR = Partition(0), Partition(2)
"""Two partitions of the first shard."""
HEARTBEAT = 0.05
"""Seconds of real time, because a reader waits on a socket, not on the fake clock."""

_T = TypeVar("_T")


class WiredDomain:
    """The parts of a domain for one async test, and owners of rooms; the fixture closes it."""

    def __init__(self, templates: Templates, **sections: Any) -> None:
        self.settings = plain_settings(**sections)
        self.clock = FakeClock()
        self.mint = IdMint(self.clock, SeededEntropy())
        self.server = fake_server()
        self.redis = FakeAsyncRedis(server=self.server, protocol=2)
        self.pipeline = FaultyPipeline(self.redis, self.settings.redis)
        self.store = MemoryStore(templates)
        self.live = Live(self.pipeline, self.settings, self.clock, Guard(self.settings, self.store.installation))
        self.reader = CacheReader(self.live)
        self.cache = RoomCache(self.live)
        self.loader = Loader(self.live, self.store)
        self.internal_history = InternalHistory(self.reader, StateCache(self.live), self.store, self.loader)
        self.history = HistoryReader(self.internal_history)
        self.states = ChatStateMachine(self.live, self.store, self.loader)
        self.tools = ScriptedTools()
        self.summaries = SummaryCache(self.live)
        self.clusters = ClusterCache(self.live)
        self.usage = UsageCache(self.live)
        self.budgets = Budgets(self.live, self.loader, self.mint)
        self.memories = InternalMemories(self.summaries, self.store, self.loader)
        self.directory = RoomDirectory(self.reader, self.memories, self.store, self.loader)
        self.file_store = MemoryFileStore(self.clock)
        self.file_rows = StoredFileRows(self.store)
        files = self.settings.files
        self.files = Files(self.file_rows, self.file_store, files, self.live.limits, self.mint, self.clock)
        self.model = ScriptedModel(self.internal_history)
        memory = Memory(self.internal_history, self.memories, 1000, 800)
        # No titles or summaries in the background, so that the model's only talks are those that tests ask for.
        quiet = self.settings.llm.model_copy(update={"titles": False, "summaries": False})
        self.follow_up = self.new_follow_up(memory, quiet)
        self.metrics = CountingMetrics()
        self.queue = FakeQueue(
            self.live, self.settings.redis, FakeAsyncRedis(server=self.server, protocol=2), self.pipeline
        )
        self.log = EventLog(self.live)
        self.calls = StatelessCalls(
            StatelessPorts(self._open_model, self.budgets, self.mint, self.clock, 15.0, 1000, 100)
        )
        self.ada = self.session("ada")
        self._rooms: list[Room] = []
        self._hosts: list[RoomHost] = []
        self._hubs: list[EventHub] = []
        self._tasks: list[asyncio.Task[Any]] = []

    async def close(self) -> None:
        self.server.connected = True
        for gate in [*self.pipeline.gates.values(), self.store.commit_gate]:
            if gate is not None:
                gate.set()
        for room in self._rooms:
            await crash(room)
        for host in self._hosts:
            for room in list(host._rooms.values()):
                await crash(room)
            for task in host._closing:
                task.cancel()
            await asyncio.gather(*host._closing, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for hub in self._hubs:
            await hub.close()
        await self.queue.close()
        await self.live.close()
        await self.store.close()

    def spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Starts a task that ``close`` cancels."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    # Sessions and rooms

    def session(self, name: str, partition: Partition = HOME) -> Session:
        return Session(AccountId(name), zlib.crc32(name.encode()), partition, ShardId(partition % SHARDS + 1))

    async def new_room(self, session: Session | None = None, title: str = "") -> RoomId:
        session = session or self.ada
        room_id = self.mint.room_id(session.partition)
        address = RoomAddress(room_id, session.account_id, session.account_db_key)
        try:
            await CreationCache(self.live).create(address, NewRoom(title, "GPT4O"), "account")
        except PartitionUnknown:
            await self.loader.open_partition(session.partition)
            await CreationCache(self.live).create(address, NewRoom(title, "GPT4O"), "account")
        with contextlib.suppress(StoreUnavailable):  # As the gateway does when the account comes in.
            await self.loader.load_budget(Payer(session.account_id, session.account_db_key, session.partition))
        return room_id

    def room(self, room_id: RoomId) -> Room:
        room = Room(self.ports(), room_id, lambda _: None)
        self._rooms.append(room)
        return room

    async def opened(self) -> Room:
        """Returns the owner of a new room."""
        return self.room(await self.new_room())

    async def _open_model(self) -> ScriptedModel:
        return self.model

    def host(self, cluster: ClusterId = NO_CLUSTER) -> RoomHost:
        host = RoomHost(structs.replace(self.ports(), cluster=cluster))
        self._hosts.append(host)
        return host

    def new_follow_up(self, memory: Memory, settings: LlmSettings) -> FollowUp:
        return FollowUp(self.model, memory, self.summaries, self.budgets, settings)

    def ports(self) -> RoomPorts:
        return RoomPorts(
            reply=ReplyPorts(
                self.cache,
                self.usage,
                self.model,
                self.clock,
                self.metrics,
                self.settings,
                self.follow_up,
                Toolbox(self.tools, self.tools, self.live.guard.installation),
                CallCache(self.live),
                self.internal_history,
                self.mint.token,
            ),
            cache=self.cache,
            revisions=RevisionCache(self.live),
            reader=self.reader,
            loader=self.loader,
            history=self.internal_history,
            states=self.states,
            summaries=self.summaries,
            mint=self.mint,
            limits=self.live.limits,
        )

    def writer(self, *partitions: Partition, name: str = "writer-0", shard: ShardId = SHARD) -> ShardWriterLoop:
        ports = WriterPorts(
            live=self.live,
            queue=self.queue,
            store=self.store,
            loader=self.loader,
            mint=self.mint,
            clock=self.clock,
            metrics=self.metrics,
            settings=self.settings.queue,
            clusters=self.clusters,
        )
        return ShardWriterLoop(ports, shard, name, partitions or (HOME,))

    def streams(self) -> EventStreams:
        hub = EventHub(FakeAsyncRedis(server=self.server, protocol=2))
        self._hubs.append(hub)
        return EventStreams(hub, self.log, self.reader, self.history, self.loader, self.live.keys, HEARTBEAT)


async def crash(room: Room) -> None:
    """Stops a room as if its process had died: releases nothing, ends nothing."""
    for task in room._tasks:
        task.cancel()
    await asyncio.gather(*room._tasks, return_exceptions=True)
