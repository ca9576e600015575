"""The specification's AIChatService: personas, the conversation's memory, and answers streamed from an LLM.

A request is retried once, and only before the first visible token, because later the reader would see the answer start
over. Only failures that may be temporary are retried: no connection, an answer that broke off or is empty, HTTP 408,
409, 425, 429 and 5xx. A ``Retry-After`` of up to ``RETRY_AFTER_MAX`` is waited for; with a longer one the error is
raised at once. An answer ends at ``reply_max`` characters, its reasoning included. Each provider's protocol is in its
``ChatModel``; OpenAI's is in ``upstream.py``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from parlor.clock import Clock, Entropy, SystemEntropy
from parlor.errors import LlmError
from parlor.llm.memory import Memory
from parlor.llm.personas import Personas
from parlor.llm.ports import (
    Attachments,
    ChatModel,
    Completion,
    Context,
    History,
    Part,
    Persona,
    ReasoningDelta,
    Summaries,
    TextDelta,
)
from parlor.llm.summary import summarist
from parlor.llm.thoughts import Splitter
from parlor.llm.title import titler
from parlor.llm.usage import total
from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason, Usage
from parlor.settings import LlmSettings

RETRY_DELAY = 0.5
"""Seconds before the retry, times 0.5 to 1.5 at random, so that rooms do not all retry at the same moment."""
RETRY_AFTER_MAX = 5.0
"""Longest ``Retry-After`` that is waited for, in seconds."""


class AIChatService:
    """The ``ChatService`` of one process and event loop. Call ``close`` when done."""

    def __init__(
        self,
        settings: LlmSettings,
        model: ChatModel,
        personas: Sequence[Persona],
        history: History,
        summaries: Summaries,
        clock: Clock,
        entropy: Entropy | None = None,
        attachments: Attachments | None = None,
    ) -> None:
        """``model`` is closed with the service. ``personas`` come from ``load_personas`` and include the default
        one."""
        self._personas = Personas(personas)
        self._default_persona = settings.default_persona
        self._total_timeout = settings.total_timeout.total_seconds()
        self._reply_max = settings.reply_max
        self.memory = Memory(history, summaries, settings.context_tokens, settings.summary_tokens, attachments)
        """Also used to decide when to fold."""
        default = self._personas.named(settings.default_persona)
        prices = {"input_price": default.input_price, "output_price": default.output_price}
        own = (summarist(default.model, self.memory.summary_tokens), titler(default.model))
        self._own_personas = {persona.name: msgspec.structs.replace(persona, **prices) for persona in own}
        self._model = model
        self._clock = clock
        self._entropy = entropy or SystemEntropy()

    async def close(self) -> None:
        """Closes the model's connections; answers in progress break off."""
        await self._model.close()

    def persona(self, name: str) -> Persona:
        """Returns the persona with this name, which may be one of Parlor's own. Raises ``UnknownPersona``."""
        return self._own_personas.get(name) or self._personas.named(name)

    def chosen(self, name: str) -> Persona:
        """Returns the persona that a caller chose; Parlor's own are nobody's to choose. Raises ``UnknownPersona``."""
        return self._personas.named(name)

    def personas(self) -> list[Persona]:
        """Returns all personas, in the order of their file."""
        return self._personas.listed()

    async def mem(
        self, room_id: RoomId, *, persona: str | None = None, before_seq: int | None = None, said: str = ""
    ) -> Context:
        """Returns the room's conversation as a prompt, up to but not including ``before_seq`` (None: all of it).

        ``said`` is what the answer has already: the prompt ends with it, for the model to go on from there. ``persona``
        None means the default one. Raises ``UnknownPersona``, and what the history raises.
        """
        answering = self.persona(persona or self._default_persona)
        context = await self.memory.build_prompt(room_id, answering, before_seq, said)
        return msgspec.structs.replace(context, session=str(room_id))

    async def chat(self, persona: str | Persona, context: Context) -> AsyncGenerator[Part, None]:
        """Streams the answer: deltas of text and of reasoning, usages, then one completion. The usages include a try
        that failed.

        Raises ``UnknownPersona`` or ``LlmError``, whose ``extra["retryable"]`` says whether another attempt can help.
        The total timeout includes the retry and the time that the caller spends on each delta. Closing or cancelling
        the generator closes the connection to the provider.
        """
        named = persona if isinstance(persona, Persona) else self.persona(persona)
        asked = _limited(named, context.answer_tokens)
        deadline = self._clock.monotonic() + self._total_timeout
        left, used = self._reply_max - context.said, None
        for last_try in (False, True):
            spoken, before = False, used
            try:
                async with aclosing(_split(self._model.answer(asked, context, deadline), asked, context)) as parts:
                    async for part in parts:
                        if isinstance(part, TextDelta | ReasoningDelta):
                            spoken = True
                            left -= len(part.text)
                            if left >= 0:
                                yield part
                                continue
                            yield type(part)(part.text[:left])
                            thinks = isinstance(part, ReasoningDelta)
                            yield Completion(FinishReason.REASONING_LIMIT if thinks else FinishReason.LENGTH, None)
                            return
                        elif isinstance(part, Usage):
                            yield (used := total(before, part))
                        else:
                            yield self._end(part, before, asked, context)
            except LlmError as error:
                wait = error.retry_after if error.retry_after is not None else self._retry_delay()
                too_long = wait > RETRY_AFTER_MAX or self._clock.monotonic() + wait >= deadline
                if last_try or spoken or too_long or not error.extra.get("retryable"):
                    raise
            else:
                return
            await self._clock.sleep(wait)

    def _end(self, end: Completion, before: Usage | None, asked: Persona, context: Context) -> Completion:
        """The end of an answer, with the usage of the try before."""
        if end.usage is None:
            return end
        self.memory.ratios.learn(asked.model, context.turns, end.usage.input_tokens)
        return Completion(end.finish_reason, total(before, end.usage), end.calls)

    def _retry_delay(self) -> float:
        return RETRY_DELAY * (0.5 + self._entropy.bits(16) / 2**16)


async def _split(parts: AsyncGenerator[Part, None], asked: Persona, context: Context) -> AsyncGenerator[Part, None]:
    """The same answer; what it thinks between tags at its start is reasoning, if its persona's are."""
    goes_on = context.turns[-1].role == "assistant"
    splitter = Splitter() if asked.think_tags and not goes_on else None
    async with aclosing(parts):
        try:
            async for part in parts:
                if splitter is None or not isinstance(part, TextDelta | Completion):
                    yield part
                    continue
                for piece in splitter.take(part.text) if isinstance(part, TextDelta) else splitter.end():
                    yield piece
                if isinstance(part, Completion):
                    yield part
        except LlmError:
            for piece in splitter.end() if splitter is not None else ():
                yield piece
            raise


def _limited(persona: Persona, answer_tokens: int | None) -> Persona:
    """The persona with answers of this many tokens at most."""
    if answer_tokens is None:
        return persona
    most = min(answer_tokens, persona.max_tokens or answer_tokens)
    return msgspec.structs.replace(persona, max_tokens=most)
