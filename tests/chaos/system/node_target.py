"""An installation on two nodes, in a Ray cluster that is the suite's own: `parlor up --ray-address`.

Each node has room for one RoomActor and one ShardWriter, so what falls with the second one finds its place there only.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from parlor_cli.processes import ProcessRef
from tests.chaos.system.target import Target
from tests.cluster.ray_nodes import Cluster, Node
from tests.installation import Installation, Kind

ONE_OF_EACH = '{"rooms": 1, "writers": 1}'


class NodeTarget(Target):
    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self._nodes = contextlib.ExitStack()
        directory = self.root / "c"
        directory.mkdir()
        self._cluster = Cluster(directory)
        self._settings |= {"PARLOR_RAY__PLACEMENT": "resources", "PARLOR_API__HOST": "127.0.0.1"}
        self._port = self._cluster.plan.http
        self._second: Node | None = None

    def start(self) -> Installation:
        head = self._cluster.start_head(self._settings, ONE_OF_EACH)
        self._nodes.callback(head.terminate)
        self.join_second_node()
        self._settings = dict(self._cluster.environment)
        return super().start()

    def join_second_node(self) -> None:
        self._second = self._cluster.join(ONE_OF_EACH)

    def kill_second_node(self) -> None:
        """With all of its processes at once."""
        self._node().kill()
        self._second = None

    def kill_second_raylet(self) -> None:
        self._node().kill_raylet()

    def stop_second_node(self) -> list[ProcessRef]:
        """All of its processes; they get their SIGCONT from the caller."""
        return self._node().stop()

    def replace_second_node(self) -> None:
        """Another one in the place of one that ends."""
        self._node().wait_until_ended()
        self.join_second_node()

    def has_lost_second_node(self) -> bool:
        """Whether Ray has given it up, which is final."""
        return self._cluster.alive_nodes() == 1

    @property
    def second_raylets(self) -> int:
        """How many run on the second node: one, or none."""
        return self._second.raylets if self._second is not None else 0

    @property
    def ray_dir(self) -> Path:
        return self._cluster.directory / "r"

    def _node(self) -> Node:
        if self._second is None:
            raise RuntimeError("there is no second node")
        return self._second

    def _where(self) -> tuple[str, ...]:
        return ("--ray-address", self._cluster.address)

    def _end_nodes(self) -> None:
        if self._second is not None:
            self._nodes.callback(self._second.terminate)
        self._nodes.close()
