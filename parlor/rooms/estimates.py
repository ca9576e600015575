"""What a reply may use, estimated before its prompt is known: reserved when its turn is appended (I23), corrected when
its attempt starts."""

from __future__ import annotations

from collections.abc import Sequence

from parlor.llm.ports import ChatService, PromptTurn, UnknownPersona
from parlor.llm.prices import ask_of, cost_of
from parlor.llm.tokens import TURN_OVERHEAD, estimate_tokens
from parlor.model.budgets import Ask
from parlor.model.messages import Usage
from parlor.model.parts import ReasoningPart, Said, TextPart
from parlor.settings import Settings

STEP_LEAST = 16
"""Tokens of an answer for which another step is worth its prompt."""


class Estimates:
    """By the personas of a language model."""

    def __init__(self, model: ChatService, settings: Settings) -> None:
        self._model = model
        self._context_tokens = settings.llm.context_tokens
        self._answer_tokens = settings.limits.answer_tokens

    def of_turn(self, persona: str, content: str, *, first: bool) -> Ask:
        """Returns what the reply to a new message may use; ``first``: nothing was said before it."""
        known = self._ask(persona, 0)
        system = self._system_prompt(persona)
        alone = 2 * TURN_OVERHEAD + estimate_tokens(system) + estimate_tokens(content)
        return self._ask(persona, alone if first else max(alone, self._fullest(known)))

    def of_reply(self, persona: str) -> Ask:
        """Returns what a reply may use that begins anew, whatever was said."""
        return self._ask(persona, self._fullest(self._ask(persona, 0)))

    def of_prompt(self, persona: str, prompt_tokens: int) -> Ask:
        """Returns what the reply to a prompt may use that is known."""
        return self._ask(persona, prompt_tokens)

    def cost(self, persona: str, usage: Usage | None) -> int:
        """What an answer cost, in billionths."""
        try:
            return cost_of(self._model.persona(persona), usage) if usage is not None else 0
        except UnknownPersona:
            return 0

    def _ask(self, persona: str, prompt: int) -> Ask:
        try:
            return ask_of(self._model.persona(persona), prompt, self._answer_tokens)
        except UnknownPersona:
            # The reply will fail; it must not be refused for its estimate.
            return Ask(prompt, self._answer_tokens, 0, 0)

    def _system_prompt(self, persona: str) -> str:
        try:
            return self._model.persona(persona).system_prompt
        except UnknownPersona:
            return ""

    def _fullest(self, ask: Ask) -> int:
        """Tokens of the longest prompt (``parlor.llm.memory``)."""
        return self._context_tokens - min(ask.answer, self._context_tokens // 2)


def step_tokens(turns: Sequence[PromptTurn]) -> int:
    """Estimates what a reply's own steps add to its prompt."""
    texts = [turn.content + "".join(call.name + call.arguments for call in turn.calls) for turn in turns]
    return sum(TURN_OVERHEAD + estimate_tokens(text) for text in texts)


def written_tokens(said: Said) -> int:
    """Estimates what the model has written of a reply."""
    texts = (part.text for part in said.shown if isinstance(part, TextPart | ReasoningPart))
    return estimate_tokens("".join(texts))
