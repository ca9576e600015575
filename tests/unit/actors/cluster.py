"""Actors without Ray: hosts of one domain behind handles that can die, be slow, or not be there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from ray.exceptions import RayActorError

import actors.channel
import actors.node_state_machine
import actors.routing
from actors.contracts import STATE_MACHINE, SUPERVISOR, SocketAddress
from actors.gateway import ActorGateway
from actors.room_socket import RoomSocket
from actors.state_machine import _answer
from parlor.cache.hub import EventHub
from parlor.cache.live import RoomAddress
from parlor.cache.sign_in_codes import SignInCodes
from parlor.cache.tickets import Tickets
from parlor.errors import Overloaded
from parlor.model.ids import NO_CLUSTER, ClusterId, MessageId, RoomId
from parlor.model.requests import DependencyHealth, Idempotency
from parlor.model.rooms import NewRoom
from parlor.model.states import MessageState, RoomState
from parlor.reading.health import Dependencies
from parlor.reading.streams import EventStreams
from parlor.rooms.commands import Command, Outcome, decode_commands, encode_outcomes
from parlor.rooms.host import RoomHost
from parlor.rooms.placement import PlacementBook
from parlor.rooms.stateless import StatelessCalls
from parlor.wiring import Wiring
from tests.unit.domain import Domain

_T = TypeVar("_T")
NODE = "node"
"""Where everything runs."""


class Method:
    """What Ray makes of a method: ``.remote(...)`` gives something to wait for."""

    def __init__(self, call: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self.remote: Callable[..., Awaitable[Any]] = call


class FakeRoomActor:
    """A host in a process that can die before or after it has served a call, or not answer at all."""

    def __init__(self, host: RoomHost) -> None:
        self.host = host
        self.batches: list[int] = []
        self.dead = False
        self.dies_after_the_call = False
        self.fails_once = False
        """The next call does not arrive."""
        self.hangs = False
        self.gate: asyncio.Event | None = None
        """What is served waits for it."""
        self.too_late = False
        """The time of who waits for this actor is over at once: no test depends on how long that really takes."""
        self._serving: set[asyncio.Task[list[Outcome]]] = set()
        self.execute = Method(self._execute)
        self.socket = Method(self._socket)
        self.room_socket = RoomSocket(self._execute)
        """Closed, as for processes of other nodes, until a test opens it."""

    async def _execute(self, blob: bytes, activate: bool) -> bytes:
        if self.dead or self.fails_once:
            self.fails_once = False
            raise RayActorError
        commands = decode_commands(blob)
        self.batches.append(len(commands))
        if self.hangs:
            await self._wait(asyncio.Event().wait())
        if self.gate is not None:
            # A caller that gives up takes nothing back.
            serving = asyncio.create_task(self._serve_behind(self.gate, commands, activate))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)
            outcomes = await self._wait(asyncio.shield(serving))
        else:
            outcomes = await self.host.execute(commands, activate=activate)
        if self.dies_after_the_call:
            self.dead = True
            raise RayActorError
        return encode_outcomes(outcomes)

    async def _socket(self) -> SocketAddress:
        if self.dead:
            raise RayActorError
        return SocketAddress(NODE, self.room_socket.path)

    async def _wait(self, answer: Awaitable[_T]) -> _T:
        async with asyncio.timeout(0 if self.too_late else None):
            return await answer

    async def _serve_behind(self, gate: asyncio.Event, commands: list[Command], activate: bool) -> list[Outcome]:
        await gate.wait()
        return await self.host.execute(commands, activate=activate)


class FakeSupervisor:
    def __init__(self, book: PlacementBook, actors: dict[str, FakeRoomActor]) -> None:
        self._book = book
        self._actors = actors
        self.asked: list[tuple[RoomId, str | None]] = []
        self.dead = False
        self.place_room = Method(self._place_room)
        self.state_machine_for = Method(self._state_machine_for)

    async def _place_room(self, room_id: RoomId, failed: str | None) -> str | None:
        if self.dead:
            raise RayActorError
        self.asked.append((room_id, failed))
        silent = failed is not None and _is_silent(self._actors[failed])
        avoid = failed if silent else None
        try:
            return self._book.place(room_id, avoid)
        except Overloaded:
            return None

    async def _state_machine_for(self, node: str) -> str:
        return STATE_MACHINE


def _is_silent(actor: FakeRoomActor) -> bool:
    return actor.dead or actor.hangs or actor.gate is not None


class FakeStateMachine:
    """Answers like ``actors.state_machine``, on the domain."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.failures = 0
        """So many calls end with the death of the actor, after they were served."""
        self.hangs = False
        """It answers nothing, ever."""
        self.create_room = Method(self._create_room)
        self.transition_room = Method(self._transition_room)
        self.transition_message = Method(self._transition_message)
        self.smart_delete_message = Method(self._smart_delete_message)
        self.get_room_state = Method(self._get_room_state)
        self.get_message_state = Method(self._get_message_state)

    async def _create_room(
        self, address: RoomAddress, new: NewRoom, by: str, idempotency: Idempotency | None, request_id: str
    ) -> bytes:
        made = self._domain.states.create_room(address, new, by=by, idempotency=idempotency)
        return await self._served(_answer(made))

    async def _transition_room(self, room_id: RoomId, to: RoomState, expected: RoomState | None, by: str) -> bytes:
        return await self._served(_answer(self._domain.states.transition_room(room_id, to, expected=expected, by=by)))

    async def _transition_message(
        self, room_id: RoomId, message_id: MessageId, to: MessageState, expected: MessageState | None, by: str
    ) -> bytes:
        machine = self._domain.states
        return await self._served(
            _answer(machine.transition_message(room_id, message_id, to, expected=expected, by=by))
        )

    async def _smart_delete_message(
        self, address: RoomAddress, message_id: MessageId, by: str, request_id: str
    ) -> bytes:
        return await self._served(_answer(self._domain.states.smart_delete_message(address, message_id, by=by)))

    async def _get_room_state(self, room_id: RoomId) -> bytes:
        return await self._served(_answer(self._domain.states.get_room_state(room_id)))

    async def _get_message_state(self, room_id: RoomId, message_id: MessageId) -> bytes:
        return await self._served(_answer(self._domain.states.get_message_state(room_id, message_id)))

    async def _served(self, work: Awaitable[bytes]) -> bytes:
        answer = await work
        if self.hangs:
            await asyncio.Event().wait()
        if self.failures:
            self.failures -= 1
            raise RayActorError
        return answer


