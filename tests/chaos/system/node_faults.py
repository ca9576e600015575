"""What is done to a node."""

from __future__ import annotations

import asyncio
import signal

from parlor_cli import processes
from tests.chaos.system.faults import Blow
from tests.chaos.system.node_target import NodeTarget


class NodeBlow(Blow):
    needs_nodes = True

    async def is_healed(self) -> bool:
        return self._node_target.second_raylets == 1

    @property
    def _node_target(self) -> NodeTarget:
        assert isinstance(self.target, NodeTarget)
        return self.target


class KillNode(NodeBlow):
    """SIGKILL of the second node's raylet and of all that runs on it; another node comes in its place."""

    name = "kill-node"

    async def apply(self) -> None:
        await asyncio.to_thread(self._node_target.kill_second_node)

    async def heal(self) -> None:
        await asyncio.to_thread(self._node_target.join_second_node)


class KillRaylet(NodeBlow):
    """SIGKILL of the second node's raylet alone; what runs under it ends by itself, and another node comes."""

    name = "kill-raylet"

    async def apply(self) -> None:
        await asyncio.to_thread(self._node_target.kill_second_raylet)

    async def heal(self) -> None:
        await asyncio.to_thread(self._node_target.replace_second_node)


class StopNode(NodeBlow):
    """SIGSTOP of the raylet and of all that runs on the second node, then SIGCONT: it goes on where Ray has not given
    it up meanwhile, else it ends and another one comes."""

    name = "stop-node"

    async def apply(self) -> None:
        self._stopped = await asyncio.to_thread(self._node_target.stop_second_node)

    async def heal(self) -> None:
        try:
            await asyncio.sleep(self.chance.uniform(*self.stopped))
        finally:
            for ref in self._stopped:
                processes.send(ref, signal.SIGCONT)
        if await asyncio.to_thread(self._node_target.has_lost_second_node):
            self.notes = "Ray had given the node up"
            await asyncio.to_thread(self._node_target.replace_second_node)
