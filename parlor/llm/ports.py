"""The language model as the rest of Parlor sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

from parlor.errors import InvalidRequest
from parlor.ids import RoomId
from parlor.model import FinishReason, Message, RoomMemory, Usage


class Persona(msgspec.Struct, frozen=True):
    """Who answers: one entry of ``personas.toml``."""

    name: str
    title: str
    description: str
    system_prompt: str
    model: str
    temperature: float | None = None
    max_tokens: int | None = None


class UnknownPersona(InvalidRequest):
    """No persona has this name. It is told as every other invalid field of a request."""


class PromptTurn(msgspec.Struct, frozen=True):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Context(msgspec.Struct, frozen=True):
    """What the LLM gets to read: the system prompt, with the summary of older turns if there is one, and the most
    recent turns that fit the budget."""

    turns: list[PromptTurn]
    estimated_tokens: int
    omitted: int
    """Older messages of the room that did not fit and are not in the summary."""


class TextDelta(msgspec.Struct, frozen=True):
    """A piece of the answer, as it came."""

    text: str


class Completion(msgspec.Struct, frozen=True):
    """The end of an answer."""

    finish_reason: FinishReason
    usage: Usage | None


class History(Protocol):
    """Where the memory reads a room's messages: the cached tail joined to the shard."""

    async def before(self, room_id: RoomId, seq: int, limit: int) -> list[Message]:
        """The newest ``limit`` messages with a seq below ``seq``, ascending."""


class Summaries(Protocol):
    """Where the memory reads what stands for a room's older turns."""

    async def memory(self, room_id: RoomId) -> RoomMemory:
        """Raises ``RoomNotFound``."""


class ChatModel(Protocol):
    """A provider's language model: one answer for one prompt. The setting `PARLOR_LLM__PROVIDER` chooses the
    implementation (``providers.py``)."""

    def answer(
        self, persona: Persona, context: Context, deadline: float
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        """Streams an answer: text deltas, then one completion. ``deadline``: of the clock's ``monotonic``.

        Raises ``LlmError``; with ``extra["retryable"]`` true it is asked once more if nothing was said yet. Closing or
        cancelling the generator makes the provider stop generating.
        """

    async def close(self) -> None:
        """Answers under way break."""


class ChatService(Protocol):
    """The specification's AIChatService, as rooms use it."""

    def persona(self, name: str) -> Persona:
        """Raises ``UnknownPersona``."""

    def personas(self) -> list[Persona]: ...

    async def mem(self, room_id: RoomId, *, persona: str | None = None, before_seq: int | None = None) -> Context:
        """The room's conversation as the LLM will read it, up to ``before_seq`` (excluded; None: all of it)."""

    def chat(self, persona: str, context: Context) -> AsyncGenerator[TextDelta | Completion, None]:
        """Streams the answer: text deltas, then one completion. Raises ``LlmError``. ``persona`` may also be one of
        Parlor's own: ``summary.NAME``, ``title.NAME``.

        One retry, only before the first token. Closing the generator closes the connection upstream.
        """
