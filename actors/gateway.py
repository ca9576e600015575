"""ActorGateway: how a process reaches rooms. Changes go to the room's actor (``room_commands.py``), reads go to the
stores.

It holds no state of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import date, tzinfo

import msgspec
import structlog
from ray.exceptions import RayError

from actors.administration import ActorAdministration
from actors.node_state_machine import NodeStateMachine
from actors.process import cluster_id
from actors.room_commands import RoomCommands, require_home
from parlor.cache.hub import EventHub
from parlor.cache.live import RoomAddress
from parlor.errors import CacheUnavailable, MessageNotFound, ParlorError, RoomNotFound, StoreUnavailable
from parlor.gateway import Answer, Subscription
from parlor.llm.ports import ModelCall, Persona
from parlor.model.access import Credential, DailyUse, Session, StreamTicket
from parlor.model.budgets import Budget, Payer
from parlor.model.ids import NO_CLUSTER, AccountId, ClusterId, MessageId, RoomId, ShardId, partition_of
from parlor.model.messages import Message, MessageList, MessagePage
from parlor.model.requests import DependencyHealth, Idempotency, RoomReceipt, SendReceipt, StateReport, WaitingPage
from parlor.model.rooms import NewRoom, Room, RoomMemory, RoomPage
from parlor.model.search import SearchPage
from parlor.reading.usage import daily_use
from parlor.settings import Settings
from parlor.store.access import AccessStore
from parlor.store.audit_log import AuditStore
from parlor.wiring import Wiring

_log = structlog.get_logger(__name__)


class ActorGateway(RoomCommands):
    """See ``parlor.gateway.Gateway``."""

    def __init__(self, wiring: Wiring, hub: EventHub, cluster: ClusterId = NO_CLUSTER) -> None:
        super().__init__(wiring, cluster)
        self._settings = wiring.settings
        self._hub = hub
        self._streams = wiring.streams(hub)
        self._calls = wiring.stateless_calls()
        self._states = NodeStateMachine(wiring.settings.ray.namespace)
        self.installation = wiring.live.guard.installation
        self.use_ticket, self.take_sign_in_code = wiring.tickets.use, wiring.sign_in_codes.take
        self.access = AccessStore(wiring.store)
        self.audit = AuditStore(wiring.store)
        self.administration = ActorAdministration(wiring, self._rooms)
        self.files = wiring.files
        self.budgets, self.limits = wiring.budgets, wiring.limits

    # Accounts

    async def session(self, account_id: str) -> Session:
        account, store, reader = AccountId(account_id), self._wiring.store, self._wiring.reader
        try:
            row = await store.open_account(account, self._wiring.limits.usual.accounts)
        except StoreUnavailable:
            # Without the global database, accounts that Redis remembers can go on.
            known = await reader.session(account)
            if known is None:
                raise
            row = known
        else:
            try:
                await reader.remember_session(row)
            except CacheUnavailable as error:
                _log.warning("session_not_remembered", debug=error.debug)
        shard = await store.shard_of(row.partition)
        session = Session(account, row.account_db_key, row.partition, ShardId(int(shard)), row.not_before, row.standing)
        # Now, so that its first send does not have to wait for it, or fail when its shard does not answer.
        try:
            await self._wiring.loader.load_budget(_payer(session))
        except ParlorError as error:
            _log.warning("budget_not_loaded", code=error.code, debug=error.debug)
        return session

    async def personas(self) -> list[Persona]:
        return self._personas.listed()

    # Rooms

    async def create_room(
        self,
        session: Session,
        title: str | None,
        ai_persona: str | None,
        idempotency: Idempotency | None = None,
        external_id: str | None = None,
        metadata: str | None = None,
    ) -> RoomReceipt:
        persona = self._personas.named(ai_persona or self._settings.llm.default_persona).name
        minted = self._wiring.mint.room_id(session.partition)
        address = RoomAddress(minted, session.account_id, session.account_db_key)
        new = NewRoom(title or "", persona, external_id or "", metadata=metadata or "")
        made = await self._states.create_room(address, new, by="account", idempotency=idempotency)
        try:
            room = await self._wiring.rooms.room(made, session.account_id)
        except RoomNotFound:
            if external_id is None or made == minted:
                raise
            # It was deleted: the external id is free.
            new = msgspec.structs.replace(new, instead_of=made)
            made = await self._states.create_room(address, new, by="account", idempotency=idempotency)
            room = await self._wiring.rooms.room(made, session.account_id)
        return RoomReceipt(room, replayed=made != minted)

    async def find_rooms(self, session: Session, external_id: str) -> RoomPage:
        return await self._wiring.rooms.find(session, external_id)

    async def list_rooms(self, session: Session, limit: int, cursor: str | None) -> RoomPage:
        return await self._wiring.rooms.page(session, limit, cursor)

    async def get_room(self, session: Session, room_id: RoomId) -> Room:
        require_home(session, room_id)
        return await self._wiring.rooms.room(room_id, session.account_id)

    async def room_state(self, session: Session, room_id: RoomId) -> StateReport:
        await self.get_room(session, room_id)
        return await self._states.get_room_state(room_id)

    # Messages

    async def list_messages(
        self, session: Session, room_id: RoomId, limit: int, before: int | None, after: int | None
    ) -> MessagePage:
        require_home(session, room_id)
        return await self._wiring.history.page(room_id, session.account_id, limit=limit, before=before, after=after)

    async def current_messages(self, session: Session, room_id: RoomId, limit: int) -> list[Message]:
        require_home(session, room_id)
        return (await self._wiring.history.page(room_id, session.account_id, limit=limit, stored=False)).messages

    async def running_reply(self, session: Session, room_id: RoomId) -> Message | None:
        require_home(session, room_id)
        return await self._wiring.history.running(room_id, session.account_id)

    async def get_message(self, session: Session, room_id: RoomId, message_id: MessageId) -> Message:
        await self.get_room(session, room_id)
        if partition_of(message_id) != session.partition:
            raise MessageNotFound
        return await self._wiring.history.message(room_id, session.account_id, message_id)

    async def find_message(self, session: Session, message_id: MessageId) -> Message:
        room_id = await self._wiring.rooms.of_message(session, message_id)
        try:
            return await self._wiring.history.message(room_id, session.account_id, message_id)
        except RoomNotFound:
            raise MessageNotFound from None

    async def message_state(self, session: Session, room_id: RoomId, message_id: MessageId) -> StateReport:
        await self.get_message(session, room_id, message_id)
        return await self._states.get_message_state(room_id, message_id)

    async def wait_for_reply(self, session: Session, room_id: RoomId, message_id: MessageId, seconds: float) -> Message:
        return await self._streams.wait_for_reply(room_id, session.account_id, message_id, seconds)

    async def wait_for_commit(
        self, session: Session, room_id: RoomId, message_id: MessageId, seconds: float
    ) -> Message:
        return await self._streams.wait_for_commit(room_id, session.account_id, message_id, seconds)

    async def queued_messages(self, session: Session, room_id: RoomId, limit: int, cursor: str | None) -> MessageList:
        require_home(session, room_id)
        return await self._wiring.history.queued(room_id, session.account_id, limit=limit, cursor=cursor)

    async def variants(
        self, session: Session, room_id: RoomId, message_id: MessageId, limit: int, cursor: str | None
    ) -> MessageList:
        await self._require_message_home(session, room_id, message_id)
        history = self._wiring.history
        return await history.variants(room_id, session.account_id, message_id, limit=limit, cursor=cursor)

    # Memory and use

    async def room_memory(self, session: Session, room_id: RoomId) -> RoomMemory:
        require_home(session, room_id)
        return await self._wiring.rooms.memory(room_id, session.account_id)

    async def usage(self, session: Session, first: date, last: date, zone: tzinfo) -> list[DailyUse]:
        return await daily_use(self._wiring.store, session.home, session.account_db_key, first, last, zone)

    async def search(
        self, session: Session, query: str, room_id: RoomId | None, limit: int, cursor: str | None
    ) -> SearchPage:
        if room_id is not None:
            await self.get_room(session, room_id)
        return await self._wiring.search.page(session, query, room_id=room_id, limit=limit, cursor=cursor)

    async def budget(self, session: Session) -> list[Budget]:
        return await self._wiring.loader.standings(_payer(session))

    # Streams

    def room_events(
        self, session: Session, room_id: RoomId, after: str | None
    ) -> AbstractAsyncContextManager[Subscription]:
        require_home(session, room_id)
        return self._streams.room(room_id, session.account_id, after)

    def reply_events(
        self, session: Session, room_id: RoomId, message_id: MessageId, after: str | None
    ) -> AbstractAsyncContextManager[Subscription]:
        require_home(session, room_id)
        return self._streams.reply(room_id, session.account_id, message_id, after)

    def turn_events(
        self, session: Session, room_id: RoomId, receipt: SendReceipt
    ) -> AbstractAsyncContextManager[Subscription]:
        return self._streams.turn(room_id, session.account_id, receipt)

    def account_events(self, session: Session, after: str | None) -> AbstractAsyncContextManager[Subscription]:
        return self._streams.account(session.partition, session.account_id, after)

    def answer(self, session: Session, call: ModelCall) -> Answer:
        return self._calls.answer(session, call)

    async def issue_ticket(self, session: Session, path: str, credential: Credential) -> StreamTicket:
        return await self._wiring.tickets.issue(session.partition, session.account_id, path, credential)

    async def waiting_calls(self, session: Session, limit: int, cursor: str | None) -> WaitingPage:
        return await self._wiring.waiting.page(session, limit=limit, cursor=cursor)

    async def export(self, session: Session, room_id: RoomId) -> AsyncIterator[Message]:
        require_home(session, room_id)
        async for message in self._wiring.history.all(room_id, session.account_id):
            yield message

    async def readiness(self) -> list[DependencyHealth]:
        found = await self._wiring.dependencies.health()
        try:
            missing = await self._rooms.missing_actors()
            actors = DependencyHealth("actors", not missing, "; ".join(missing) or "ok")
        except (RayError, TimeoutError, ValueError) as error:
            actors = DependencyHealth("actors", False, f"the Supervisor does not answer: {type(error).__name__}")
        return [*found, actors]

    async def close(self) -> None:
        await self._rooms.close()
        await self._hub.close()
        await self._calls.close()
        await self._wiring.close()


async def open_gateway(settings: Settings, *, create_supervisor: bool = False) -> ActorGateway:
    """Opens a gateway for this process; call ``close`` when done. Servers that are down do not make this fail, only the
    requests that need them.

    ``create_supervisor`` makes the installation's Supervisor if there is none, without waiting for it (``readiness``
    says what is missing). Raises ``ray.exceptions.RayError`` if Ray refuses the actor.
    """
    if create_supervisor:
        # Imported here, because it imports the code of all actors, which most gateways do not need.
        from actors.bootstrap import obtain_supervisor

        await asyncio.to_thread(obtain_supervisor, settings)
    wiring = await Wiring.open(settings)
    await wiring.follow_limits()
    cluster = await asyncio.to_thread(cluster_id, settings.ray.namespace)
    return ActorGateway(wiring, wiring.event_hub(), cluster)


def _payer(session: Session) -> Payer:
    return Payer(session.account_id, session.account_db_key, session.partition)
