"""Requests and responses as the specification names them; the documentation of the HTTP interface.

Requests are validated with these models. Responses are written by ``api.answers`` (faster, same JSON: a test holds them
together). Unknown members of a request are ignored, so that a client of a later version is not refused; a value of the
wrong type is refused, never converted. Every JSON answer carries ``errorCode`` at its top level, 0 for success.

The numbers that are settings (content, title, metadata) are checked in ``api.limits``.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from parlor.model import DeleteOutcome, Durability, FinishReason, JsonObject, OnBusy, ReplyMode, SenderType
from parlor.states import MessageState, RoomState

SEQ_MAX = 2**53 - 1
"""What every JSON reader can hold; a room never gets there."""
ATTEMPT_MAX = 2**31 - 1


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("the character U+0000 is not allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is not text") from None
    return text


def _not_blank(text: str) -> str:
    if not text or text.isspace():
        raise ValueError("must not be blank")
    return text


def _day(value: object) -> date:
    # Not pydantic's own reading, which takes seconds since 1970 and times too.
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("must be a day as YYYY-MM-DD")
    return date.fromisoformat(value)


Text = Annotated[str, AfterValidator(_not_blank), AfterValidator(_storable)]
PersonaName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_storable)]
Day = Annotated[date, BeforeValidator(_day), Field(description="`YYYY-MM-DD`, UTC")]
Timestamp = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC, milliseconds, `Z`")
]
Cursor = Annotated[str, Field(description="A place in an event log: the `id:` of an event, `after=` to go on from it")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Answer(_Body):
    """The top level of a JSON answer."""

    error_code: Annotated[Literal[0], Field(alias="errorCode", description="0: success")] = 0


class ChatRoom(_Body):
    """A room."""

    room_id: str
    title: str
    ai_persona: str
    created_at: Timestamp
    last_message_at: Timestamp | None
    message_count: int
    state: RoomState
    persisted_seq: int
    """Every message up to this seq is committed in the database; one that was edited or begun anew since, as it was
    before: its `durability` tells."""


class ChatUsage(_Body):
    """Tokens as the LLM's provider counted them."""

    input_tokens: int
    output_tokens: int


class ChatReplyError(_Body):
    """Why a reply failed: a code of the error table, or `interrupted`."""

    code: str
    detail: str


class ChatMessage(_Body):
    """A message. `seq` is its place in the room: 1, 2, 3, ... without holes."""

    message_id: str
    room_id: str
    seq: int
    sender_type: SenderType
    content: str
    timestamp: Timestamp
    state: MessageState
    durability: Durability
    """`cached`: durable in Redis; `persisted`: committed in the database."""
    is_streaming: bool
    attempt: int
    """Which run of the LLM wrote it; 0 for a person's message."""
    parent_message_id: str | None
    finish_reason: FinishReason | None
    usage: ChatUsage | None
    metadata: JsonObject
    ai_persona: str | None = None
    """Who answers, or answered; of replies only."""
    error: ChatReplyError | None = None
    """Why a reply failed."""


class ChatRoomListRequest(_Request):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_storable)] | None = None
    """`next_cursor` of the page before."""


class ChatRoomListResponse(_Answer):
    rooms: list[ChatRoom]
    total_count: int
    next_cursor: str | None
    events_cursor: Cursor


class ChatRoomCreateRequest(_Request):
    title: Text | None = None
    ai_persona: PersonaName | None = None


class ChatRoomCreateResponse(ChatRoom, _Answer):
    """The room."""


class ChatRoomUpdateRequest(_Request):
    title: Text


class ChatRoomUpdateResponse(ChatRoom, _Answer):
    """The room."""


class ChatRoomDeleteRequest(_Request):
    """The path says it all."""

    room_id: str


class ChatRoomDeleteResponse(ChatRoom, _Answer):
    """The room."""


