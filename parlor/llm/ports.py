"""The interfaces between the language model and the rest of Parlor."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol, TypeAlias

import msgspec

from parlor.errors import InvalidRequest
from parlor.model.files import Attached, PromptImage, ShownFile
from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason, Message, Usage
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.rooms import RoomMemory
from parlor.model.tools import AskedCall, DeclaredTool, McpServer, PromptCall, Tool


class Persona(msgspec.Struct, frozen=True):
    """An entry of ``personas.toml``: the model, prompt and settings that answer in a room."""

    name: str
    title: str
    description: str
    system_prompt: str
    model: str
    temperature: float | None = None
    max_tokens: int | None = None
    think_tags: bool = True
    """Whether ``<think>`` at the start of an answer begins reasoning."""
    send_reasoning: bool = False
    """Whether prompts have what the model thought in earlier answers."""
    input_price: float = 0.0
    """Of a million tokens of prompts, in whatever currency the budgets are."""
    output_price: float = 0.0
    """Of a million tokens of answers."""
    tools: tuple[DeclaredTool, ...] = ()
    """What the model may use."""
    servers: tuple[McpServer, ...] = ()
    """Servers whose tools it may use."""
    max_steps: int = 8
    """Most steps with tools in one reply."""


class UnknownPersona(InvalidRequest):
    """No persona has this name. Reported like any other invalid field of a request."""


class PromptTurn(msgspec.Struct, frozen=True):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    reasoning: str = ""
    """What the model thought before it said this; for models that have to be told."""
    images: tuple[PromptImage, ...] = ()
    """What a person shows with it."""
    calls: tuple[PromptCall, ...] = ()
    """Tools that the answer called; a turn of the role "tool" follows for each."""
    call_id: str = ""
    """Of the role "tool": the call whose result it is."""


class Context(msgspec.Struct, frozen=True):
    """A prompt: the system prompt, with the summary of older turns if there is one, and the newest turns that fit the
    budget."""

    turns: list[PromptTurn]
    estimated_tokens: int
    omitted: int
    """Older messages of the room that did not fit and are not in the summary."""
    said: int = 0
    """Characters that the answer has already, of which the last turn is the end."""
    answer_tokens: int | None = None
    """Most tokens of the answer; None: as many as its persona allows."""
    files: tuple[ShownFile, ...] = ()
    """What the prompt has of the files that its messages name."""
    tools: tuple[Tool | OfferedTool, ...] = ()
    """What the model is offered."""
    tool_choice: ToolChoice | None = None
    form: AnswerForm | None = None
    session: str = ""
    """What the prompts of a conversation have in common, besides their beginning: the room. Empty: it has none."""


class ModelCall(msgspec.Struct, frozen=True):
    """A prompt that a client brings along, for a persona's model."""

    persona: str
    turns: list[PromptTurn]
    temperature: float | None = None
    max_tokens: int | None = None
    """Most tokens of the answer."""
    tools: tuple[OfferedTool, ...] = ()
    tool_choice: ToolChoice | None = None
    form: AnswerForm | None = None

    def prompt(self, persona: Persona) -> list[PromptTurn]:
        """One system prompt, which many models insist on: the persona's, then the call's; and the other turns."""
        system = [persona.system_prompt, *(turn.content for turn in self.turns if turn.role == "system")]
        said = "\n\n".join(filter(None, system))
        rest = [turn for turn in self.turns if turn.role != "system"]
        return [PromptTurn("system", said), *rest] if said else rest


class TextDelta(msgspec.Struct, frozen=True):
    """A piece of the answer, as it arrived."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """A piece of what the model thinks before it goes on, as it arrived."""

    text: str


class Completion(msgspec.Struct, frozen=True):
    """The end of an answer."""

    finish_reason: FinishReason
    usage: Usage | None
    calls: tuple[AskedCall, ...] = ()
    """Tools that the model wants to use before it goes on."""


Piece: TypeAlias = TextDelta | ReasoningDelta
Part: TypeAlias = Piece | Usage | Completion
"""A part of an answer as it arrives. A usage is what the provider has counted so far; each replaces the one before."""


class History(Protocol):
    """Reads a room's messages for the memory, from the cache and the shard."""

    async def before(self, room_id: RoomId, seq: int, limit: int) -> list[Message]:
        """Returns the newest ``limit`` messages with a seq below ``seq``, ascending."""


class Summaries(Protocol):
    """Reads the summaries of rooms for the memory."""

    async def memory(self, room_id: RoomId) -> RoomMemory:
        """Returns the room's summary. Raises ``RoomNotFound``."""


class Attachments(Protocol):
    """Reads the files that messages name, for the memory."""

    async def load(self, message: Message, tokens: int) -> Attached:
        """Returns what the files add to a prompt; their texts together have at most ``tokens``. A file that is gone, or
        cannot be shown, is said to be so."""


class ChatModel(Protocol):
    """A provider's language model, which answers one prompt. The setting `PARLOR_LLM__PROVIDER` chooses the
    implementation (``providers.py``)."""

    def answer(self, persona: Persona, context: Context, deadline: float) -> AsyncGenerator[Part, None]:
        """Streams an answer: deltas of text and of reasoning, the usage whenever the provider tells it before the end,
        then one completion. ``deadline`` is on the clock's ``monotonic``.

        Raises ``LlmError``, also for an answer that was cut off or has no visible text (``AnswerEmpty``). If its
        ``extra["retryable"]`` is true and no text has arrived yet, the prompt is sent once more. Closing or cancelling
        the generator makes the provider stop generating.
        """

    async def close(self) -> None:
        """Closes the provider's connections; answers in progress break off."""


class ChatService(Protocol):
    """The specification's AIChatService, as rooms use it."""

    def persona(self, name: str) -> Persona:
        """Returns the persona with this name. Raises ``UnknownPersona``."""

    def personas(self) -> list[Persona]: ...

    async def mem(
        self, room_id: RoomId, *, persona: str | None = None, before_seq: int | None = None, said: str = ""
    ) -> Context:
        """Returns the room's conversation as a prompt, up to but not including ``before_seq`` (None: all of it).
        ``said`` is what the answer has already: the prompt ends with it, for the model to go on from there."""

    def chat(self, persona: str | Persona, context: Context) -> AsyncGenerator[Part, None]:
        """Streams the answer: deltas of text and of reasoning, usages, then one completion. Raises ``LlmError``.
        ``persona`` may also be one of Parlor's own: ``summary.NAME``, ``title.NAME``.

        A failure before the first token is retried once. Closing the generator closes the connection to the provider.
        """
