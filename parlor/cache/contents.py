"""What a Redis has under our prefix, whoever put it there: counted, read and let go of by who adopts it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator

import msgspec

from parlor.cache.live import Live
from parlor.cache.reads import CacheReader
from parlor.cache.records import text
from parlor.model.access import AccountRow
from parlor.model.ids import AccountId

PAGE = 1000
"""Keys of one step."""


class Contents(msgspec.Struct, frozen=True):
    keys: int
    rooms: int
    waiting: int
    """Operations that no shard has yet."""
    dead_letters: int
    holders: list[str]
    """The writers that hold partitions now."""


class RedisContents:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live, prefix: str) -> None:
        self._live = live
        self._reader = CacheReader(live)
        self._prefix = re.sub(r"([*?\[\]\\])", r"\\\1", prefix)
        # Nothing else is ours, although it may begin with the prefix: see ``parlor.cache.keys``.
        self._kind = re.compile(rf"{re.escape(prefix)}:(?:\{{p\d+\}}:)?(\w+)(?::(.*))?", re.DOTALL)

    async def count(self) -> Contents:
        kinds: Counter[str] = Counter()
        lengths: Counter[str] = Counter()
        holders: set[str] = set()
        async for names in self._pages():
            for name in names:
                kind = self._part(name, 1)
                kinds[kind] += 1
                if kind in ("queue", "dead"):
                    lengths[kind] += await self._live.pipeline.read("XLEN", name)
                elif kind == "lease":
                    holders.add(text(await self._live.pipeline.read("GET", name)).partition(" ")[2])
        return Contents(kinds.total(), kinds["room"], lengths["queue"], lengths["dead"], sorted(holders - {""}))

    async def accounts(self) -> AsyncIterator[AccountRow]:
        """Every account that was remembered, in no order, some of them twice."""
        async for names in self._pages():
            accounts = [AccountId(self._part(name, 2)) for name in names if self._part(name, 1) == "session"]
            for row in await asyncio.gather(*map(self._reader.session, accounts)):
                if row is not None:
                    yield row

    async def forget(self) -> int:
        """Removes all of it; returns how many keys."""
        count = 0
        async for names in self._pages():
            # Each alone: on a cluster they are of several slots.
            count += sum(await asyncio.gather(*(self._live.pipeline.read("UNLINK", name) for name in names)))
        return count

    async def _pages(self) -> AsyncIterator[list[str]]:
        for part in await self._live.pipeline.parts():
            cursor = b"0"
            while True:
                cursor, found = await part.read("SCAN", cursor, "MATCH", f"{self._prefix}:*", "COUNT", PAGE)
                names = [name for name in map(text, found) if self._kind.fullmatch(name)]
                if names:
                    yield names
                if int(cursor) == 0:
                    break

    def _part(self, name: str, group: int) -> str:
        found = self._kind.fullmatch(name)
        return (found[group] or "") if found else ""
