"""Requests and responses, with the specification's names; they document the HTTP interface.

Requests are validated with these models: an unknown member of a body is refused, because a misspelt one would be
ignored in silence; a value of the wrong type is refused, never converted. ``api.limits`` checks the limits that are
settings.
Responses are written by ``api.answers``; a test holds them to these models. Every JSON answer has ``errorCode`` at its
top level, 0 for success.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from api.fields import (
    Content,
    Cursor,
    Day,
    ExternalId,
    ListCursor,
    PersonaName,
    Timestamp,
    Title,
    _Answer,
    _Body,
    _Query,
)
from api.part_schemas import PARTS_MAX, ChatPart, ChatPartInput, ChatTextInput, joined
from parlor.llm.text import is_blank
from parlor.model.messages import Durability, FinishReason, JsonObject, SenderType
from parlor.model.requests import DeleteOutcome, OnBusy, ReplyMode
from parlor.model.states import MessageState, RoomState

SEQ_MAX = 2**53 - 1
"""The largest integer that every JSON reader can hold; no room has that many messages."""
ATTEMPT_MAX = 2**31 - 1


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
    """Every message up to this seq is committed in the database. A message that was edited or regenerated since may be
    committed in its earlier version only: its `durability` tells."""
    external_id: str | None
    """What another program calls the room; no other room of the account has it."""


class ChatUsage(_Body):
    """Tokens as counted by the LLM's provider. What it did not count, as of a reply that was stopped, is estimated."""

    input_tokens: int
    output_tokens: int


class ChatReplyError(_Body):
    """Why a reply failed: a code of the error table, or `interrupted`."""

    code: str
    detail: str
    retry_after_seconds: int | None = None
    """When the LLM's provider wants to be asked again, counted from the failure; left out when it does not say, and
    after a while."""


class ChatMessage(_Body):
    """A message. `seq` is its number in the room: 1, 2, 3, ... without holes."""

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
    """The run of the LLM that wrote it; 0 for a message of a user."""
    parent_message_id: str | None
    finish_reason: FinishReason | None
    usage: ChatUsage | None
    metadata: JsonObject
    ai_persona: str | None = None
    """The persona that answers, or answered; only for replies."""
    error: ChatReplyError | None = None
    """Why the reply failed."""
    parts: list[ChatPart]
    """What it is made of, in order; `content` is the texts of the `text` parts, joined."""


class ChatRoomListRequest(_Query):
    external_id: ExternalId | None = None
    """Only the room with this external id; without `cursor`."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: ListCursor | None = None
    """`next_cursor` of the previous page."""


class ChatRoomListResponse(_Answer):
    rooms: list[ChatRoom]
    total_count: int
    next_cursor: str | None
    events_cursor: Cursor


class ChatRoomCreateRequest(_Body):
    title: Title | None = None
    ai_persona: PersonaName | None = None
    external_id: ExternalId | None = None
    """What your program calls the room. If a room of the account has it already, that room is the answer, unchanged."""


class ChatRoomCreateResponse(ChatRoom, _Answer):
    """The room."""


class ChatRoomUpdateRequest(_Body):
    """At least one of them."""

    title: Title | None = None
    ai_persona: PersonaName | None = None
    """Answers from the next turn on."""

    @model_validator(mode="after")
    def _something_changes(self) -> Self:
        if self.title is None and self.ai_persona is None:
            raise ValueError("Give a title or an ai_persona")
        return self


class ChatRoomUpdateResponse(ChatRoom, _Answer):
    """The room."""


class ChatRoomDeleteRequest(_Query):
    """The path parameter."""

    room_id: str


class ChatRoomDeleteResponse(ChatRoom, _Answer):
    """The room."""


def _at(field: str, message: str) -> ValidationError:
    """An error of a whole body that is told at one of its fields."""
    error = PydanticCustomError("value_error", "{message}", {"message": message})
    return ValidationError.from_exception_data("body", [InitErrorDetails(type=error, loc=(field,), input=None)])


class ChatMessageSendRequest(_Body):
    """`content`, `parts`, or both: `content` is then one more text before the parts, unless it is their text."""

    content: Content | None = None
    parts: Annotated[list[ChatPartInput], Field(min_length=1, max_length=PARTS_MAX)] | None = None
    ai_persona: PersonaName | None = None
    """The persona for this turn; default: that of the room."""
    metadata: JsonObject | None = None
    """A JSON object that is kept with the message."""
    on_busy: OnBusy = OnBusy.ENQUEUE
    """What to do while a reply is being generated. `enqueue`: wait for its turn; `reject`: refuse with `room-busy`;
    `interrupt`: stop the reply and keep its text; `rollback`: drop the running turn; `merge`: let the reply finish.
    With the last three, one reply then answers all waiting messages."""
    reply: ReplyMode = ReplyMode.AUTO
    """`auto`: the LLM answers; `none`: keep the message without a reply."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.parts is None:
            raise _at("content", "Give content or parts")
        shown = any(not isinstance(part, ChatTextInput) for part in self.parts or ())
        if self.content is None and not shown and is_blank(joined(self.parts or ())):
            raise _at("parts", "must not be blank")
        return self


