"""The specification's ChatStateMachine: changes states of rooms and messages, one legal step at a time.

It works across processes and hosts because each step is made inside Redis. If Redis no longer has a state, it is
derived from the row in the shard: the state of a stored row is final.
"""

from __future__ import annotations

from typing import Protocol

import structlog

from parlor.cache.creations import CreationCache
from parlor.cache.live import Live, RoomAddress
from parlor.cache.operators import OperatorCache
from parlor.cache.records import stored_state
from parlor.cache.states import Deleted, StateCache, Step
from parlor.errors import (
    IllegalTransition,
    InternalError,
    MessageNotFound,
    PartitionUnknown,
    RoomNotFound,
    StoreUnavailable,
)
from parlor.model.ids import Claim, MessageId, RoomId, home_of
from parlor.model.messages import MessageDoc
from parlor.model.requests import DeleteOutcome, DeleteReceipt, Idempotency, StateReport
from parlor.model.states import MessageState, RoomState
from parlor.reading.loading import Loader
from parlor.store.ports import ChatStore

_log = structlog.get_logger(__name__)


class StateMachine(Protocol):
    """The state machine for callers that do not own the room. Implemented by ``ChatStateMachine`` in the process, and
    by the node's StateMachine actor (``actors.node_state_machine``). Every method is safe to repeat."""

    async def create_room(
        self, address: RoomAddress, title: str, persona: str, *, by: str, idempotency: Idempotency | None = None
    ) -> RoomId:
        """Creates a room, unless it exists, and returns its id: that of the first one for a known idempotency key.
        Raises ``Overloaded``, ``IdempotencyMismatch``, ``LimitReached``, and ``RoomNotFound`` for a room that was
        deleted."""

    async def transition_room(
        self, room_id: RoomId, to: RoomState, *, expected: RoomState | None = None, by: str
    ) -> RoomState:
        """Makes one step, if it is legal and the room is in the expected state (None: any). Raises ``RoomNotFound``,
        and ``IllegalTransition`` with the current state."""

    async def transition_message(
        self, room_id: RoomId, message_id: MessageId, to: MessageState, *, expected: MessageState | None = None, by: str
    ) -> MessageState:
        """Makes one step, if it is legal and the message is in the expected state (None: any). Raises
        ``MessageNotFound``, and ``IllegalTransition`` with the current state."""

    async def get_room_state(self, room_id: RoomId) -> StateReport:
        """Returns the state and the steps that led to it. Raises ``RoomNotFound``."""

    async def get_message_state(self, room_id: RoomId, message_id: MessageId) -> StateReport:
        """Returns the state and the steps that led to it. Raises ``MessageNotFound``."""

    async def smart_delete_message(self, address: RoomAddress, message_id: MessageId, *, by: str) -> DeleteReceipt:
        """Deletes a message according to its state (I10), without owning the room. Raises ``MessageNotFound``,
        ``RoomNotFound``, and ``OutOfStep`` when Redis does not have the room."""


