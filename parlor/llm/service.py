"""The specification's AIChatService: personas, the conversation's memory, and answers streamed from an LLM.

One retry, and only before the first visible token: after it, the reader would see the answer start over. Only for
what can pass by itself: no connection, a timeout, an answer cut off, HTTP 408, 409, 425, 429 and 5xx. A
``Retry-After`` of up to ``RETRY_AFTER_MAX`` is waited for; a longer one is not worth a reader's patience and goes up
with the error. What a provider's protocol needs is in its ``ChatModel``, ``upstream.py`` for OpenAI's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from parlor.clock import Clock, Entropy, SystemEntropy
from parlor.errors import LlmError
from parlor.ids import RoomId
from parlor.llm.memory import Memory
from parlor.llm.personas import Personas
from parlor.llm.ports import ChatModel, Completion, Context, History, Persona, Summaries, TextDelta
from parlor.llm.summary import summarist
from parlor.llm.title import titler
from parlor.settings import LlmSettings

RETRY_DELAY = 0.5
"""Seconds before the retry, half to one and a half times, so that many rooms do not come back as one."""
RETRY_AFTER_MAX = 5.0
"""Seconds."""


class AIChatService:
    """A ``ChatService``. One for each process and event loop; ``close`` it."""

    def __init__(
        self,
        settings: LlmSettings,
        model: ChatModel,
        personas: Sequence[Persona],
        history: History,
        summaries: Summaries,
        clock: Clock,
        entropy: Entropy | None = None,
    ) -> None:
        """``model`` answers, and is closed with the service; ``personas`` are those of ``load_personas``, the default
        one among them."""
        self._personas = Personas(personas)
        self._default_persona = settings.default_persona
        self._total_timeout = settings.total_timeout.total_seconds()
        self.memory = Memory(history, summaries, settings.context_tokens, settings.summary_tokens)
        """Also what decides on folds."""
        default_model = self._personas.named(settings.default_persona).model
        own = (summarist(default_model, self.memory.summary_tokens), titler(default_model))
        self._own_personas = {persona.name: persona for persona in own}
        self._model = model
        self._clock = clock
        self._entropy = entropy or SystemEntropy()

    async def close(self) -> None:
        """Closes idle connections; answers under way break."""
        await self._model.close()

    def persona(self, name: str) -> Persona:
        """Raises ``UnknownPersona``."""
        return self._personas.named(name)

    def personas(self) -> list[Persona]:
        """In the order of their file."""
        return self._personas.listed()

    async def mem(self, room_id: RoomId, *, persona: str | None = None, before_seq: int | None = None) -> Context:
        """The room's conversation as the LLM will read it, up to ``before_seq`` (excluded; None: all of it).

        ``persona`` None: the default one. Raises ``UnknownPersona``, and what the history raises.
        """
        return await self.memory.build_prompt(room_id, self.persona(persona or self._default_persona), before_seq)

    async def chat(self, persona: str, context: Context) -> AsyncGenerator[TextDelta | Completion, None]:
        """Streams the answer: text deltas, then one completion.

        Raises ``UnknownPersona``, and ``LlmError``: ``extra["retryable"]`` says whether another
        attempt can help. The total timeout covers the retry, and runs on while the caller holds a delta.
        Closing or cancelling the generator closes the connection upstream.
        """
        asked = self._own_personas.get(persona) or self.persona(persona)
        deadline = self._clock.monotonic() + self._total_timeout
        for last_try in (False, True):
            spoken = False
            try:
                async with aclosing(self._model.answer(asked, context, deadline)) as parts:
                    async for part in parts:
                        spoken = True
                        if isinstance(part, Completion) and part.usage is not None:
                            self.memory.ratios.learn(asked.model, context.turns, part.usage.input_tokens)
                        yield part
            except LlmError as error:
                wait = error.retry_after if error.retry_after is not None else self._retry_delay()
                too_long = wait > RETRY_AFTER_MAX or self._clock.monotonic() + wait >= deadline
                if last_try or spoken or too_long or not error.extra.get("retryable"):
                    raise
            else:
                return
            await self._clock.sleep(wait)

    def _retry_delay(self) -> float:
        return RETRY_DELAY * (0.5 + self._entropy.bits(16) / 2**16)
