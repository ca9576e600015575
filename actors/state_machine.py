"""StateMachine: wraps the Lua transitions in Redis for callers that do not own the room; those of a node share it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec
from msgspec.structs import replace

from actors.contracts import STATE_MACHINE, ActorStatus, Answers
from actors.logs import observe
from actors.once import Once
from actors.process import ActorProcess
from actors.watch import watch_supervisor
from parlor.cache.live import RoomAddress
from parlor.clock import SystemClock
from parlor.errors import ParlorError
from parlor.model.ids import MessageId, RoomId
from parlor.model.requests import Idempotency
from parlor.model.rooms import NewRoom
from parlor.model.states import MessageState, RoomState
from parlor.model.tracing import work_for
from parlor.state_machine import ChatStateMachine
from parlor.wiring import Wiring

_encode = msgspec.msgpack.Encoder().encode


class StateMachine:
    """See ``actors.contracts.StateMachineContract``."""

    def __init__(self, settings_json: str, name: str) -> None:
        self._process = ActorProcess(name, "StateMachine", settings_json)
        self._settings = self._process.settings
        self._name = name
        self._opened = Once(self._open)
        self._watching: asyncio.Task[None] | None = None
        self._started = False
        self._clock = SystemClock()
        self._called_at = self._clock.monotonic()
        observe(self._settings, name)

    async def create_room(
        self, address: RoomAddress, new: NewRoom, by: str, idempotency: Idempotency | None, request_id: str = ""
    ) -> bytes:
        work_for(request_id)
        machine = await self._machine()
        return await _answer(machine.create_room(address, new, by=by, idempotency=idempotency))

    async def transition_room(self, room_id: RoomId, to: RoomState, expected: RoomState | None, by: str) -> bytes:
        machine = await self._machine()
        return await _answer(machine.transition_room(room_id, to, expected=expected, by=by))

    async def transition_message(
        self, room_id: RoomId, message_id: MessageId, to: MessageState, expected: MessageState | None, by: str
    ) -> bytes:
        machine = await self._machine()
        return await _answer(machine.transition_message(room_id, message_id, to, expected=expected, by=by))

    async def get_room_state(self, room_id: RoomId) -> bytes:
        machine = await self._machine()
        return await _answer(machine.get_room_state(room_id))

    async def get_message_state(self, room_id: RoomId, message_id: MessageId) -> bytes:
        machine = await self._machine()
        return await _answer(machine.get_message_state(room_id, message_id))

    async def smart_delete_message(
        self, address: RoomAddress, message_id: MessageId, by: str, request_id: str = ""
    ) -> bytes:
        work_for(request_id)
        machine = await self._machine()
        return await _answer(machine.smart_delete_message(address, message_id, by=by))

    async def start(self) -> None:
        await self._opened()
        if self._name == STATE_MACHINE and self._watching is None:
            self._watching = asyncio.create_task(watch_supervisor(self._settings.ray.namespace, self._clock))
        self._started = True

    async def status(self) -> ActorStatus:
        idle = self._clock.monotonic() - self._called_at
        return replace(self._process.status(started=self._started), idle_seconds=idle)

    async def _open(self) -> Wiring:
        wiring = await Wiring.open(self._settings)
        await wiring.follow_limits()
        return wiring

    async def _machine(self) -> ChatStateMachine:
        self._called_at = self._clock.monotonic()
        return (await self._opened()).state_machine

    def __repr__(self) -> str:
        return f"StateMachine({self._name})"


async def _answer(work: Awaitable[Answers]) -> bytes:
    """Expected errors are answers: an exception through Ray would lose its type's meaning and cost a traceback."""
    try:
        return _encode((await work, None))
    except ParlorError as error:
        return _encode((None, error.to_wire()))
