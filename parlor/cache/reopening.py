"""Opening partitions that another server goes on with: after a fail-over, or when a server was started again.

Replication is asynchronous, so what the new primary has may be older than what was acknowledged, and than what the
shard has. A partition is closed there (I27): scripts and reads are refused until its writer has stored what is still
queued, and let go of everything that the shard knows as well or better.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from parlor.cache.live import Live
from parlor.cache.loader import Argument
from parlor.cache.records import text
from parlor.model.ids import Partition, RoomId
from parlor.model.messages import QueuePosition

PAGE = 1000
"""Keys of one step."""
KEPT = ("partition", "lease", "queue", "dead", "generating", "idempotency", "creation")
"""What a partition keeps: it is true whatever was lost. All else is loaded from the shard when it is asked for."""
_NAME = re.compile(r"[^{}]*\{p(\d+)\}:([a-z_]+)(:|$)")


class Reopening:
    """Raises ``CacheUnavailable`` throughout, ``LeaseLost`` where a lease is given."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def names(self, lease: str, histories: Mapping[Partition, str]) -> dict[Partition, list[str]]:
        """Returns the keys that partitions have to let go of, by the histories of the servers that have them."""
        found: defaultdict[Partition, list[str]] = defaultdict(list)
        seen: set[str] = set()
        for partition, history in histories.items():
            if history in seen:
                continue
            seen.add(history)
            async for name in self._walk(partition, lease, history):
                parsed = _NAME.match(name)
                if parsed and parsed[2] not in KEPT and histories.get(Partition(int(parsed[1]))) == history:
                    found[Partition(int(parsed[1]))].append(name)
        return found

    async def _walk(self, partition: Partition, lease: str, history: str) -> AsyncIterator[str]:
        """All keys of partitions on the server that has this one."""
        arguments: dict[str, Argument] = {"lease": lease, "history": history, "count": PAGE}
        arguments["pattern"] = self._live.keys.of_any_partition()
        cursor = "0"
        while True:
            arguments["cursor"] = cursor
            _, next_cursor, names = await self._live.run(
                "scan_keys", {"lease": self._live.keys.lease(partition)}, {**arguments}
            )
            for name in names:
                yield text(name)
            if (cursor := text(next_cursor)) == "0":
                return

    async def forget(self, partition: Partition, lease: str, history: str, names: Sequence[str]) -> None:
        """Lets go of these keys while the partition is closed."""
        arguments: dict[str, Argument] = {"lease": lease, "history": history}
        for start in range(0, len(names), PAGE):
            await self._live.run("forget_keys", self._keys(partition), {**arguments}, more=names[start : start + PAGE])

    async def queued(self, partition: Partition) -> int:
        """Returns how many operations wait."""
        return int(await self._live.pipeline.read("XLEN", self._live.keys.queue(partition)))

    async def generating(self, partition: Partition) -> list[RoomId]:
        """Returns the rooms that are said to have unfinished replies."""
        found = await self._live.pipeline.read("ZRANGE", self._live.keys.generating(partition), 0, -1)
        return [RoomId(text(room)) for room in found]

    async def open(
        self,
        partition: Partition,
        lease: str,
        history: str,
        incarnation: int,
        applied: QueuePosition,
        gone: Sequence[RoomId],
        unfinished: Iterable[RoomId] = (),
    ) -> None:
        """Opens the partition. ``gone`` are rooms that are said to have unfinished replies, and that the shard does not
        have; ``unfinished`` are rooms that have some by their shard. Raises ``OutOfStep`` while something is queued,
        which nobody can do any more."""
        keys, live = self._keys(partition), self._live.keys
        keys |= {"queue": live.queue(partition), "generating": live.generating(partition)}
        arguments: dict[str, Argument] = {"lease": lease, "history": history}
        arguments |= {"incarnation": incarnation, "applied": str(applied)}
        rooms = [*((room, "gone") for room in gone), *((room, "open") for room in sorted(unfinished))]
        await self._live.run("reopen_partition", keys, arguments, [word for of in rooms for word in of])

    def _keys(self, partition: Partition) -> dict[str, str]:
        return {"partition": self._live.keys.partition(partition), "lease": self._live.keys.lease(partition)}
