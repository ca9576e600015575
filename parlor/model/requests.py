"""What is asked of a room and what it answers: requests, receipts, reports."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import JsonObject, Message, SenderType
from parlor.model.parts import StoredParts, ToolCallPart
from parlor.model.rooms import Room
from parlor.model.states import MessageState


class ReplyMode(StrEnum):
    AUTO = "auto"
    NONE = "none"


class OnBusy(StrEnum):
    ENQUEUE = "enqueue"
    REJECT = "reject"
    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"
    MERGE = "merge"


class Idempotency(msgspec.Struct, frozen=True):
    """What makes a request safe to repeat. ``replayed`` in a receipt: the key was known, this was done before."""

    key: str
    fingerprint: str
    """Digest of what is asked for. The same key with another digest is refused."""


class SendRequest(msgspec.Struct, frozen=True):
    """A message to send, already validated."""

    content: str
    ai_persona: str | None = None
    """The persona for this turn; None for the room's."""
    metadata: JsonObject = {}
    on_busy: OnBusy = OnBusy.ENQUEUE
    reply: ReplyMode = ReplyMode.AUTO
    idempotency: Idempotency | None = None
    urgent: bool = False
    """Whether the sender waits for the commit; the writer then does not wait for its batch to fill."""
    parts: StoredParts | None = None
    """None for a single text part."""
    sender: SenderType = SenderType.USER
    """Who said it; what an AI has said before comes with another program's history."""


class RoomReceipt(msgspec.Struct, frozen=True):
    """The answer to the creation of a room."""

    room: Room
    replayed: bool


class SendReceipt(msgspec.Struct, frozen=True):
    """The answer to a send."""

    message: Message
    reply: Message | None
    cursor: str
    replayed: bool


class AttemptReceipt(msgspec.Struct, frozen=True):
    """The answer to a request for the next attempt: the reply at its beginning, or as it is now."""

    message: Message
    replayed: bool


class EditReceipt(msgspec.Struct, frozen=True):
    """The answer to an edit. The reply was begun anew or waits for its turn; events after the cursor tell of both."""

    message: Message
    reply: Message | None
    cursor: str
    replayed: bool = False


class DeleteOutcome(StrEnum):
    CANCELLED = "cancelled"
    DELETING = "deleting"
    ALREADY_DELETED = "already_deleted"
    STOPPED_AND_DELETED = "stopped_and_deleted"


class DeleteReceipt(msgspec.Struct, frozen=True):
    message_id: MessageId
    state: MessageState
    outcome: DeleteOutcome


class Transition(msgspec.Struct, frozen=True):
    """One line of a transition log."""

    at: int
    from_state: str
    to_state: str
    by: str
    """Who made it: ``room``, ``writer``, ``account:<id>``, ..."""


class WaitingCall(msgspec.Struct, frozen=True):
    """A call of a tool that waits for a decision."""

    room_id: RoomId
    message_id: MessageId
    part: ToolCallPart


class WaitingPage(msgspec.Struct, frozen=True):
    """Calls that wait, those of older replies first."""

    calls: list[WaitingCall]
    next_cursor: str | None


class StateReport(msgspec.Struct, frozen=True):
    """The current state, and the steps that led to it (the log is kept for a day)."""

    state: str
    log: list[Transition]


class DependencyHealth(msgspec.Struct, frozen=True):
    name: str
    ok: bool
    detail: str
