"""A sender waited for the commit, and Redis lost what it had: the row has to be there all the same."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.checker import Lost
from tests.chaos.history import Kind, ObservedMessage, Request, Response
from tests.chaos.stories import Story


def persisted_and_lost(story: Story) -> None:
    given = [ObservedMessage(5, "m5", "USER", "three")]
    story.did(Kind.SEND, Request(content="three"), Response(messages=given, persisted=True))
    story.lost = [Lost(story.now, story.now + 1)]


def persisted_and_another_stands(story: Story) -> None:
    persisted_and_lost(story)
    story.rows += [ObservedMessage(5, "m6", "USER", "three")]


PLANTED_PERSISTED: list[tuple[str, Callable[[Story], None]]] = [
    ("C25", persisted_and_lost),
    ("C25", persisted_and_another_stands),
]