class ChatMessageSendRequest(_Request):
    content: Text
    ai_persona: PersonaName | None = None
    """For this turn; without it the room's."""
    metadata: JsonObject | None = None
    """A JSON object of yours, kept with the message."""
    on_busy: OnBusy = OnBusy.ENQUEUE
    """While a reply is being generated: `enqueue`: wait for its turn; `reject`: refuse with `room-busy`; `interrupt`:
    stop the reply and keep its text; `rollback`: drop the running turn; `merge`: let the reply go on, then answer all
    waiting messages with one. The last three leave one reply to come, which answers every message that waits."""
    reply: ReplyMode = ReplyMode.AUTO
    """`none`: keep the message without asking the LLM."""


class ChatMessageSendResponse(_Answer):
    message: ChatMessage
    reply: ChatMessage | None
    cursor: Cursor


class ChatMessageListRequest(_Request):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: Annotated[int, Field(ge=1, le=SEQ_MAX)] | None = None
    """Messages with a lower seq, the newest of them."""
    after: Annotated[int, Field(ge=0, le=SEQ_MAX)] | None = None
    """Messages with a higher seq, the oldest of them. Not together with `before`."""


class ChatMessageListResponse(_Answer):
    messages: list[ChatMessage]
    has_more: bool
    next_before: int | None
    persisted_seq: int
    cursor: Cursor


class ChatMessageDeleteRequest(_Request):
    """The path says it all."""

    room_id: str
    message_id: str


class ChatMessageDeleteResponse(_Answer):
    message_id: str
    state: MessageState
    outcome: DeleteOutcome


class ChatMessageEditRequest(_Request):
    content: Text


class ChatMessageEditResponse(ChatMessage, _Answer):
    """The message, and what becomes of its reply."""

    reply: ChatMessage | None
    """Its reply: begun anew, or still waiting for its turn; null when it has none."""
    cursor: Cursor


class ChatMessageStopRequest(_Request):
    attempt: Annotated[int, Field(strict=True, ge=0, le=ATTEMPT_MAX)] | None = None
    """Stop only this attempt; without it whichever the reply is at."""


class ChatMessageVariantsResponse(_Answer):
    variants: list[ChatMessage]
    """Ascending; the last one is what the message says now."""


class ChatRoomQueueResponse(_Answer):
    messages: list[ChatMessage]
    """A person's messages whose replies wait for their turn, ascending; they can be edited and deleted."""


class ChatRoomMemoryResponse(_Answer):
    """The summary that stands in the prompt for a room's older turns."""

    summary: str
    """Empty when there is none."""
    through_seq: int
    """The newest message that it covers; 0 without one."""
    updated_at: Timestamp | None
    version: int
    """Counts up with each summary and each reset."""


class ChatUsageRequest(_Request):
    from_: Annotated[Day | None, Field(alias="from")] = None
    """The first day; without it the thirtieth, counted back from `to`."""
    to: Day | None = None
    """The last day, included; without it today. At most 366 days."""


class ChatUsageTotal(_Body):
    messages: int
    input_tokens: int
    output_tokens: int


class ChatUsageDay(ChatUsageTotal):
    date: Day


class ChatUsageResponse(_Answer):
    """What is committed in the database: it may be some seconds behind."""

    from_: Annotated[Day, Field(alias="from")]
    to: Day
    days: list[ChatUsageDay]
    """Ascending; days without use are left out."""
    total: ChatUsageTotal


class ChatRoomResponse(ChatRoom, _Answer):
    """The room."""


class ChatMessageResponse(ChatMessage, _Answer):
    """The message."""


class ChatTransition(_Body):
    """One line of a transition log."""

    at: Timestamp
    from_: Annotated[str, Field(alias="from")]
    to: str
    by: str


class ChatStateResponse(_Answer):
    """The state that holds now; the log of how it came to be lives for a day."""

    state: str
    log: list[ChatTransition]


class ChatPersona(_Body):
    name: str
    title: str
    description: str
    model: str


class ChatPersonaListResponse(_Answer):
    personas: list[ChatPersona]


class DependencyState(_Body):
    name: str
    ok: bool
    detail: str


class HealthResponse(_Answer):
    ready: bool
    dependencies: list[DependencyState]
