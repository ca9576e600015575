"""Commands to a room and their outcomes: the messages between a gateway and a room's owner.

A batch of them crosses an actor call as one MessagePack blob, at a tenth of the cost of pickling them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from parlor.errors import ErrorWire
from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import Message
from parlor.model.parts import ToolCallPart
from parlor.model.requests import DeleteReceipt, EditReceipt, Idempotency, SendReceipt, SendRequest
from parlor.model.rooms import Room
from parlor.model.tools import Decision, PostedResult


class _Ticketed(msgspec.Struct, frozen=True, kw_only=True):
    ticket: int | None = None
    """The number of the room's last claim, read before the gateway asked for the room's place; set when the call may
    make its host the room's owner. With it the owner refuses a late copy of a command that was also sent to a newer
    owner (ADR 0013)."""
    forwarded: bool = False
    """Whether it came from another cluster (ADR 0059)."""


class _Command(_Ticketed, frozen=True, tag=True):
    session: Session | None
    """Who is asking; None for the program itself (a sweeper)."""
    room_id: RoomId
    request_id: str
    """For the logs and traces, as ``parlor.model.tracing.carried_request`` writes it."""


class Send(_Command, frozen=True):
    """Append a user's message and reserve its reply. The caller mints the ids, so the command is safe to repeat."""

    message_id: MessageId
    reply_id: MessageId | None
    request: SendRequest


class UpdateRoom(_Command, frozen=True):
    title: str | None = None
    ai_persona: str | None = None
    metadata: str | None = None
    """An object in JSON. None leaves each of them as it is."""


class DeleteRoom(_Command, frozen=True):
    pass


class DeleteMessage(_Command, frozen=True):
    message_id: MessageId


class Stop(_Command, frozen=True):
    """End a reply as stopped."""

    message_id: MessageId
    attempt: int | None
    """Stop only this attempt; None stops any."""


class Regenerate(_Command, frozen=True):
    message_id: MessageId
    nonce: str
    """Minted by the caller, so that a repeated command begins no second attempt."""
    idempotency: Idempotency | None = None
    """The client's, so that a repeated request begins none either."""
    ai_persona: str | None = None
    """The persona that answers this time; None for the one before."""


class Continue(_Command, frozen=True):
    """Go on with a reply that ended before it was whole."""

    message_id: MessageId
    nonce: str
    idempotency: Idempotency | None = None


class Edit(_Command, frozen=True):
    message_id: MessageId
    content: str
    nonce: str
    idempotency: Idempotency | None = None


class Decide(_Command, frozen=True):
    """Approve or deny a call of a tool."""

    message_id: MessageId
    tool_call_id: str
    decision: Decision


class PostResult(_Command, frozen=True):
    """Take what came of a call that its caller has executed."""

    message_id: MessageId
    tool_call_id: str
    posted: PostedResult


class ResetMemory(_Command, frozen=True):
    pass


class Wake(_Command, frozen=True):
    """Activate the room, because an unfinished reply waits for an owner."""


Command: TypeAlias = (
    Send
    | UpdateRoom
    | DeleteRoom
    | DeleteMessage
    | Stop
    | Regenerate
    | Continue
    | Edit
    | Decide
    | PostResult
    | ResetMemory
    | Wake
)


class SendDone(msgspec.Struct, frozen=True, tag=True):
    receipt: SendReceipt


class RoomDone(msgspec.Struct, frozen=True, tag=True):
    room: Room


class DeleteDone(msgspec.Struct, frozen=True, tag=True):
    receipt: DeleteReceipt


class MessageDone(msgspec.Struct, frozen=True, tag=True):
    """The message after a ``Stop``, a ``Regenerate`` or a ``Continue``."""

    message: Message
    replayed: bool = False
    """Whether another command with the same idempotency key has begun the attempt."""


class EditDone(msgspec.Struct, frozen=True, tag=True):
    receipt: EditReceipt


class CallDone(msgspec.Struct, frozen=True, tag=True):
    """The call after a ``Decide`` or a ``PostResult``."""

    call: ToolCallPart


class Done(msgspec.Struct, frozen=True, tag=True):
    pass


class Refused(msgspec.Struct, frozen=True, tag=True):
    error: ErrorWire


Result: TypeAlias = SendDone | RoomDone | DeleteDone | MessageDone | EditDone | CallDone | Done
Outcome: TypeAlias = SendDone | RoomDone | DeleteDone | MessageDone | EditDone | CallDone | Done | Refused

_ENCODER = msgspec.msgpack.Encoder()
_COMMANDS = msgspec.msgpack.Decoder(list[Command])
_OUTCOMES = msgspec.msgpack.Decoder(list[Outcome])


def encode_commands(commands: Sequence[Command]) -> bytes:
    return _ENCODER.encode(commands)


def decode_commands(blob: bytes) -> list[Command]:
    return _COMMANDS.decode(blob)


def encode_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    return _ENCODER.encode(outcomes)


def decode_outcomes(blob: bytes) -> list[Outcome]:
    return _OUTCOMES.decode(blob)
