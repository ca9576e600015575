"""Puts the parts of one process together."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from parlor.administration.deletions import Deletions
from parlor.cache.audit import AuditCache
from parlor.cache.calls import CallCache
from parlor.cache.clients import connect
from parlor.cache.clusters import ClusterCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.cache.events import EventLog
from parlor.cache.hub import EventHub
from parlor.cache.live import Live
from parlor.cache.operators import OperatorCache
from parlor.cache.queue import WriterQueue
from parlor.cache.reads import CacheReader
from parlor.cache.revisions import RevisionCache
from parlor.cache.rooms import RoomCache
from parlor.cache.sign_in_codes import SignInCodes
from parlor.cache.states import StateCache
from parlor.cache.summaries import SummaryCache
from parlor.cache.tickets import Tickets
from parlor.cache.usage import UsageCache
from parlor.clock import Clock, SystemClock, SystemEntropy
from parlor.errors import StoreUnavailable
from parlor.files.contents import FileContents
from parlor.files.files import Files
from parlor.files.ports import FileStore
from parlor.files.removal import FileRemoval
from parlor.files.stores import open_file_store
from parlor.llm.personas import load_personas
from parlor.llm.providers import load_provider
from parlor.llm.service import AIChatService
from parlor.metrics import RoomMetrics, WriterMetrics
from parlor.model.ids import NO_CLUSTER, ClusterId, IdMint, ShardId
from parlor.persistence.dead_letters import DeadLetters
from parlor.persistence.leases import WriterPorts
from parlor.reading.approvals import WaitingCalls
from parlor.reading.budgets import Budgets
from parlor.reading.health import Dependencies
from parlor.reading.history import HistoryReader
from parlor.reading.identity import Identity
from parlor.reading.internal import InternalHistory, InternalMemories
from parlor.reading.loading import Loader
from parlor.reading.room_list import RoomDirectory
from parlor.reading.search import MessageSearch
from parlor.reading.streams import EventStreams
from parlor.rooms.follow_up import FollowUp
from parlor.rooms.forwarding import Forwarder
from parlor.rooms.reply_job import ReplyPorts
from parlor.rooms.room_ports import RoomPorts
from parlor.rooms.stateless import StatelessCalls, StatelessPorts
from parlor.settings import Settings
from parlor.state_machine import ChatStateMachine, set_chat_state_machine
from parlor.store.account_limits import LimitFollower
from parlor.store.calls import CallStore
from parlor.store.files import StoredFileRows
from parlor.store.migrations import open_store
from parlor.store.ports import ChatStore
from parlor.store.search import SearchStore
from parlor.tools.http import HttpCaller
from parlor.tools.servers import McpServers
from parlor.tools.toolbox import Toolbox


class Wiring:
    """The ground that every process stands on: both stores, the readers, the state machine. ``close`` it."""

    def __init__(self, settings: Settings, store: ChatStore) -> None:
        self.settings = settings
        self._background: list[asyncio.Task[None]] = []
        self.clock: Clock = SystemClock()
        self.mint = IdMint(self.clock, SystemEntropy())
        self.store = store
        self.live = Live.open(settings, self.clock, store.installation)
        self.reader = CacheReader(self.live)
        self.loader = Loader(self.live, store)
        self.internal_history = InternalHistory(self.reader, StateCache(self.live), store, self.loader)
        self.history = HistoryReader(self.internal_history)
        self.state_machine = ChatStateMachine(self.live, store, self.loader)
        self.summaries = SummaryCache(self.live)
        self.usage = UsageCache(self.live)
        self.memories = InternalMemories(self.summaries, store, self.loader)
        self.budgets = Budgets(self.live, self.loader, self.mint)
        self.clusters = ClusterCache(self.live)
        self.tickets = Tickets(self.live, self.mint)
        self.search = MessageSearch(self.reader, SearchStore(store))
        self.calls = CallStore(store)
        self.waiting = WaitingCalls(self.reader, self.calls, self.history)
        self.sign_in_codes = SignInCodes(self.live)
        self.rooms = RoomDirectory(self.reader, self.memories, store, self.loader)
        self.dependencies = Dependencies(self.live, store)
        self.file_rows = StoredFileRows(store)
        self.file_store = open_file_store(settings.files, store.installation)
        self.limits = self.live.limits
        self._following = LimitFollower(self.limits, store, self.clock)
        self.files = Files(self.file_rows, self.file_store, settings.files, self.limits, self.mint, self.clock)
        self.identity = Identity(self.live, AuditCache(self.live, settings.redis.prefix), store)
        set_chat_state_machine(self.state_machine)

    @classmethod
    async def open(cls, settings: Settings) -> Wiring:
        """Connects when first used, so a server that is down does not stop it."""
        return cls(settings, await open_store(settings.store))

    def chat_service(self) -> AIChatService:
        """The language model with personas and memory; ``close`` it too. Raises ``ProviderError``."""
        llm = self.settings.llm
        # Loaded here: the openai package takes half a second to import, and only a RoomActor uses it.
        model = load_provider(llm.provider)(llm, self.settings.llm_api_key, self.clock)
        history, memories = self.internal_history, self.memories
        contents = FileContents(self.file_rows, self.file_store, self.store.shard_of, self.settings.files)
        return AIChatService(llm, model, load_personas(llm), history, memories, self.clock, attachments=contents)

    def stateless_calls(self) -> StatelessCalls:
        """Answers outside of any room; ``close`` them. The language model is opened with the first."""

        async def opened() -> AIChatService:
            # Importing the provider takes half a second, in which others are served.
            await asyncio.to_thread(load_provider, self.settings.llm.provider)
            return self.chat_service()

        settings, heartbeat = self.settings, self.settings.api.heartbeat.total_seconds()
        ports = StatelessPorts(
            opened,
            self.budgets,
            self.mint,
            self.clock,
            heartbeat,
            settings.llm.context_tokens,
            settings.limits.answer_tokens,
        )
        return StatelessCalls(ports)

    def toolbox(self) -> Toolbox:
        """What the models of this process use tools with."""
        return Toolbox(HttpCaller(), McpServers(self.clock), self.live.guard.installation)

    def follow_up(self, model: AIChatService) -> FollowUp:
        """What ``model`` does behind the conversations of this process; ``close`` it too, before the model."""
        return FollowUp(model, model.memory, self.summaries, self.budgets, self.settings.llm)

    def room_ports(self, model: AIChatService, metrics: RoomMetrics, cluster: ClusterId = NO_CLUSTER) -> RoomPorts:
        cache = RoomCache(self.live)
        return RoomPorts(
            reply=ReplyPorts(
                cache,
                self.usage,
                model,
                self.clock,
                metrics,
                self.settings,
                self.follow_up(model),
                self.toolbox(),
                CallCache(self.live),
                self.internal_history,
                self.mint.token,
            ),
            cache=cache,
            revisions=RevisionCache(self.live),
            reader=self.reader,
            loader=self.loader,
            history=self.internal_history,
            states=self.state_machine,
            summaries=self.summaries,
            mint=self.mint,
            limits=self.limits,
            cluster=cluster,
        )

    def forwarder(self, cluster: ClusterId) -> Forwarder:
        """The way from this cluster to others."""
        return Forwarder(cluster, self.clusters, self.clock, self.mint)

    def writer_ports(self, metrics: WriterMetrics) -> WriterPorts:
        return WriterPorts(
            live=self.live,
            queue=WriterQueue(self.live, self.settings.redis),
            store=self.store,
            loader=self.loader,
            mint=self.mint,
            clock=self.clock,
            metrics=metrics,
            settings=self.settings.queue,
            clusters=self.clusters,
        )

    def dead_letters(self) -> DeadLetters:
        audit = AuditCache(self.live, self.settings.redis.prefix)
        operators = OperatorCache(self.live)
        return DeadLetters(DeadLetterCache(self.live), audit, operators, self.state_machine, self.loader, self.store)

    def deletions(self) -> Deletions:
        dead_letters = self.dead_letters()
        return Deletions(self.store, self.live, self.rooms, self.loader, self.files, dead_letters, self.clock)

    @property
    def files_to_check(self) -> FileStore | None:
        """None where there is no place for files."""
        return self.file_store if self.settings.files.url else None

    def file_removal(self, shard: ShardId) -> FileRemoval:
        return FileRemoval(self.file_rows, self.file_store, shard, self.clock)

    def event_hub(self) -> EventHub:
        return EventHub(connect(self.settings.redis, self.live.guard, blocking=True))

    def streams(self, hub: EventHub) -> EventStreams:
        heartbeat = self.settings.api.heartbeat.total_seconds()
        log = EventLog(self.live)
        return EventStreams(hub, log, self.reader, self.history, self.loader, self.live.keys, heartbeat)

    async def follow_limits(self) -> None:
        """Has this process know what operators set for single accounts, now and until ``close``."""
        with suppress(StoreUnavailable):  # It is asked again, and said, in the background.
            await self._following.follow()
        self._background.append(asyncio.create_task(self._following.run()))

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.live.close()
        await self.store.close()
        await self.files.close()
