"""The StateMachine actor of this node, as the domain's port."""

from __future__ import annotations

import asyncio

import msgspec
from ray.exceptions import RayError

from actors.contracts import SUPERVISOR
from actors.handles import Handle, find_actor, this_node
from parlor.cache.live import RoomAddress
from parlor.errors import ErrorWire, Overloaded, ParlorError
from parlor.ids import MessageId, RoomId
from parlor.model import DeleteReceipt, StateReport

CALL_SECONDS = 15.0
"""Longest wait for an answer, all attempts together. A step takes milliseconds; a machine that has to be started first,
seconds."""
ROOM_SECONDS = 4.0
"""The same for what a room waits for: it serves nothing else meanwhile, and who waits for the room gives its actor up
for dead after 5 s (``actors.channel.ANSWER_SECONDS``)."""
PROBE_SECONDS = 0.5
"""The same for one that is known to be silent, and is tried again."""
ATTEMPTS = 3


class NodeStateMachine:
    """Finds the node's StateMachine, calls it, finds it again when it has died. Every step is safe to repeat.

    One that did not answer in time is tried by one caller at a time, and shortly: whatever waits for a room, or shares
    an actor call with it (``actors.channel``), would wait for the machine as well.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._handle: Handle | None = None
        self._silent = False
        self._calls = 0
        """Under way."""

    async def create_room(self, address: RoomAddress, title: str, persona: str) -> None:
        await self._call("create_room", address, title, persona)

    async def get_room_state(self, room_id: RoomId) -> StateReport:
        return msgspec.msgpack.decode(await self._call("get_room_state", room_id), type=StateReport)

    async def get_message_state(self, room_id: RoomId, message_id: MessageId) -> StateReport:
        return msgspec.msgpack.decode(await self._call("get_message_state", room_id, message_id), type=StateReport)

    async def smart_delete_message(
        self, address: RoomAddress, claim: str, message_id: MessageId, by: str
    ) -> DeleteReceipt:
        answer = await self._call("smart_delete_message", address, claim, message_id, by, seconds=ROOM_SECONDS)
        return msgspec.msgpack.decode(answer, type=DeleteReceipt)

    async def _call(self, method: str, *arguments: object, seconds: float | None = None) -> msgspec.Raw:
        if self._silent and self._calls:
            raise Overloaded("The state machine does not answer", retry_after=1.0)
        self._calls += 1
        try:
            async with asyncio.timeout(PROBE_SECONDS if self._silent else seconds or CALL_SECONDS):
                blob = await self._ask(method, arguments)
        except TimeoutError as error:
            # Asked for anew next time: it may be another one's place by then.
            self._handle, self._silent = None, True
            raise Overloaded("The state machine does not answer", retry_after=1.0) from error
        finally:
            self._calls -= 1
        self._silent = False
        answer, refused = msgspec.msgpack.decode(blob, type=tuple[msgspec.Raw, ErrorWire | None])
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
