"""A custom language-model provider, which repeats the last message word by word."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from parlor.clock import Clock
from parlor.errors import LlmError
from parlor.llm.ports import Completion, Context, Part, Persona, TextDelta
from parlor.model.messages import FinishReason, Usage
from parlor.settings import LlmSettings

NOT_A_FACTORY = "a name that cannot be called"


class EchoModel:
    """A ``ChatModel`` that is its own factory."""

    def __init__(self, settings: LlmSettings, api_key: str, clock: Clock, /) -> None:
        self.settings = settings
        self.api_key = api_key
        self.failures: list[LlmError] = []
        """Errors to raise, one for each answer, before its first word."""
        self.prompts: list[tuple[Persona, Context]] = []
        self.closed = False

    async def answer(self, persona: Persona, context: Context, deadline: float) -> AsyncGenerator[Part, None]:
        self.prompts.append((persona, context))
        if self.failures:
            raise self.failures.pop(0)
        for word in context.turns[-1].content.split():
            yield TextDelta(word)
        yield Completion(FinishReason.STOP, Usage(1, 1))

    async def close(self) -> None:
        self.closed = True
