"""Health checks of the servers that Parlor depends on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from parlor.cache.live import Live
from parlor.errors import ParlorError
from parlor.model.requests import DependencyHealth
from parlor.store.ports import ChatStore

HEALTH_SECONDS = 2.0
"""Longest wait for one dependency's answer."""


class Dependencies:
    """Checks Redis, the global database and the shards."""

    def __init__(self, live: Live, store: ChatStore) -> None:
        self._live = live
        self._store = store

    async def health(self) -> list[DependencyHealth]:
        """Pings all of them concurrently and returns what each one answered."""
        asked = {"cache": self._live.ping(), "store:global": self._store.ping(None)}
        asked |= {f"store:shard{shard}": self._store.ping(shard) for shard in self._store.shard_ids()}
        answers = await asyncio.gather(*(_health(work) for work in asked.values()))
        return [DependencyHealth(name, not wrong, wrong or "ok") for name, wrong in zip(asked, answers, strict=True)]


async def _health(work: Awaitable[None]) -> str:
    """Returns what is wrong; empty if nothing is."""
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await work
    except ParlorError as error:
        return error.detail
    except TimeoutError:
        return f"no answer within {HEALTH_SECONDS:.0f} s"
    return ""
