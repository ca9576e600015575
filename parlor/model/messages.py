"""Messages: what one says, its place in a room, its events, and pages of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec
from msgspec import structs

from parlor.model.ids import MessageId, RoomId
from parlor.model.parts import StoredParts
from parlor.model.states import MessageState

JsonObject: TypeAlias = dict[str, Any]
"""A client's own JSON object, stored unchanged."""


class SenderType(StrEnum):
    USER = "USER"
    AI = "AI"
    SYSTEM = "SYSTEM"


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    STOPPED = "stopped"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    CONTENT_FILTER = "content_filter"
    REASONING_LIMIT = "reasoning_limit"
    """The model thought until its limit and said nothing."""
    TOOL_LIMIT = "tool_limit"
    """The model wanted more steps with tools than its persona allows."""


class Durability(StrEnum):
    CACHED = "cached"
    PERSISTED = "persisted"


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the provider counted them. What it did not count, as of a reply that was stopped, is estimated."""

    input_tokens: int
    output_tokens: int


class MessageDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message says; its seq and state are elsewhere. A row that keeps a reply's slot says how it begins."""

    message_id: MessageId
    sender_type: SenderType
    content: str
    timestamp: int
    version: int = 1
    """A lower version never overwrites a higher one. A person's message has version 1, and one more after each edit. A
    reply at attempt k has ``2k - 2`` (even) while its slot is reserved, and ``2k - 1`` (odd) once it has ended."""
    attempt: int = 0
    """The run of the LLM that wrote this; 0 for a person's message and before the first run."""
    ai_persona: str | None = None
    parent_message_id: MessageId | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    error_code: str | None = None
    """Why a reply failed: an error code of ``parlor.errors``. ``retry_after``, in seconds, is not in the shard."""
    error_detail: str | None = None
    retry_after: float | None = None
    metadata: JsonObject = {}
    parts: StoredParts | None = None
    """None for a message that is one text part, or that was stored before there were parts."""
    parked: bool = False
    """Of the row that keeps a reply's slot: its readers have been told what it says. Not in the shard."""


def as_stored(doc: MessageDoc) -> MessageDoc:
    """What a shard has of it."""
    return structs.replace(doc, retry_after=None, parked=False)


CONTINUABLE = frozenset({FinishReason.LENGTH, FinishReason.STOPPED, FinishReason.ERROR, FinishReason.INTERRUPTED})
"""A reply that ended by one of these can be continued."""


def reserved_version(attempt: int) -> int:
    """The version of the row that keeps a reply's slot until ``attempt`` has ended."""
    return 2 * attempt - 2


def ended_version(attempt: int) -> int:
    """The version of what ``attempt`` ended with."""
    return 2 * attempt - 1


def next_reserved(version: int) -> int:
    """The version of the next row that keeps a reply's slot: even, and what ends it is one higher."""
    return version + 2 - version % 2


class MessageRow(msgspec.Struct, frozen=True):
    """A stored message; a deleted one is a tombstone with empty content."""

    seq: int
    doc: MessageDoc
    deleted: bool


class QueuePosition(msgspec.Struct, frozen=True, order=True):
    """The id of a queue entry: ``incarnation`` of the partition, ``number`` of the entry in it, from 1."""

    incarnation: int
    number: int

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> QueuePosition:
        incarnation, number = text.split("-", 1)
        return cls(int(incarnation), int(number))


class ReplyError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a reply failed. ``retry_after_seconds`` is the provider's, told while the message is in Redis."""

    code: str
    detail: str
    retry_after_seconds: int | None = None


class Message(msgspec.Struct, frozen=True):
    """A message as its readers see it (the specification's ``ChatMessage``)."""

    message_id: MessageId
    room_id: RoomId
    seq: int
    sender_type: SenderType
    content: str
    timestamp: int
    state: MessageState
    durability: Durability
    is_streaming: bool
    attempt: int
    parent_message_id: MessageId | None
    finish_reason: FinishReason | None
    usage: Usage | None
    metadata: JsonObject
    ai_persona: str | None = None
    """The persona that answers; set for replies only."""
    error: ReplyError | None = None
    parts: StoredParts | None = None
    """As they are stored; ``wire.message_form`` shows them."""


class MessageList(msgspec.Struct, frozen=True):
    """A page of messages that are not a stretch of history: versions of one message, or those that wait."""

    messages: list[Message]
    next_cursor: str | None
    """Where the next page begins; None on the last page."""


class MessagePage(msgspec.Struct, frozen=True):
    """A page of history, ascending seq."""

    messages: list[Message]
    has_more: bool
    """Whether messages exist beyond this page, in the direction that was asked for."""
    next_before: int | None
    """The ``before`` of the next page of older messages; None at the room's start."""
    persisted_seq: int
    cursor: str
    """Events after this cursor continue the page without gap or repeat."""


class Event(msgspec.Struct, frozen=True):
    """One entry of an event log, ready to be framed: ``cursor`` is the SSE id, ``data`` one line of JSON. The rest says
    what it is about, for readers of one reply among others."""

    cursor: str
    type: str
    data: bytes
    message_id: MessageId | None = None
    attempt: int | None = None
    room_id: RoomId | None = None


TERMINAL_EVENTS = frozenset({"message.completed", "message.stopped", "message.failed", "message.deleted"})
"""A reply's stream ends with one of these."""
