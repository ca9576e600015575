"""What the API tells. Fields that a newer server adds are ignored; words that it adds (states, reasons) are texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar, overload

import msgspec

from parlor.client.errors import BadAnswer

JsonObject: TypeAlias = dict[str, Any]
_T = TypeVar("_T")


class TextPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    text: str


class ReasoningPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    text: str
    duration_ms: int | None = None


class ImagePart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="image"):
    file_id: str
    name: str = ""
    media_type: str = ""
    size: int = 0


class FilePart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="file"):
    file_id: str
    name: str = ""
    media_type: str = ""
    size: int = 0


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    content: str
    is_error: bool = False
    truncated: bool = False


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A tool that the model uses."""

    tool_call_id: str
    name: str
    title: str = ""
    arguments: JsonObject
    digest: str
    """Over the name and the arguments: a decision names it."""
    state: str
    approval: str = "none"
    decided_by: str | None = None
    decided_at: datetime | None = None
    result: ToolResult | None = None
    attempts: int = 0
    expires_at: datetime | None = None
    """Until when it waits."""
    editable: bool = False
    """Whether an approval may change the arguments."""
    client: bool = False
    """Whether whoever reads this executes it, and posts the result."""

    @property
    def waits_for_decision(self) -> bool:
        return self.state == "waiting"

    @property
    def waits_for_result(self) -> bool:
        """Whether it is yours to execute, now."""
        return self.client and self.state == "running"


class OtherPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part that this version does not know."""

    type: str
    fields: JsonObject


Part: TypeAlias = TextPart | ReasoningPart | ImagePart | FilePart | ToolCall | OtherPart
_KNOWN_PARTS: dict[str, type[Part]] = {
    "text": TextPart,
    "reasoning": ReasoningPart,
    "image": ImagePart,
    "file": FilePart,
    "tool_call": ToolCall,
}


class Parts(Sequence[Part]):
    """The parts of a message, in order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    @overload
    def __getitem__(self, index: int) -> Part: ...
    @overload
    def __getitem__(self, index: slice) -> Parts: ...
    def __getitem__(self, index: int | slice) -> Part | Parts:
        return Parts(self._parts[index]) if isinstance(index, slice) else self._parts[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parts) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(len(self._parts))

    def __repr__(self) -> str:
        return f"Parts({list(self._parts)!r})"


def part_of(raw: JsonObject) -> Part:
    """A part as JSON has it."""
    kind = str(raw.get("type"))
    known = _KNOWN_PARTS.get(kind)
    return OtherPart(type=kind, fields=raw) if known is None else convert(raw, known)


class Room(msgspec.Struct, frozen=True, kw_only=True):
    room_id: str
    title: str
    ai_persona: str
    created_at: datetime
    last_message_at: datetime | None = None
    message_count: int
    state: str
    persisted_seq: int
    """Every message up to this seq is committed in the database."""
    external_id: str | None = None


class RoomPage(msgspec.Struct, frozen=True, kw_only=True):
    rooms: list[Room]
    total_count: int
    next_cursor: str | None
    events_cursor: str
    """The account's events after it continue this page."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    input_tokens: int
    output_tokens: int


class ReplyError(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    detail: str
    retry_after_seconds: float | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    message_id: str
    room_id: str
    seq: int
    sender_type: str
    """``USER``, ``AI`` or ``SYSTEM``."""
    content: str
    timestamp: datetime
    state: str
    durability: str
    """``cached``: durable in Redis; ``persisted``: committed in the database."""
    is_streaming: bool
    attempt: int
    parent_message_id: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    metadata: JsonObject = {}
    ai_persona: str | None = None
    error: ReplyError | None = None
    parts: Parts = Parts(())


class Edited(Message, frozen=True, kw_only=True):
    """A user message after its edit."""

    reply: Message | None
    cursor: str


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was acknowledged."""

    message: Message
    reply: Message | None
    """The reply that is reserved for it."""
    cursor: str
    """The events of the turn begin after it."""
    replayed: bool = False
    """Whether it was there already: an earlier try, or an earlier call, with the same key."""


class MessagePage(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[Message]
    """By ascending seq."""
    has_more: bool
    next_before: int | None
    persisted_seq: int
    cursor: str
    """The room's events after it continue this page."""


class VariantPage(msgspec.Struct, frozen=True, kw_only=True):
    variants: list[Message]
    next_cursor: str | None


class QueuePage(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[Message]
    next_cursor: str | None


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    message_id: str
    state: str
    outcome: str


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    description: str
    model: str


class PersonaList(msgspec.Struct, frozen=True, kw_only=True):
    personas: list[Persona]


class File(msgspec.Struct, frozen=True, kw_only=True):
    file_id: str
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime


class FilePage(msgspec.Struct, frozen=True, kw_only=True):
    files: list[File]
    next_cursor: str | None


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    room_id: str
    message_id: str
    seq: int
    sender_type: str
    timestamp: datetime
    snippet: str
    highlights: list[tuple[int, int]]
    """The matches in the snippet: from, to (exclusive)."""


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    results: list[SearchResult]
    next_cursor: str | None


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A call that waits for a decision, and where it is."""

    room_id: str
    message_id: str
    part: ToolCall


class ApprovalPage(msgspec.Struct, frozen=True, kw_only=True):
    approvals: list[Approval]
    next_cursor: str | None


class ToolCallList(msgspec.Struct, frozen=True, kw_only=True):
    tool_calls: list[ToolCall]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a room or of the account."""

    id: str
    """The cursor: the events after it are those that were not read yet."""
    type: str
    data: JsonObject

    @property
    def message(self) -> Message | None:
        """The message that the event tells whole."""
        found = self.data.get("message")
        return None if found is None else convert(found, Message)

    @property
    def room(self) -> Room | None:
        """The room that the event tells whole."""
        found = self.data.get("room")
        return None if found is None else convert(found, Room)


def _hook(kind: type, raw: Any) -> Any:
    if kind is Parts and isinstance(raw, list):
        return Parts([part_of(each) for each in raw])
    raise NotImplementedError(kind)


def convert(raw: object, kind: type[_T]) -> _T:
    """JSON that was decoded, as what it tells. Raises ``BadAnswer``."""
    try:
        return msgspec.convert(raw, kind, dec_hook=_hook)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"not {kind}: {error}") from error


def decode(raw: bytes | str) -> JsonObject:
    """An object in JSON. Raises ``BadAnswer``."""
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise BadAnswer(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadAnswer("not an object")
    return found
