"""StateMachine: wraps the Lua transitions in Redis for everybody on its node; its callers share pipelines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable

import msgspec

from actors.contracts import STATE_MACHINE, ActorStatus, Answers
from actors.handles import this_node
from actors.logs import configure_logs
from actors.watch import watch_supervisor
from parlor.cache.live import RoomAddress
from parlor.cache.rooms import RoomCache
from parlor.clock import SystemClock
from parlor.errors import ParlorError, PartitionUnknown
from parlor.ids import MessageId, RoomId
from parlor.settings import Settings
from parlor.states import MessageState, RoomState
from parlor.wiring import Wiring

_encode = msgspec.msgpack.Encoder().encode


class StateMachine:
    """See ``actors.contracts.StateMachineContract``."""

    def __init__(self, settings_json: str, name: str) -> None:
        self._settings = Settings.model_validate_json(settings_json)
        self._name = name
        self._opening: asyncio.Task[Wiring] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._clock = SystemClock()
        self._called_at = self._clock.monotonic()
        configure_logs(self._settings.log, name)

    async def create_room(self, address: RoomAddress, title: str, persona: str) -> bytes:
        return await _answer(self._create_room(address, title, persona))

    async def get_room_state(self, room_id: RoomId) -> bytes:
        wiring = await self._wiring()
        return await _answer(wiring.state_machine.get_room_state(room_id))

    async def get_message_state(self, room_id: RoomId, message_id: MessageId) -> bytes:
        wiring = await self._wiring()
        return await _answer(wiring.state_machine.get_message_state(room_id, message_id))

    async def transition_room(self, room_id: RoomId, to: RoomState, expected: RoomState | None, by: str) -> bytes:
        """One step by hand (operators); the answer is empty or an ``ErrorWire``."""
        wiring = await self._wiring()
        return await _answer(_discard(wiring.state_machine.transition_room(room_id, to, expected=expected, by=by)))

    async def transition_message(
        self, room_id: RoomId, message_id: MessageId, to: MessageState, expected: MessageState | None, by: str
    ) -> bytes:
        """One step by hand (operators); the answer is empty or an ``ErrorWire``."""
        machine = (await self._wiring()).state_machine
        return await _answer(_discard(machine.transition_message(room_id, message_id, to, expected=expected, by=by)))

    async def smart_delete_message(self, address: RoomAddress, claim: str, message_id: MessageId, by: str) -> bytes:
        wiring = await self._wiring()
        return await _answer(wiring.state_machine.smart_delete_message(address, claim, message_id, by))

    async def status(self) -> ActorStatus:
        await self._opened()
        if self._name == STATE_MACHINE and self._watching is None:
            self._watching = asyncio.create_task(watch_supervisor(self._settings.ray.namespace, self._clock))
        idle = self._clock.monotonic() - self._called_at
        return ActorStatus(self._name, "StateMachine", os.getpid(), this_node(), True, idle_seconds=idle)

    async def _create_room(self, address: RoomAddress, title: str, persona: str) -> None:
        wiring = await self._wiring()
        rooms = RoomCache(wiring.live)
        try:
            await rooms.create(address, title, persona, "account")
        except PartitionUnknown:
            await wiring.loader.open_partition(address.partition)
            await rooms.create(address, title, persona, "account")

    async def _wiring(self) -> Wiring:
        """For a call."""
        self._called_at = self._clock.monotonic()
        return await self._opened()

    async def _opened(self) -> Wiring:
        if self._opening is None:
            self._opening = asyncio.create_task(Wiring.open(self._settings))
        return await asyncio.shield(self._opening)

    def __repr__(self) -> str:
        return f"StateMachine({self._name})"


async def _answer(work: Awaitable[Answers]) -> bytes:
    """Expected errors are answers: an exception through Ray would lose its type's meaning and cost a traceback."""
    try:
        return _encode((await work, None))
    except ParlorError as error:
        return _encode((None, error.to_wire()))


async def _discard(work: Awaitable[object]) -> None:
    await work
