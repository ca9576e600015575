"""The parts of a message in requests and responses: the document, and what is made of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from api.fields import Timestamp, _Body, _storable
from parlor.model.messages import JsonObject
from parlor.model.parts import FilePart, ImagePart, Part, StoredParts, TextPart, stored_form
from parlor.model.tools import ToolState

PARTS_MAX = 64
"""Parts of one message that a client sends."""


class ChatTextPart(_Body):
    """What was said."""

    type: Literal["text"]
    text: str


class ChatReasoningPart(_Body):
    """What the model thought before it went on."""

    type: Literal["reasoning"]
    text: str
    duration_ms: int | None
    """Null while the model thinks."""


class ChatImagePart(_Body):
    """An image."""

    type: Literal["image"]
    file_id: str
    name: str
    media_type: str
    size: int


class ChatFilePart(_Body):
    """A file."""

    type: Literal["file"]
    file_id: str
    name: str
    media_type: str
    size: int


class ChatToolResult(_Body):
    content: str
    is_error: bool
    truncated: bool
    """Whether there was more than is kept."""


class ChatToolCallPart(_Body):
    """A tool that the model uses."""

    type: Literal["tool_call"]
    tool_call_id: str
    name: str
    title: str
    arguments: JsonObject
    digest: str
    """Over the name and the arguments."""
    state: ToolState
    approval: Literal["none", "required"]
    decided_by: str | None
    decided_at: Timestamp | None
    result: ChatToolResult | None
    attempts: int
    """How often it was sent; always with the same `Idempotency-Key`."""
    expires_at: Timestamp | None
    """Until when it waits for a decision, or for its result."""
    editable: bool
    """Whether a decision may change its arguments."""
    client: bool
    """Whether whoever reads this executes it, and posts the result."""


ChatPart: TypeAlias = Annotated[
    ChatTextPart | ChatReasoningPart | ChatImagePart | ChatFilePart | ChatToolCallPart, Field(discriminator="type")
]


class ChatTextInput(_Body):
    type: Literal["text"]
    text: Annotated[str, Field(min_length=1), AfterValidator(_storable)]


class ChatImageInput(_Body):
    type: Literal["image"]
    file_id: str
    """An image that was uploaded to `/v1/files`."""


class ChatFileInput(_Body):
    type: Literal["file"]
    file_id: str
    """A file that was uploaded to `/v1/files`."""


ChatPartInput: TypeAlias = Annotated[ChatTextInput | ChatImageInput | ChatFileInput, Field(discriminator="type")]
"""A part that a client can send."""


def joined(parts: Sequence[ChatPartInput]) -> str:
    """The content that the parts make up."""
    return "".join(part.text for part in parts if isinstance(part, ChatTextInput))


def _part(part: ChatPartInput) -> Part:
    """The part without what is known of its file: that comes from the file, not from the client."""
    match part:
        case ChatTextInput():
            return TextPart(part.text)
        case ChatImageInput():
            return ImagePart(part.file_id.lower(), "", "", 0)
        case ChatFileInput():
            return FilePart(part.file_id.lower(), "", "", 0)


def sent_form(content: str | None, parts: Sequence[ChatPartInput] | None) -> tuple[str, StoredParts | None]:
    """What is asked to be sent, as content and stored parts."""
    if parts is None:
        return content or "", None
    sent: list[Part] = [_part(part) for part in parts]
    if content is not None and content != joined(parts):
        sent.insert(0, TextPart(content))
    return stored_form(sent)
