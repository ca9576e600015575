"""A command that cannot do what it was asked to, and why."""

from __future__ import annotations


class Refusal(Exception):
    """The message is for the person at the terminal; the command ends with ``exit_code``."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
