"""Violations in another installation's Redis that the checker must report, as those in ``tests.chaos.stories``."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.checker import Foreign
from tests.chaos.stories import Story


def written_into_anothers_redis(story: Story) -> None:
    story.foreign += [Foreign({"partition": "9"}, {"partition": "9", "room-1": "a claim"})]


def taken_from_anothers_redis(story: Story) -> None:
    story.foreign += [Foreign({"partition": "9", "queue": "theirs"}, {"partition": "9"})]


PLANTED_FOREIGN: list[tuple[str, Callable[[Story], None]]] = [
    ("C16", written_into_anothers_redis),
    ("C16", taken_from_anothers_redis),
]
