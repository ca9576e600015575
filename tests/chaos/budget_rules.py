"""The checker's rule about budgets, C17; explained in ``tests.chaos.checker``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tests.chaos.violation import Violation


class Spending(msgspec.Struct, frozen=True):
    """An account's tokens of one day."""

    account: str
    limit: int
    peak: int
    """The most that was used and reserved together at any time."""
    used: int | None
    """As Redis counts when everything has come to rest; None: it does not know."""
    reserved: int
    stored: int
    """As the shard counts."""


def spending_rules(spending: Sequence[Spending]) -> Iterator[Violation]:
    for each in spending:
        if each.peak > each.limit:
            yield Violation("C17", "", f"{each.account} had {each.peak} tokens of {each.limit}")
        if each.reserved:
            yield Violation("C17", "", f"{each.account} has {each.reserved} tokens reserved for nothing")
        if each.used is not None and each.used != each.stored:
            yield Violation("C17", "", f"{each.account} is charged {each.used} tokens, {each.stored} are stored")
