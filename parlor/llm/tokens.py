"""How many tokens a text is, about; and how far off that is for each model, learned from what providers count.

The estimate is a quarter of the UTF-8 bytes, rounded up, plus ``TURN_OVERHEAD`` a message. English text has about four
bytes a token; other scripts have more bytes for each character and fewer characters for each token, so bytes are the
steadier measure. The truth is the provider's ``usage``, which comes with each answer: what it counted for the prompt,
divided by the estimate of the same prompt, is the model's ratio, and costs are multiplied by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from parlor.llm.ports import PromptTurn

BYTES = 4
"""Of UTF-8 for each token."""
TURN_OVERHEAD = 4
"""Tokens for a message's role and delimiters (OpenAI's cookbook counts 3, plus 1 for a name)."""
RATIO_MIN, RATIO_MAX = 0.75, 3.0
"""Bounds of a ratio: a provider that counts something else (without what it had cached, or with tools of its own) can
neither make prompts overflow nor starve them. Dense text, such as code or rare scripts, is below 3."""
WEIGHT = 0.2
"""Of the newest count: a ratio follows within about ten answers, and no single room decides it."""
TELLING = 200
"""Estimated tokens from which on a prompt says something: in a shorter one, what a provider adds to each request
outweighs the text."""


def estimate_tokens(text: str) -> int:
    """Tokens of a text."""
    return ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES)


def estimate_prompt(turns: Sequence[PromptTurn]) -> int:
    """Tokens of a whole prompt."""
    return sum(TURN_OVERHEAD + estimate_tokens(turn.content) for turn in turns)


def cut(text: str, tokens: int) -> str:
    """The beginning of a text, of so many estimated tokens at most."""
    return text.encode("utf-8", "ignore")[: tokens * BYTES].decode("utf-8", "ignore")


class TokenRatios:
    """A ratio for each model, 1 until something is known. Lives as long as its process: ten answers teach it again."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def of(self, model: str) -> float:
        return self._ratios.get(model, 1.0)

    def learn(self, model: str, turns: Sequence[PromptTurn], counted: int) -> None:
        """The provider ``counted`` so many tokens for a prompt of these turns."""
        estimated = estimate_prompt(turns)
        if estimated < TELLING or counted <= 0:
            return
        seen = min(max(counted / estimated, RATIO_MIN), RATIO_MAX)
        self._ratios[model] = self.of(model) + WEIGHT * (seen - self.of(model))
