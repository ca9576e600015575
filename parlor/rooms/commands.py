"""What a room is asked to do, and what it answers: the messages between a front door and a room's owner.

They cross actor calls as one MessagePack blob for a whole batch, which costs a tenth of pickling them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from parlor.errors import ErrorWire
from parlor.ids import MessageId, RoomId
from parlor.model import DeleteReceipt, EditReceipt, Message, Room, SendReceipt, SendRequest, Session


class _Placed(msgspec.Struct, frozen=True, kw_only=True):
    ticket: int | None = None
    """With a call that may make its host the room's owner: the number of the room's last claim, read before the place
    was asked for. A copy of the command that comes late, after another owner was asked, is refused by it (ADR 0013)."""


class _Command(_Placed, frozen=True, tag=True):
    session: Session | None
    """Who asks; None is the program itself (a sweeper)."""
    room_id: RoomId
    request_id: str
    """For the logs."""


class Send(_Command, frozen=True):
    """Append a user's message and reserve its reply. The ids are minted by the caller: asking again is harmless."""

    message_id: MessageId
    reply_id: MessageId | None
    request: SendRequest


class Rename(_Command, frozen=True):
    title: str


class DeleteRoom(_Command, frozen=True):
    pass


class DeleteMessage(_Command, frozen=True):
    message_id: MessageId


class Stop(_Command, frozen=True):
    """End a reply as stopped."""

    message_id: MessageId
    attempt: int | None
    """Only this one; None: whichever it is at."""


class Regenerate(_Command, frozen=True):
    message_id: MessageId
    nonce: str
    """Minted by the caller, so that asking again begins no second attempt."""


class Edit(_Command, frozen=True):
    message_id: MessageId
    content: str
    nonce: str


class ResetMemory(_Command, frozen=True):
    pass


class Wake(_Command, frozen=True):
    """Be active: an unfinished reply waits for an owner."""


Command: TypeAlias = Send | Rename | DeleteRoom | DeleteMessage | Stop | Regenerate | Edit | ResetMemory | Wake


class SendDone(msgspec.Struct, frozen=True, tag=True):
    receipt: SendReceipt


class RoomDone(msgspec.Struct, frozen=True, tag=True):
    room: Room


class DeleteDone(msgspec.Struct, frozen=True, tag=True):
    receipt: DeleteReceipt


class MessageDone(msgspec.Struct, frozen=True, tag=True):
    """The message as it is now: of a ``Stop`` or a ``Regenerate``."""

    message: Message


class EditDone(msgspec.Struct, frozen=True, tag=True):
    receipt: EditReceipt


class Done(msgspec.Struct, frozen=True, tag=True):
    pass


class Refused(msgspec.Struct, frozen=True, tag=True):
    error: ErrorWire


Result: TypeAlias = SendDone | RoomDone | DeleteDone | MessageDone | EditDone | Done
Outcome: TypeAlias = SendDone | RoomDone | DeleteDone | MessageDone | EditDone | Done | Refused

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
