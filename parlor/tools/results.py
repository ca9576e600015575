"""What tools answer, within limits."""

from __future__ import annotations

from parlor.model.tools import ToolResult

RESULT_MAX = 16_384
"""Characters of a result that are kept."""


class ToolUnreachable(Exception):
    """A tool's server could not be asked; the message tells the model."""

    def __init__(self, words: str, debug: str = "") -> None:
        super().__init__(words)
        self.debug = debug


def result_of(text: str, *, is_error: bool = False) -> ToolResult:
    """The result that a text is, as much as is kept of it."""
    text = text.replace("\0", "\ufffd")
    return ToolResult(text[:RESULT_MAX], is_error, truncated=len(text) > RESULT_MAX)
