"""The data that Parlor works with: sessions, rooms, messages, pages, receipts.

All are frozen msgspec structs, which cross actor calls as MessagePack and reach clients as JSON. Times are unix
milliseconds; ``parlor.wire`` writes them as RFC 3339.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from parlor.ids import AccountId, MessageId, Partition, RoomId, ShardId
from parlor.states import MessageState, RoomState

JsonObject: TypeAlias = dict[str, Any]
"""A client's own JSON object, stored unchanged."""


class Session(msgspec.Struct, frozen=True):
    """Who is asking, resolved from a bearer token."""

    account_id: AccountId
    account_db_key: int
    partition: Partition
    shard_id: ShardId
    not_before: int = 0
    """Whatever was issued to the account before this time (unix milliseconds) has ended."""


class StreamTicket(msgspec.Struct, frozen=True):
    """What opens one event stream without a token, and by when it has to have been used for the first time."""

    ticket: str
    expires_at: int


class Credential(msgspec.Struct, frozen=True):
    """What a caller has shown. Times are Unix milliseconds."""

    key: str
    """The id of the key that signed the token."""
    issued_at: int
    valid_until: int
    """Streams that were opened with it end then."""


class TicketHolder(msgspec.Struct, frozen=True):
    """Who opens an event stream with a ticket, and the credential that it was asked for with: it ends with that."""

    account_id: AccountId
    credential: Credential


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


class Durability(StrEnum):
    CACHED = "cached"
    PERSISTED = "persisted"


class ReplyMode(StrEnum):
    AUTO = "auto"
    NONE = "none"


class OnBusy(StrEnum):
    ENQUEUE = "enqueue"
    REJECT = "reject"
    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"
    MERGE = "merge"


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the provider counted them. What it did not count, as of a reply that was stopped, is estimated."""

    input_tokens: int
    output_tokens: int


class Room(msgspec.Struct, frozen=True):
    """A chat room (the specification's ``ChatRoom``)."""

    room_id: RoomId
    title: str
    ai_persona: str
    created_at: int
    last_message_at: int | None
    message_count: int
    state: RoomState
    persisted_seq: int
    """Every message up to this seq is in the shard, perhaps in an earlier version; see its own ``durability``."""


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


CONTINUABLE = frozenset({FinishReason.LENGTH, FinishReason.STOPPED, FinishReason.ERROR, FinishReason.INTERRUPTED})
"""A reply that ended by one of these can be continued."""


def reserved_version(attempt: int) -> int:
    """The version of the row that keeps a reply's slot until ``attempt`` has ended."""
    return 2 * attempt - 2


def ended_version(attempt: int) -> int:
    """The version of what ``attempt`` ended with."""
    return 2 * attempt - 1


def attempt_of(version: int) -> int:
    """The attempt that a reserved or ended version belongs to."""
    return version // 2 + 1


class AccountRow(msgspec.Struct, frozen=True):
    """An account, as stored in the global database."""

    account_id: AccountId
    account_db_key: int
    partition: Partition
    not_before: int = 0


class RoomRow(msgspec.Struct, frozen=True):
    """A room, as stored in its shard; deleted rooms are never returned."""

    room_id: RoomId
    account_id: AccountId
    account_db_key: int
    title: str
    ai_persona: str
    created_at: int
    last_message_at: int | None
    message_count: int
    version: int
    """The version of title and persona; an update with a lower one changes nothing."""
    last_seq: int
    """The highest seq among the stored messages, tombstones included; 0 for none."""
    summary: str = ""
    """See ``RoomMemory``. Lists of rooms are read without summaries, so these four have their defaults there."""
    summary_through: int = 0
    summary_at: int | None = None
    summary_version: int = 0


class RoomsBefore(msgspec.Struct, frozen=True):
    """The position after which a page of an account's rooms begins, newest activity first."""

    activity: int
    """``last_message_at``, or ``created_at`` of a room without messages, in ms."""
    room_id: RoomId


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


class RoomPage(msgspec.Struct, frozen=True):
    """A page of an account's rooms, newest activity first."""

    rooms: list[Room]
    total_count: int
    next_cursor: str | None
    events_cursor: str


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


class RoomMemory(msgspec.Struct, frozen=True):
    """What stands in the prompt for a room's older turns."""

    summary: str
    """Empty when there is none."""
    through_seq: int
    """The newest message that the summary covers; 0 without one."""
    updated_at: int | None
    version: int
    """Counts up with each summary and each reset."""


class DailyUse(msgspec.Struct, frozen=True):
    """An account's messages and tokens of one day."""

    account_db_key: int
    day: str
    """``YYYY-MM-DD``, in the time zone that was asked for."""
    messages: int
    input_tokens: int
    output_tokens: int


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


class StateReport(msgspec.Struct, frozen=True):
    """The current state, and the steps that led to it (the log is kept for a day)."""

    state: str
    log: list[Transition]


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


class DependencyHealth(msgspec.Struct, frozen=True):
    name: str
    ok: bool
    detail: str