class NoDependencies(Dependencies):
    """Reports no server, so that only what a gateway itself finds is left."""

    async def health(self) -> list[DependencyHealth]:
        return []


class DomainWiring(Wiring):
    """What a gateway stands on, of the domain's parts."""

    def __init__(self, domain: Domain) -> None:
        self.settings = domain.settings
        self.mint = domain.mint
        self.clock = domain.clock
        self.live = domain.live
        self.state_machine = domain.states
        self.store = domain.store
        self.reader = domain.reader
        self.clusters = domain.clusters
        self.loader = domain.loader
        self.history = domain.history
        self.rooms = domain.directory
        self.files = domain.files
        self.budgets, self.limits = domain.budgets, domain.live.limits
        self.tickets, self.sign_in_codes = Tickets(domain.live, domain.mint), SignInCodes(domain.live)
        self.dependencies = NoDependencies(domain.live, domain.store)
        self._domain = domain

    def streams(self, hub: EventHub) -> EventStreams:
        return self._domain.streams()

    def stateless_calls(self) -> StatelessCalls:
        return self._domain.calls

    async def follow_limits(self) -> None:
        """The domain's limits change when a test changes them."""

    async def close(self) -> None:
        """The domain closes itself."""


class Cluster:
    """``max_rooms`` is for each of the actors, which are called ``rooms-0``, ``rooms-1``, ..."""

    def __init__(
        self,
        domain: Domain,
        monkeypatch: pytest.MonkeyPatch,
        actors_count: int = 2,
        max_rooms: int = 100,
        cluster: ClusterId = NO_CLUSTER,
    ) -> None:
        self.domain = domain
        self.cluster = cluster
        self.actors = {f"rooms-{n}": FakeRoomActor(domain.host(cluster)) for n in range(actors_count)}
        book = self._book = PlacementBook(max_rooms)
        for name in self.actors:
            book.add_actor(name)
        self.supervisor = FakeSupervisor(book, self.actors)
        self.state_machine = FakeStateMachine(domain)
        self.lookups: list[str] = []
        self.missing: set[str] = set()
        for module in (actors.channel, actors.routing, actors.node_state_machine):
            monkeypatch.setattr(module, "find_actor", self._find)
        for module in (actors.channel, actors.node_state_machine):
            monkeypatch.setattr(module, "this_node", lambda: NODE)
        monkeypatch.setattr(actors.routing, "ROUTE_PAUSE", 0)

    async def _find(self, name: str, namespace: str) -> object:
        self.lookups.append(name)
        if name in self.missing:
            raise ValueError(name)
        handles = {SUPERVISOR: self.supervisor, STATE_MACHINE: self.state_machine, **self.actors}
        return handles[name]

    def gateway(self) -> ActorGateway:
        domain = self.domain
        domain.streams()
        return ActorGateway(DomainWiring(domain), domain._hubs[-1], self.cluster)

    def place(self, room_id: RoomId, actor: str) -> None:
        """What the Supervisor's book says from now on, whoever holds the room."""
        self._book.forget(room_id)
        self._book.reported(actor, [room_id])

    def actor_of(self, room_id: RoomId) -> FakeRoomActor:
        """The one that holds the room."""
        (found,) = [actor for actor in self.actors.values() if room_id in actor.host.rooms]
        return found
