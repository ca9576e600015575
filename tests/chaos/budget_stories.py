"""Violations of budgets that the checker must report, as those in ``tests.chaos.stories``."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from tests.chaos.stories import Story


def overdrawn(story: Story) -> None:
    story.spending[0] = replace(story.spending[0], peak=1001)


def reserved_for_nothing(story: Story) -> None:
    story.spending[0] = replace(story.spending[0], reserved=100)


def charged_and_not_stored(story: Story) -> None:
    story.spending[0] = replace(story.spending[0], used=701)


def stored_and_not_charged(story: Story) -> None:
    story.spending[0] = replace(story.spending[0], stored=701)


PLANTED_BUDGETS: list[tuple[str, Callable[[Story], None]]] = [
    ("C17", overdrawn),
    ("C17", reserved_for_nothing),
    ("C17", charged_and_not_stored),
    ("C17", stored_and_not_charged),
]