class ChatMessageSendResponse(_Answer):
    message: ChatMessage
    reply: ChatMessage | None
    cursor: Cursor


class ChatMessageListRequest(_Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: Annotated[int, Field(ge=1, le=SEQ_MAX)] | None = None
    """The newest messages with a lower seq."""
    after: Annotated[int, Field(ge=0, le=SEQ_MAX)] | None = None
    """The oldest messages with a higher seq. Not together with `before`."""


class ChatMessageListResponse(_Answer):
    messages: list[ChatMessage]
    has_more: bool
    next_before: int | None
    persisted_seq: int
    cursor: Cursor


class ChatMessageDeleteRequest(_Query):
    """The path parameters."""

    room_id: str
    message_id: str


class ChatMessageDeleteResponse(_Answer):
    message_id: str
    state: MessageState
    outcome: DeleteOutcome


class ChatMessageEditRequest(_Body):
    content: Content


class ChatMessageEditResponse(ChatMessage, _Answer):
    """The message and its reply."""

    reply: ChatMessage | None
    """The reply, restarted or still waiting for its turn; null when there is none."""
    cursor: Cursor


class ChatMessageRegenerateRequest(_Body):
    ai_persona: PersonaName | None = None
    """The persona that answers this time; default: the one before."""


class ChatMessageContinueRequest(_Body):
    """Nothing can be asked for yet."""


class ChatMessageStopRequest(_Body):
    attempt: Annotated[int, Field(strict=True, ge=0, le=ATTEMPT_MAX)] | None = None
    """Stop only this attempt; default: the current one."""


class ChatMessageVariantsRequest(_Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: ListCursor | None = None
    """`next_cursor` of the previous page."""


class ChatMessageVariantsResponse(_Answer):
    variants: list[ChatMessage]
    """Oldest first; the current version ends the last page."""
    next_cursor: str | None


class ChatRoomQueueRequest(_Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: ListCursor | None = None
    """`next_cursor` of the previous page."""


class ChatRoomQueueResponse(_Answer):
    messages: list[ChatMessage]
    """User messages whose replies wait for their turn, by ascending seq; they can be edited and deleted."""
    next_cursor: str | None


class ChatRoomMemoryResponse(_Answer):
    """The summary that replaces the older turns of a room in the prompt."""

    summary: str
    """Empty when there is none."""
    through_seq: int
    """The seq of the newest message that it covers; 0 when there is no summary."""
    updated_at: Timestamp | None
    version: int
    """Increases with each summary and each reset."""


class EventTicketRequest(_Body):
    path: Annotated[str, Field(min_length=1, max_length=256)]
    """The path of the event stream; a query is left out."""


class EventTicketResponse(_Answer):
    ticket: str
    expires_at: Timestamp
    """When it has to have been used for the first time."""


class ChatUsageRequest(_Query):
    from_: Annotated[Day | None, Field(alias="from")] = None
    """The first day; default: 29 days before `to`."""
    to: Day | None = None
    """The last day, included; default: today. The period has at most 366 days."""
    tz: Annotated[str, Field(max_length=64)] = "UTC"
    """The time zone whose days they are: a name of the IANA's, like `America/Chicago`."""


class ChatUsageTotal(_Body):
    messages: int
    input_tokens: int
    output_tokens: int
    cost: float
    """By the prices in `personas.toml`, in their currency."""


class ChatLimit(_Body):
    """A budget: tokens, or their cost."""

    limit: float
    used: float
    reserved: float
    """By replies that wait or are being written."""
    left: float
    resets_at: Timestamp


class ChatLimits(_Body):
    """What the account may use on one day and in one month, in UTC; null: no limit."""

    tokens_per_day: ChatLimit | None
    tokens_per_month: ChatLimit | None
    cost_per_day: ChatLimit | None
    cost_per_month: ChatLimit | None


class ChatUsageDay(ChatUsageTotal):
    date: Day


class ChatUsageResponse(_Answer):
    """Usage as committed in the database; it may be some seconds behind."""

    from_: Annotated[Day, Field(alias="from")]
    to: Day
    tz: str
    days: list[ChatUsageDay]
    """Ascending; days without usage are left out."""
    total: ChatUsageTotal
    limits: ChatLimits
    """Where the account stands now."""


class ChatRoomResponse(ChatRoom, _Answer):
    """The room."""


class ChatMessageResponse(ChatMessage, _Answer):
    """The message."""


class ChatTransition(_Body):
    """One entry of a transition log."""

    at: Timestamp
    from_: Annotated[str, Field(alias="from")]
    to: str
    by: str


class ChatStateResponse(_Answer):
    """The current state, and the transitions that led to it; they are kept for a day."""

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
