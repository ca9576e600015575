"""The parts of a message, in their order.

A message's ``content`` is the texts of its text parts, joined. It is stored once: a stored text part only says how many
characters of the content are its own. A message that is one text part, as most are, has no stored parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from parlor.model.tools import ToolResult, ToolState


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """What was said."""

    text: str


class TextSpan(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """A stored text part: the next ``length`` characters of the message's content."""

    length: int


class ReasoningPart(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning"):
    """What the model thought before it went on."""

    text: str
    duration_ms: int | None = None
    """None while the model thinks."""


class ImagePart(msgspec.Struct, frozen=True, tag_field="type", tag="image"):
    """An image of a person's; its bytes are in the file store."""

    file_id: str
    name: str
    media_type: str
    size: int


class FilePart(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    """A file of a person's; its bytes are in the file store."""

    file_id: str
    name: str
    media_type: str
    size: int


class ToolCallPart(msgspec.Struct, frozen=True, tag_field="type", tag="tool_call"):
    """A tool that the model uses."""

    tool_call_id: str
    name: str
    title: str
    arguments: str
    """A JSON object, byte for byte as it was digested and is sent."""
    digest: str
    state: ToolState
    approval: Literal["none", "required"] = "none"
    decided_by: str | None = None
    decided_at: int | None = None
    result: ToolResult | None = None
    attempts: int = 0
    """How often it was sent."""
    step: int = 1
    """Which of the reply's steps it belongs to; the calls of one step were asked for together. Not shown."""
    expires_at: int | None = None
    """Until when it waits: for a decision, or for the result of a client's tool."""
    editable: bool = False
    """Whether a decision may change its arguments."""
    client: bool = False
    """Whether whoever reads this executes it."""
    request: str = "-"
    """Tells the request that decided it, or gave its result, from others. Not shown."""
    once: bool = False
    """Whether an approval is good for the same call in this room from then on. Not shown."""
    nonce: str = ""
    """Of the sending that made it run. Not shown."""

    @property
    def approved_once(self) -> bool:
        """Whether a person approved it for this room from then on."""
        return self.once and self.decided_at is not None and self.state is not ToolState.DENIED

    @property
    def waits(self) -> bool:
        """Whether its reply waits for somebody because of it."""
        return self.state is ToolState.WAITING or (self.client and self.state is ToolState.RUNNING)


class ReasoningSpan(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning"):
    """Reasoning of a reply that is being written: the next ``length`` characters of its draft."""

    length: int
    duration_ms: int | None = None


OPEN = -1
"""The length of a draft's last part, which goes on to the end."""

Part: TypeAlias = TextPart | ReasoningPart | ImagePart | FilePart | ToolCallPart
"""A part as its readers see it."""
StoredPart: TypeAlias = TextSpan | ReasoningPart | ImagePart | FilePart | ToolCallPart
StoredParts: TypeAlias = tuple[StoredPart, ...]
Layout: TypeAlias = tuple[TextSpan | ReasoningSpan | ToolCallPart, ...]
"""What the parts of a draft are: its texts and its reasoning stand in it one behind the other, calls of tools here."""


class Said(msgspec.Struct, frozen=True):
    """What a message says: its content and, beside it, its stored parts."""

    content: str = ""
    parts: StoredParts | None = None

    @property
    def shown(self) -> list[Part]:
        return parts_of(self.content, self.parts)

    @property
    def characters(self) -> int:
        """The size of the whole: the content, what the model thought, what its tools were told and answered."""
        return len(self.content) + sum(map(_size, self.parts or ()))


def _size(part: StoredPart) -> int:
    match part:
        case ReasoningPart():
            return len(part.text)
        case ToolCallPart():
            return len(part.arguments) + (len(part.result.content) if part.result else 0)
    return 0


def waits_for_decision(parts: StoredParts | None) -> bool:
    """Returns whether somebody has to approve or deny a call of the message."""
    return any(isinstance(part, ToolCallPart) and part.state is ToolState.WAITING for part in parts or ())


def approved_digests(parts: StoredParts | None) -> list[str]:
    """Returns what was approved in the message for its room from then on."""
    return sorted({part.digest for part in parts or () if isinstance(part, ToolCallPart) and part.approved_once})


def said_of(parts: Sequence[Part]) -> Said:
    return Said(*stored_form(parts))


def drafted(draft: str, layout: Layout | None) -> Said:
    """Returns what a reply says that is being written. Without a layout its draft is one text."""
    if not layout:
        return Said(draft)
    parts: list[Part] = []
    at = 0
    for part in layout:
        if isinstance(part, ToolCallPart):
            parts.append(part)
            continue
        text = draft[at:] if part.length == OPEN else draft[at : at + part.length]
        at += len(text)
        parts.append(TextPart(text) if isinstance(part, TextSpan) else ReasoningPart(text, part.duration_ms))
    return said_of(parts)


def parts_of(content: str, stored: Sequence[StoredPart] | None) -> list[Part]:
    """Returns a message's parts. What of the content no text part claims is one more, at the end."""
    parts: list[Part] = []
    at = 0
    for part in stored or ():
        if isinstance(part, TextSpan):
            parts.append(TextPart(content[at : at + part.length]))
            at += part.length
        else:
            parts.append(part)
    if at < len(content):
        parts.append(TextPart(content[at:]))
    return parts


def stored_form(parts: Sequence[Part]) -> tuple[str, StoredParts | None]:
    """Returns the content that the parts make up, and how they are stored beside it; None for a single text."""
    content = "".join(part.text for part in parts if isinstance(part, TextPart))
    if not parts or (len(parts) == 1 and isinstance(parts[0], TextPart)):
        return content, None
    return content, tuple(TextSpan(len(part.text)) if isinstance(part, TextPart) else part for part in parts)


def with_content(content: str, stored: StoredParts | None) -> StoredParts | None:
    """Returns the parts of a message whose text was edited: one text, where the first one was, among the others."""
    if stored is None:
        return None
    parts: list[Part] = [part for part in stored if not isinstance(part, TextSpan)]
    first = next((index for index, part in enumerate(stored) if isinstance(part, TextSpan)), len(parts))
    if content:
        parts.insert(first, TextPart(content))
    return stored_form(parts)[1]