class ChatStateMachine(StateMachine):
    """The process's own state machine. Every method raises ``CacheUnavailable``, and ``StoreUnavailable`` if only the
    shard has what it needs."""

    def __init__(self, live: Live, store: ChatStore, loader: Loader) -> None:
        self._states = StateCache(live)
        self._creations = CreationCache(live)
        self._operators = OperatorCache(live)
        self._store = store
        self._loader = loader

    async def create_room(
        self, address: RoomAddress, title: str, persona: str, *, by: str, idempotency: Idempotency | None = None
    ) -> RoomId:
        try:
            made = await self._creations.create(address, title, persona, by, idempotency, stored=None)
        except PartitionUnknown:
            await self._loader.open_partition(address.partition)
            made = await self._creations.create(address, title, persona, by, idempotency, stored=None)
        if made is None:
            stored = await self._stored_rooms(address)
            made = await self._creations.create(address, title, persona, by, idempotency, stored=stored)
        if made is None:
            raise InternalError(debug="a room was neither created nor refused")
        return made

    async def transition_room(
        self, room_id: RoomId, to: RoomState, *, expected: RoomState | None = None, by: str
    ) -> RoomState:
        step = await self._states.transition_room(room_id, expected, to, by)
        if step.state is None:
            raise RoomNotFound
        _require_done(step, to)
        return RoomState(step.state)

    async def transition_message(
        self, room_id: RoomId, message_id: MessageId, to: MessageState, *, expected: MessageState | None = None, by: str
    ) -> MessageState:
        seq = await self._states.find_message(room_id, message_id)
        step = Step(False, None)
        if seq is not None:
            step = await self._states.transition_message(room_id, seq, expected, to, by)
        if step.state is None:
            raise MessageNotFound
        _require_done(step, to)
        return MessageState(step.state)

    async def get_room_state(self, room_id: RoomId) -> StateReport:
        found = await self._states.room_state(room_id)
        if found is not None:
            return StateReport(found[0], found[1])
        if await self._store.room_get(await self._store.shard_of(home_of(room_id)), room_id) is None:
            raise RoomNotFound
        return StateReport(RoomState.ACTIVE, [])

    async def get_message_state(self, room_id: RoomId, message_id: MessageId) -> StateReport:
        seq = await self._states.find_message(room_id, message_id)
        found = await self._states.message_state(room_id, seq) if seq is not None else None
        if found is not None:
            return StateReport(found[0], found[1])
        row = await self._store.message_find(await self._store.shard_of(home_of(room_id)), room_id, message_id)
        if row is None:
            raise MessageNotFound
        return StateReport(stored_state(row), [])

    async def smart_delete_message(self, address: RoomAddress, message_id: MessageId, *, by: str) -> DeleteReceipt:
        found = await self._deletable(address, message_id)
        if found is None:
            return _deleted_before(message_id)
        seq, doc, stored = found
        return _receipt(message_id, await self._operators.delete_message(address, seq, doc, stored=stored, by=by))

    async def owner_delete_message(
        self, address: RoomAddress, claim: Claim, message_id: MessageId, *, by: str
    ) -> DeleteReceipt:
        """Deletes a message on behalf of the room's owner. Also raises ``Fenced``."""
        found = await self._deletable(address, message_id)
        if found is None:
            return _deleted_before(message_id)
        seq, doc, stored = found
        return _receipt(message_id, await self._states.delete_message(address, claim, seq, doc, stored=stored, by=by))

    async def _stored_rooms(self, address: RoomAddress) -> int:
        """How many rooms the shard has for the account; 0 when it does not answer, for a limit is no reason to refuse
        what might be within it."""
        try:
            return await self._store.rooms_count(await self._store.shard_of(address.partition), address.account_db_key)
        except StoreUnavailable as error:
            _log.warning("rooms_not_counted", account=address.account_id, debug=error.debug)
            return 0

    async def _deletable(self, address: RoomAddress, message_id: MessageId) -> tuple[int, MessageDoc, bool] | None:
        """Returns the message's seq and content, and whether they came from the shard. None for a message that was
        deleted long ago and that Redis no longer has, which must not count as deleted again. Raises
        ``MessageNotFound``."""
        seq = await self._states.find_message(address.room_id, message_id)
        doc = await self._states.message_doc(address.room_id, seq) if seq is not None else None
        if seq is not None and doc is not None:
            return seq, doc, False
        row = await self._store.message_find(await self._store.shard_of(address.partition), address.room_id, message_id)
        if row is None:
            raise MessageNotFound
        if row.deleted and seq is None:
            return None
        return row.seq, row.doc, True


def _deleted_before(message_id: MessageId) -> DeleteReceipt:
    return DeleteReceipt(message_id, MessageState.DELETED, DeleteOutcome.ALREADY_DELETED)


def _receipt(message_id: MessageId, deleted: Deleted) -> DeleteReceipt:
    return DeleteReceipt(message_id, deleted.state, deleted.outcome)


def _require_done(step: Step, to: str) -> None:
    if not step.done:
        raise IllegalTransition(f"{step.state} does not become {to}", extra={"from": step.state or "", "to": to})


_instance: ChatStateMachine | None = None


def set_chat_state_machine(machine: ChatStateMachine) -> None:
    """Sets the process's one instance."""
    global _instance  # noqa: PLW0603 - the specification asks for one instance in each process
    _instance = machine


def get_chat_state_machine() -> ChatStateMachine:
    """Returns the process's one instance. Raises ``RuntimeError`` before ``set_chat_state_machine``."""
    if _instance is None:
        raise RuntimeError("no state machine in this process: call set_chat_state_machine first")
    return _instance
