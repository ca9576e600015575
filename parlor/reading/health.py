"""Whether the servers that Parlor stands on answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from parlor.cache.live import Live
from parlor.errors import ParlorError
from parlor.model import DependencyHealth
from parlor.store.ports import ChatStore

HEALTH_SECONDS = 2.0
"""Longest wait for one dependency's answer."""


class Dependencies:
    """Redis, the global database and the shards."""

    def __init__(self, live: Live, store: ChatStore) -> None:
        self._live = live
        self._store = store

    async def health(self) -> list[DependencyHealth]:
        """Asks each of them, side by side."""
        asked = {"cache": self._live.ping(), "store:global": self._store.ping(None)}
        asked |= {f"store:shard{shard}": self._store.ping(shard) for shard in self._store.shard_ids()}
        answers = await asyncio.gather(*(_health(work) for work in asked.values()))
        return [DependencyHealth(name, not wrong, wrong or "ok") for name, wrong in zip(asked, answers, strict=True)]


async def _health(work: Awaitable[None]) -> str:
    """What is wrong; empty when nothing is."""
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await work
    except ParlorError as error:
        return error.detail
    except TimeoutError:
        return f"no answer within {HEALTH_SECONDS:.0f} s"
    return ""
