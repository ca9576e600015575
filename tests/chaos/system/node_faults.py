"""What is done to a node."""

from __future__ import annotations

import asyncio

from tests.chaos.system.faults import Blow
from tests.chaos.system.node_site import NodeSite


class KillNode(Blow):
    """SIGKILL of the second node's raylet and of all that runs on it; another node comes in its place."""

    name, needs_nodes = "kill-node", True

    async def apply(self) -> None:
        await asyncio.to_thread(self._node_site.kill_second_node)

    async def heal(self) -> None:
        await asyncio.to_thread(self._node_site.join_second_node)

    async def is_healed(self) -> bool:
        return self._node_site.second_raylets == 1

    @property
    def _node_site(self) -> NodeSite:
        assert isinstance(self.site, NodeSite)
        return self.site
