"""Violations that the checker must report, as those in ``tests.chaos.stories``: in another installation's Redis, or
behind one that was lost."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from parlor.model.cursors import EPOCH
from tests.chaos.checker import Foreign
from tests.chaos.stories import EVENTS, Story


def written_into_anothers_redis(story: Story) -> None:
    story.foreign += [Foreign({"partition": "9"}, {"partition": "9", "room-1": "a claim"})]


def taken_from_anothers_redis(story: Story) -> None:
    story.foreign += [Foreign({"partition": "9", "queue": "theirs"}, {"partition": "9"})]


def cursor_of_a_lost_log_is_taken(story: Story) -> None:
    """The clock that made it was ahead, and the new log has caught up with it."""
    anew = [replace(event, cursor=f"{100 + at}-{EPOCH}") for at, event in enumerate(EVENTS)]
    story.heard(*anew, after=f"50-{EPOCH}")
    story.heard(*anew[3:], after="102-0")


PLANTED_REDIS: list[tuple[str, Callable[[Story], None]]] = [
    ("C16", written_into_anothers_redis),
    ("C16", taken_from_anothers_redis),
    ("C12", cursor_of_a_lost_log_is_taken),
]
