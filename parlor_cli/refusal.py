"""The error of a command that cannot do what was asked."""

from __future__ import annotations


class Refusal(Exception):
    """``message`` is shown to the user, and the command ends with ``exit_code``."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
