"""OpenAI's conversations: rooms."""

from __future__ import annotations

from typing import Annotated

import msgspec
from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from api.dialects.openai_items import CONVERSATION
from api.dialects.openai_requests import PAIRS_MAX, Lenient, PairName, PairValue
from api.dialects.openai_response_requests import InputItem
from api.fields import PersonaName, Title
from parlor.model.rooms import Room
from parlor.model.wire import JsonForm

ITEMS_MAX = 20
"""As OpenAI has it."""
_NAME: TypeAdapter[str] = TypeAdapter(PairName)
_PAIRS = msgspec.json.Decoder(dict[str, str])


class ConversationMetadata(Lenient):
    """At most 16 pairs of texts: names of at most 64 characters, values of at most 512. `title` and `ai_persona` are
    the room's, do not count, and may be left out."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    __pydantic_extra__: dict[str, PairValue] = Field(init=False)

    title: Title | None = None
    ai_persona: PersonaName | None = None

    @model_validator(mode="after")
    def _check_pairs(self) -> ConversationMetadata:
        for name in self.pairs:
            _NAME.validate_python(name)
        if len(self.pairs) > PAIRS_MAX:
            raise ValueError(f"at most {PAIRS_MAX} pairs are allowed")
        return self

    @property
    def pairs(self) -> dict[str, str]:
        """Those that are not the room's own."""
        return self.__pydantic_extra__


class ConversationCreateRequest(Lenient):
    """Other parameters are ignored."""

    metadata: ConversationMetadata | None = None
    items: Annotated[list[InputItem], Field(max_length=ITEMS_MAX)] | None = None
    """Messages of any role, which the conversation begins with."""


class ConversationUpdateRequest(Lenient):
    metadata: ConversationMetadata | None = None
    """All of it, in the place of what there was; null for none. The room keeps a `title` and an `ai_persona`."""

    @property
    def kept(self) -> str | None:
        """As the room keeps it; None leaves it."""
        return kept_pairs(self.metadata) if "metadata" in self.model_fields_set else None


class ConversationItemsRequest(Lenient):
    items: Annotated[list[InputItem], Field(min_length=1, max_length=ITEMS_MAX)]
    """Messages of any role; no reply is asked for."""


def kept_pairs(metadata: ConversationMetadata | None) -> str:
    """As the room keeps them."""
    return msgspec.json.encode(metadata.pairs if metadata else {}).decode()


def conversation_form(room: Room) -> JsonForm:
    pairs = _PAIRS.decode(room.metadata) if room.metadata else {}
    return {
        "id": f"{CONVERSATION}{room.room_id}",
        "object": "conversation",
        "created_at": room.created_at // 1000,
        "metadata": {**pairs, "title": room.title, "ai_persona": room.ai_persona},
    }
