"""The body of a send as msgspec reads it, in a tenth of the time that a model of pydantic takes.

What ``ChatMessageSendRequest`` would not take is not read at all. ``tests/unit/api/test_hot_routes.py`` compares
the two.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from api.fields import text_fault
from parlor.llm.text import is_blank
from parlor.model.messages import JsonObject
from parlor.model.requests import OnBusy, ReplyMode


class SendBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of ``ChatMessageSendRequest``, but for ``parts``: a message with parts is read by FastAPI."""

    parts: ClassVar[None] = None

    content: str
    ai_persona: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    metadata: JsonObject | None = None
    on_busy: OnBusy = OnBusy.ENQUEUE
    reply: ReplyMode = ReplyMode.AUTO


_decode = msgspec.json.Decoder(SendBody).decode


def read(body: bytes) -> SendBody | None:
    """The body, or None for one that is not understood, or not valid."""
    try:
        found = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if is_sayable(found) else None


def is_sayable(body: SendBody) -> bool:
    """Whether the texts are such that the databases can store them, and somebody can see them."""
    return not (is_blank(body.content) or text_fault(body.content) or text_fault(body.ai_persona or ""))
