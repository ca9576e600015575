"""What an answer uses, also one that ends before the provider has counted it."""

from __future__ import annotations

from parlor.llm.ports import Completion, Part, TextDelta
from parlor.llm.tokens import estimate_tokens
from parlor.model import Usage


def total(one: Usage | None, other: Usage) -> Usage:
    """Returns the sum of two usages; None stands for none."""
    if one is None:
        return other
    return Usage(one.input_tokens + other.input_tokens, one.output_tokens + other.output_tokens)


class UsageMeter:
    """The usage of one answer so far.

    Providers count when an answer ends, few of them while it is written, and some never. They charge for one that is
    stopped or fails as well, so what is not counted is estimated.
    """

    def __init__(self, prompt_tokens: int) -> None:
        """``prompt_tokens`` is the estimate for the prompt."""
        self._prompt_tokens = prompt_tokens
        self._counted: Usage | None = None
        self._since: list[str] = []
        """The texts that came after the last count."""

    def take(self, part: Part) -> None:
        """Takes the next part of the answer."""
        if isinstance(part, TextDelta):
            self._since.append(part.text)
            return
        counted = part.usage if isinstance(part, Completion) else part
        if counted is not None:
            self._counted = counted
            self._since.clear()

    @property
    def usage(self) -> Usage | None:
        """None while nothing was counted and no text has come."""
        if not self._since:
            return self._counted
        counted = self._counted or Usage(self._prompt_tokens, 0)
        return total(counted, Usage(0, estimate_tokens("".join(self._since))))
