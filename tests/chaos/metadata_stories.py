"""A room's metadata: kept with its title, in one version."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.history import Kind, Request
from tests.chaos.stories import Story

ONE, TWO = '{"a":"1"}', '{"a":"2"}'


def metadata_undone(story: Story) -> None:
    story.did(Kind.RENAME, Request(metadata=ONE))
    story.did(Kind.RENAME, Request(metadata=TWO))
    story.metadata = ONE


def metadata_lost_by_a_rename(story: Story) -> None:
    story.did(Kind.RENAME, Request(metadata=ONE))
    story.did(Kind.RENAME, Request(title="Newer"))
    story.title = "Newer"


def metadata_differs(story: Story) -> None:
    story.page_metadata = ONE


def metadata_from_nothing(story: Story) -> None:
    story.metadata = ONE


PLANTED_METADATA: list[tuple[str, Callable[[Story], None]]] = [
    ("C7", metadata_undone),
    ("C7", metadata_lost_by_a_rename),
    ("C11", metadata_differs),
    ("C13", metadata_from_nothing),
]
