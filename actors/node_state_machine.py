"""The StateMachine actor of this node, as ``parlor.state_machine.StateMachine``."""

from __future__ import annotations

import asyncio

import msgspec
from ray.exceptions import RayError

from actors.contracts import SUPERVISOR
from actors.handles import Handle, find_actor, this_node
from parlor.cache.live import RoomAddress
from parlor.errors import ErrorWire, Overloaded, ParlorError
from parlor.model.ids import MessageId, RoomId
from parlor.model.requests import DeleteReceipt, Idempotency, StateReport
from parlor.model.rooms import NewRoom
from parlor.model.states import MessageState, RoomState
from parlor.model.tracing import carried_request
from parlor.state_machine import StateMachine

_decode = msgspec.msgpack.decode

CALL_SECONDS = 15.0
"""Longest wait for an answer, all attempts together. A step takes milliseconds; a machine that has to be started first,
seconds."""
PROBE_SECONDS = 0.5
"""The same for one that did not answer the last call."""
ATTEMPTS = 3


class NodeStateMachine(StateMachine):
    """Finds the node's StateMachine, calls it, and finds it again when it has died.

    One that did not answer in time gets one call at a time, with a short limit, until it answers; further callers are
    refused at once instead of waiting for it.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._handle: Handle | None = None
        self._silent = False
        self._calls = 0
        """Under way."""

    async def create_room(
        self, address: RoomAddress, new: NewRoom, *, by: str, idempotency: Idempotency | None = None
    ) -> RoomId:
        return RoomId(
            _decode(await self._call("create_room", address, new, by, idempotency, carried_request()), type=str)
        )

    async def transition_room(
        self, room_id: RoomId, to: RoomState, *, expected: RoomState | None = None, by: str
    ) -> RoomState:
        return _decode(await self._call("transition_room", room_id, to, expected, by), type=RoomState)

    async def transition_message(
        self, room_id: RoomId, message_id: MessageId, to: MessageState, *, expected: MessageState | None = None, by: str
    ) -> MessageState:
        return _decode(await self._call("transition_message", room_id, message_id, to, expected, by), type=MessageState)

    async def get_room_state(self, room_id: RoomId) -> StateReport:
        return _decode(await self._call("get_room_state", room_id), type=StateReport)

    async def get_message_state(self, room_id: RoomId, message_id: MessageId) -> StateReport:
        return _decode(await self._call("get_message_state", room_id, message_id), type=StateReport)

    async def smart_delete_message(self, address: RoomAddress, message_id: MessageId, *, by: str) -> DeleteReceipt:
        found = await self._call("smart_delete_message", address, message_id, by, carried_request())
        return _decode(found, type=DeleteReceipt)

    async def _call(self, method: str, *arguments: object) -> msgspec.Raw:
        if self._silent and self._calls:
            raise Overloaded("The state machine does not answer", retry_after=1.0)
        self._calls += 1
        try:
            async with asyncio.timeout(PROBE_SECONDS if self._silent else CALL_SECONDS):
                blob = await self._ask(method, arguments)
        except TimeoutError as error:
            # Looked for anew next time: by then the node may have another one.
            self._handle, self._silent = None, True
            raise Overloaded("The state machine does not answer", retry_after=1.0) from error
        finally:
            self._calls -= 1
        self._silent = False
        answer, refused = _decode(blob, type=tuple[msgspec.Raw, ErrorWire | None])
        if refused is not None:
            raise ParlorError.from_wire(refused)
        return answer

    async def _ask(self, method: str, arguments: tuple[object, ...]) -> bytes:
        for _ in range(ATTEMPTS):
            try:
                if self._handle is None:
                    self._handle = await self._find()
                blob: bytes = await getattr(self._handle, method).remote(*arguments)
            except (RayError, ValueError):
                # Dead, or being restarted: it may have happened, and will be asked again.
                self._handle = None
            else:
                return blob
        raise Overloaded("The state machine does not answer", retry_after=1.0)

    async def _find(self) -> Handle:
        supervisor = await find_actor(SUPERVISOR, self._namespace)
        name: str = await supervisor.state_machine_for.remote(this_node())
        return await find_actor(name, self._namespace)
