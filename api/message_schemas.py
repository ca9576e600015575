"""Requests and responses about messages and replies, as in ``api.schemas``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from api.fields import Content, Cursor, ListCursor, PersonaName, Timestamp, _Answer, _Body, _Query
from api.part_schemas import PARTS_MAX, ChatPart, ChatPartInput, ChatTextInput, joined
from parlor.llm.text import is_blank
from parlor.model.messages import Durability, FinishReason, JsonObject, SenderType
from parlor.model.requests import DeleteOutcome, OnBusy, ReplyMode
from parlor.model.states import MessageState

SEQ_MAX = 2**53 - 1
"""The largest integer that every JSON reader can hold; no room has that many messages."""
ATTEMPT_MAX = 2**31 - 1


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


class ChatMessageResponse(ChatMessage, _Answer):
    """The message."""
