"""What the checker's rules report, and when an operation was over."""

from __future__ import annotations

import msgspec

from tests.chaos.history import Operation, Outcome

NEVER = float("inf")


class Violation(msgspec.Struct, frozen=True):
    rule: str
    room: str
    what: str
    operations: list[str] = []


def end_of(operation: Operation) -> float:
    """When it was over: an operation in doubt may still happen at any time."""
    if operation.outcome is Outcome.UNKNOWN or operation.completed_at is None:
        return NEVER
    return operation.completed_at
