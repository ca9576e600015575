"""OpenAI's conversations: rooms."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.dialects.openai_items import CONVERSATION
from api.dialects.openai_requests import Lenient
from api.dialects.openai_response_requests import InputItem
from api.fields import PersonaName, Title
from parlor.model.rooms import Room
from parlor.model.wire import JsonForm

ITEMS_MAX = 20
"""As OpenAI has it."""


class ConversationMetadata(Lenient):
    """What a room keeps; other members are ignored."""

    title: Title | None = None
    ai_persona: PersonaName | None = None


class ConversationCreateRequest(Lenient):
    """Other parameters are ignored."""

    metadata: ConversationMetadata | None = None
    items: Annotated[list[InputItem], Field(max_length=ITEMS_MAX)] | None = None
    """Messages of any role, which the conversation begins with."""


class ConversationUpdateRequest(Lenient):
    metadata: ConversationMetadata | None = None


class ConversationItemsRequest(Lenient):
    items: Annotated[list[InputItem], Field(min_length=1, max_length=ITEMS_MAX)]
    """Messages of any role; no reply is asked for."""


def conversation_form(room: Room) -> JsonForm:
    return {
        "id": f"{CONVERSATION}{room.room_id}",
        "object": "conversation",
        "created_at": room.created_at // 1000,
        "metadata": {"title": room.title, "ai_persona": room.ai_persona},
    }
