"""Estimates of how many tokens a text has, and a correction for each model, learned from what providers count.

The estimate is a quarter of the UTF-8 bytes, rounded up, plus ``TURN_OVERHEAD`` for each message. English text has
about four bytes in a token; other scripts have more bytes in a character and fewer characters in a token, so bytes are
the steadier measure. The exact count is the provider's ``usage``, which comes with each answer. What it counted for a
prompt, divided by the estimate for that prompt, gives the model's ratio, and estimates are multiplied by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from parlor.llm.ports import PromptTurn

BYTES = 4
"""UTF-8 bytes in a token."""
TURN_OVERHEAD = 4
"""Tokens for a message's role and delimiters (OpenAI's cookbook counts 3, plus 1 for a name)."""
RATIO_MIN, RATIO_MAX = 0.75, 3.0
"""Bounds of a ratio, so that a provider that counts differently (without its cached tokens, or with tools of its own)
can neither overflow prompts nor starve them. Dense text, such as code or rare scripts, stays below 3."""
WEIGHT = 0.2
"""Weight of the newest count: a ratio adapts within about ten answers, and no single room dominates it."""
TELLING = 200
"""Fewest estimated tokens of a prompt to learn from: in a shorter one, what the provider adds to each request outweighs
the text."""


def estimate_tokens(text: str) -> int:
    """Returns the estimated tokens of a text."""
    return ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES)


def estimate_prompt(turns: Sequence[PromptTurn]) -> int:
    """Returns the estimated tokens of a whole prompt."""
    return sum(TURN_OVERHEAD + estimate_tokens(turn.content) for turn in turns)


def cut(text: str, tokens: int) -> str:
    """Returns the beginning of a text, at most ``tokens`` by the estimate."""
    return text.encode("utf-8", "ignore")[: tokens * BYTES].decode("utf-8", "ignore")


def end_of(text: str, tokens: int) -> str:
    """Returns the end of a text, at most ``tokens`` by the estimate."""
    return text.encode("utf-8", "ignore")[-tokens * BYTES :].decode("utf-8", "ignore")


class TokenRatios:
    """A ratio for each model, 1 until something was learned. It is not stored: ten answers are enough to learn it
    again."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def of(self, model: str) -> float:
        return self._ratios.get(model, 1.0)

    def learn(self, model: str, turns: Sequence[PromptTurn], counted: int) -> None:
        """Learns from the number of tokens that the provider counted for a prompt of these turns."""
        estimated = estimate_prompt(turns)
        if estimated < TELLING or counted <= 0:
            return
        newest = min(max(counted / estimated, RATIO_MIN), RATIO_MAX)
        self._ratios[model] = self.of(model) + WEIGHT * (newest - self.of(model))
