"""The ChatStateMachine of the specification: states of rooms and messages, moved one legal step at a time.

Works across processes and hosts because the step is made inside Redis. When Redis has forgotten a state, the row in the
shard tells it: what is stored is final.
"""

from __future__ import annotations

from typing import Protocol

from parlor.cache.live import Live, RoomAddress
from parlor.cache.records import stored_state
from parlor.cache.states import StateCache, Step
from parlor.errors import IllegalTransition, MessageNotFound, RoomNotFound
from parlor.ids import MessageId, RoomId, home_of
from parlor.model import DeleteOutcome, DeleteReceipt, StateReport
from parlor.states import MessageState, RoomState
from parlor.store.ports import ChatStore


class StateMachinePort(Protocol):
    """What rooms ask of the state machine; in production it is the StateMachine actor of the node."""

    async def smart_delete_message(
        self, address: RoomAddress, claim: str, message_id: MessageId, by: str
    ) -> DeleteReceipt: ...


class ChatStateMachine:
    """Raises ``CacheUnavailable`` throughout; ``StoreUnavailable`` where only the shard knows."""

    def __init__(self, live: Live, store: ChatStore) -> None:
        self._states = StateCache(live)
        self._store = store

    async def transition_room(
        self, room_id: RoomId, to: RoomState, *, expected: RoomState | None = None, by: str
    ) -> RoomState:
        """One step, if the room is in the expected state (None: any) and the step is legal. Raises
        ``IllegalTransition`` with the state that holds, ``RoomNotFound``."""
        step = await self._states.transition_room(room_id, expected, to, by)
        if step.state is None:
            raise RoomNotFound
        _require_done(step, to)
        return RoomState(step.state)

    async def transition_message(
        self, room_id: RoomId, message_id: MessageId, to: MessageState, *, expected: MessageState | None = None, by: str
    ) -> MessageState:
        """One step, if the message is in the expected state (None: any) and the step is legal. Raises
        ``IllegalTransition`` with the state that holds, ``MessageNotFound``."""
        seq = await self._states.find_message(room_id, message_id)
        step = Step(False, None)
        if seq is not None:
            step = await self._states.transition_message(room_id, seq, expected, to, by)
        if step.state is None:
            raise MessageNotFound
        _require_done(step, to)
        return MessageState(step.state)

    async def get_room_state(self, room_id: RoomId) -> StateReport:
        """The state and the way there. Raises ``RoomNotFound``."""
        found = await self._states.room_state(room_id)
        if found is not None:
            return StateReport(found[0], found[1])
        if await self._store.room_get(await self._store.shard_of(home_of(room_id)), room_id) is None:
            raise RoomNotFound
        return StateReport(RoomState.ACTIVE, [])

    async def get_message_state(self, room_id: RoomId, message_id: MessageId) -> StateReport:
        """The state and the way there. Raises ``MessageNotFound``."""
        seq = await self._states.find_message(room_id, message_id)
        found = await self._states.message_state(room_id, seq) if seq is not None else None
        if found is not None:
            return StateReport(found[0], found[1])
        row = await self._store.message_find(await self._store.shard_of(home_of(room_id)), room_id, message_id)
        if row is None:
            raise MessageNotFound
        return StateReport(stored_state(row), [])

    async def smart_delete_message(
        self, address: RoomAddress, claim: str, message_id: MessageId, by: str
    ) -> DeleteReceipt:
        """Deletes by state (I10). Raises ``MessageNotFound``, ``RoomNotFound``, ``Fenced``, ``OutOfStep``.

        ``claim`` is the owner's; empty when nobody owns the room.
        """
        seq = await self._states.find_message(address.room_id, message_id)
        doc = await self._states.message_doc(address.room_id, seq) if seq is not None else None
        stored = False
        if seq is None or doc is None:
            shard = await self._store.shard_of(address.partition)
            row = await self._store.message_find(shard, address.room_id, message_id)
            if row is None:
                raise MessageNotFound
            if row.deleted and seq is None:
                # Redis has forgotten the state of an old message: it must not count as deleted a second time.
                return DeleteReceipt(message_id, MessageState.DELETED, DeleteOutcome.ALREADY_DELETED)
            seq, doc, stored = row.seq, row.doc, True
        deleted = await self._states.delete_message(address, claim, seq, doc, stored=stored, by=by)
        return DeleteReceipt(message_id, deleted.state, deleted.outcome)


def _require_done(step: Step, to: str) -> None:
    if not step.done:
        raise IllegalTransition(f"{step.state} does not become {to}", extra={"from": step.state or "", "to": to})


_instance: ChatStateMachine | None = None


def set_chat_state_machine(machine: ChatStateMachine) -> None:
    """Makes it the process's one instance."""
    global _instance  # noqa: PLW0603 - the specification asks for one instance in each process
    _instance = machine


def get_chat_state_machine() -> ChatStateMachine:
    """The process's one instance. Raises ``RuntimeError`` before ``set_chat_state_machine``."""
    if _instance is None:
        raise RuntimeError("no state machine in this process yet: set_chat_state_machine comes first")
    return _instance
