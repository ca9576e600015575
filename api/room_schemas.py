"""Requests and responses about rooms and states, as in ``api.schemas``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from api.fields import Cursor, ExternalId, ListCursor, PersonaName, Timestamp, Title, _Answer, _Body, _Query
from parlor.model.states import RoomState


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


class ChatRoomMemoryResponse(_Answer):
    """The summary that replaces the older turns of a room in the prompt."""

    summary: str
    """Empty when there is none."""
    through_seq: int
    """The seq of the newest message that it covers; 0 when there is no summary."""
    updated_at: Timestamp | None
    version: int
    """Increases with each summary and each reset."""


class ChatRoomResponse(ChatRoom, _Answer):
    """The room."""


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
