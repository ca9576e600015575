"""An installation whose Redis fails over, on servers of the suite's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Literal

from tests.chaos.system.target import Target
from tests.installation import Installation, Kind
from tests.redis_groups import Group, cluster_group, sentinel_group

Arrangement = Literal["sentinel", "cluster"]
GROUPS: dict[Arrangement, Callable[[], contextlib.AbstractContextManager[Group]]] = {
    "sentinel": sentinel_group,
    "cluster": cluster_group,
}


class ReplicaTarget(Target):
    """The shards are SQLite: what ``kind`` says is for the rest."""

    def __init__(self, kind: Kind, arrangement: Arrangement) -> None:
        super().__init__(kind)
        self._arrangement = arrangement
        self._servers = contextlib.ExitStack()
        self.group: Group

    def start(self) -> Installation:
        self.group = self._servers.enter_context(GROUPS[self._arrangement]())
        return super().start()

    def down(self) -> None:
        try:
            super().down()
        finally:
            self._servers.close()

    def _where(self) -> tuple[str, ...]:
        return ("--redis-url", self.group.url)
