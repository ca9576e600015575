"""Redis Cluster: a pipeline to each node, and each command to the node that serves its key's slot.

All keys of a script are of one partition, whose hash tag names one slot (I19). The map of slots is read from any node,
and again when a node says that a slot has moved, or does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from redis import exceptions
from redis.asyncio import Redis
from redis.crc import key_slot

from parlor.cache.clients import connect, connect_node
from parlor.cache.connection import Answer, Command, ScriptPipeline, typed, unavailable
from parlor.cache.guard import Guard
from parlor.errors import CacheUnavailable
from parlor.settings import RedisSettings

SLOTS = 16384
REDIRECTIONS = 4
"""How often a command follows its slot."""
READ_AGAIN_AFTER = 0.2
"""Least seconds between two readings of the map: a node that does not answer is not in a new one at once."""
SLOTS_KNOWN = 65536


class Node(NamedTuple):
    host: str
    port: int


class Redirected(Exception):
    """The node has the slot no more (``asking`` False: for good)."""

    def __init__(self, node: Node, asking: bool) -> None:
        super().__init__(node)
        self.node = node
        self.asking = asking


class NodePipeline(ScriptPipeline):
    """The pipeline to one node. Raises ``Redirected`` besides."""

    async def asked(self, command: Command) -> Answer:
        """Runs a command whose slot this node is about to get. Raises ``CacheUnavailable``."""
        try:
            replies = await self._round_trip([(("ASKING",), None), command])
            if isinstance(replies[1], exceptions.NoScriptError) and command[1] is not None:
                await self._redis.script_load(command[1].source)
                replies = await self._round_trip([(("ASKING",), None), command])
        except (exceptions.RedisError, OSError) as error:
            raise unavailable(error) from error
        if isinstance(replies[1], exceptions.RedisError):
            raise typed(replies[1], "ASKING")
        return replies[1]

    def _refusal(self, reply: exceptions.RedisError, command: Command) -> Exception:
        if isinstance(reply, exceptions.AskError):
            # MovedError is one of them.
            asking = not isinstance(reply, exceptions.MovedError)
            return Redirected(Node(reply.host, reply.port), asking)
        return super()._refusal(reply, command)


class Topology:
    """Which node serves which slot."""

    def __init__(self, settings: RedisSettings) -> None:
        self._client: Redis = connect(settings, blocking=True)
        self._timeout = settings.command_timeout.total_seconds()
        self._of_slot: list[Node | None] = []
        self._reading: asyncio.Task[None] | None = None
        self._read_at = float("-inf")
        self._stale = True

    def doubt(self) -> None:
        """A node does not answer, or does not have a slot any more: the map is read again."""
        self._stale = True

    async def node(self, slot: int) -> Node:
        """Raises ``CacheUnavailable``, also for a slot that nobody serves."""
        if self._stale:
            await self._read_again()
        found = self._of_slot[slot] if self._of_slot else None
        if found is None:
            self._stale = True
            raise CacheUnavailable(debug=f"no node serves slot {slot}", retry_after=1.0)
        return found

    async def nodes(self) -> list[Node]:
        """The nodes that serve slots. Raises ``CacheUnavailable``."""
        self._stale = True
        await self._read_again()
        return sorted({node for node in self._of_slot if node is not None})

    async def served(self, node: Node, keys: Sequence[str]) -> list[str]:
        """Returns those of the keys that the node has."""
        return [key for key in keys if await self.node(slot_of(key)) == node]

    async def close(self) -> None:
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._client.aclose()

    async def _read_again(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._of_slot and now - self._read_at < READ_AGAIN_AFTER:
            return
        if self._reading is None or self._reading.done():
            # Shared: whoever comes meanwhile waits for the same answer.
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        self._read_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._timeout):
                found: Answer = await self._client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        except (exceptions.RedisError, OSError) as error:
            # The node that it was connected to may be the one that is gone.
            await self._client.connection_pool.disconnect()
            raise unavailable(error) from error
        of_slot: list[Node | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_ in found:
            node = Node(host.decode(), int(port))
            of_slot[first : last + 1] = [node] * (last + 1 - first)
        self._of_slot, self._stale = of_slot, False


class ClusterPipeline(ScriptPipeline):
    """Looks like a pipeline to one server."""

    def __init__(self, settings: RedisSettings, guard: Guard | None) -> None:
        super().__init__(connect(settings, blocking=True), settings)
        self.topology = Topology(settings)
        self._settings = settings
        self._guard = guard
        self._nodes: dict[Node, NodePipeline] = {}

    async def submit(self, command: Command) -> Answer:
        """A command without a key goes to every node that serves slots; one of the answers is given."""
        words, _ = command
        if words[0] == "PING":
            return (await asyncio.gather(*(part.submit(command) for part in await self.parts())))[0]
        if words[0] == "XREADGROUP":
            key = words[words.index("STREAMS") + 1]
        else:
            key = words[3 if words[0] == "EVALSHA" else 1]
        return await self._routed(command, str(key))

    async def parts(self) -> Sequence[ScriptPipeline]:
        return [self._pipeline(node) for node in await self.topology.nodes()]

    async def close(self) -> None:
        await asyncio.gather(*(pipeline.close() for pipeline in self._nodes.values()))
        await self.topology.close()
        await super().close()

    async def _routed(self, command: Command, key: str) -> Answer:
        slot = slot_of(key)
        node = await self.topology.node(slot)
        for _ in range(REDIRECTIONS):
            try:
                return await self._pipeline(node).submit(command)
            except Redirected as moved:
                node = moved.node
                if moved.asking:
                    return await self._pipeline(node).asked(command)
                self.topology.doubt()
            except CacheUnavailable:
                self.topology.doubt()
                raise
        raise CacheUnavailable(debug=f"slot {slot} keeps moving", retry_after=1.0)

    def _pipeline(self, node: Node) -> NodePipeline:
        found = self._nodes.get(node)
        if found is None:
            client = connect_node(self._settings, self._guard, node.host, node.port)
            found = self._nodes[node] = NodePipeline(client, self._settings)
        return found


@lru_cache(SLOTS_KNOWN)
def slot_of(key: str) -> int:
    """The slot of a key, by its hash tag if it has one."""
    return int(key_slot(key.encode()))


def open_pipeline(settings: RedisSettings, guard: Guard | None = None) -> ScriptPipeline:
    """A pipeline to the servers that the settings name."""
    if settings.servers.kind == "cluster":
        return ClusterPipeline(settings, guard)
    # Blocking: the pipeline limits the time of each round trip.
    return ScriptPipeline(connect(settings, guard, blocking=True), settings)
