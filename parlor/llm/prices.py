"""What answers may use and what they cost, by the prices of the personas."""

from __future__ import annotations

from parlor.llm.ports import Persona
from parlor.model.budgets import Ask
from parlor.model.messages import Usage

_PER_TOKEN = 1000
"""Billionths for one token of a price for a million."""


def ask_of(persona: Persona, prompt: int, answer_tokens: int) -> Ask:
    """What an answer to a prompt of this many tokens may use; ``answer_tokens`` is for a persona without a limit."""
    return Ask(
        prompt,
        persona.max_tokens if persona.max_tokens is not None else answer_tokens,
        round(persona.input_price * _PER_TOKEN),
        round(persona.output_price * _PER_TOKEN),
    )


def cost_of(persona: Persona, usage: Usage) -> int:
    """What an answer cost, in billionths."""
    ask = ask_of(persona, 0, 0)
    return usage.input_tokens * ask.input_price + usage.output_tokens * ask.output_price
