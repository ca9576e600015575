"""What an answer uses, also one that ends before the provider has counted it."""

from __future__ import annotations

from collections.abc import Sequence

from parlor.llm.ports import Completion
from parlor.llm.tokens import estimate_tokens
from parlor.model.messages import Usage


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

    def __init__(self, prompt_tokens: int, texts: Sequence[str]) -> None:
        """``prompt_tokens`` is the estimate for the prompt. ``texts`` are the answer's, to which the caller adds."""
        self._prompt_tokens = prompt_tokens
        self._texts = texts
        self._counted: Usage | None = None
        self._covered = 0
        """How many of the texts the last count covers."""

    def take(self, part: Usage | Completion) -> None:
        """Takes a count of the provider's."""
        counted = part.usage if isinstance(part, Completion) else part
        if counted is not None:
            self._counted = counted
            self._covered = len(self._texts)

    @property
    def usage(self) -> Usage | None:
        """None while nothing was counted and no text has come."""
        since = "".join(self._texts[self._covered :])
        if not since:
            return self._counted
        return total(self._counted or Usage(self._prompt_tokens, 0), Usage(0, estimate_tokens(since)))
