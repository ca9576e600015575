"""A wrapper around every call to Redis and to the databases: refused, executed unheard, executed twice, or late."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from parlor.cache.connection import Answer, Command, ScriptPipeline
from parlor.cache.live import Live
from parlor.cache.queue import QueueEntry, WriterQueue
from parlor.errors import CacheUnavailable, ParlorError, StoreUnavailable
from parlor.model.ids import Partition
from parlor.model.messages import QueuePosition
from parlor.settings import RedisSettings
from parlor.store.ports import ChatStore

_T = TypeVar("_T")


class Rates(msgspec.Struct, frozen=True):
    """Shares of the calls."""

    refused: float = 0.01
    """It was never sent."""
    unheard: float = 0.02
    """It was executed and the caller is told that nobody answered: the worst that a network does."""
    twice: float = 0.02
    late: float = 0.02
    """It waits, so that others overtake it."""
    lateness: tuple[float, float] = (0.005, 0.2)
    """Seconds."""
    stall: float = 0.002
    """The whole process stands still for longer than a lease lives: it is a stale owner when it goes on."""
    stalled: float = 1.6
    """Seconds."""


class Injector:
    """What happens to the calls of one process. Decides from a seed, and counts."""

    def __init__(self, rates: Rates, seed: int, counts: Counter[str]) -> None:
        self._counts = counts
        self._rates = rates
        self._random = random.Random(seed)
        self._on = False
        self._stands_until = 0.0

    def rage(self) -> None:
        self._on = True

    def calm(self) -> None:
        self._on = False

    async def call(self, action: Callable[[], Awaitable[_T]], failure: Callable[[], ParlorError]) -> _T:
        """``action`` as it is, or in one of the four ways."""
        if not self._on:
            return await action()
        rates = self._rates
        if self._happens("refused", rates.refused):
            raise failure()
        if self._happens("stalled", rates.stall):
            self._stands_until = time.monotonic() + rates.stalled
        await asyncio.sleep(max(0.0, self._stands_until - time.monotonic()))
        if self._happens("late", rates.late):
            await asyncio.sleep(self._random.uniform(*rates.lateness))
        if self._happens("twice", rates.twice):
            await action()
        found = await action()
        if self._happens("unheard", rates.unheard):
            raise failure()
        return found

    def _happens(self, what: str, share: float) -> bool:
        happens = self._random.random() < share
        self._counts[what] += happens
        return happens


class FaultyPipeline(ScriptPipeline):
    """Scripts and reads of one process."""

    injector: Injector

    async def submit(self, command: Command) -> Answer:
        submit = super().submit
        return await self.injector.call(lambda: submit(command), _no_cache)


class FaultyQueue(WriterQueue):
    """Deliveries are lost on their way: read, and never seen."""

    def __init__(self, live: Live, settings: RedisSettings, injector: Injector) -> None:
        super().__init__(live, settings)
        self._injector = injector

    async def unfinished(self, partition: Partition, after: QueuePosition | None, limit: int) -> list[QueueEntry]:
        read = super().unfinished
        return await self._injector.call(lambda: read(partition, after, limit), _no_cache)

    async def new(self, partitions: Sequence[Partition], limit: int, wait_ms: int) -> list[QueueEntry]:
        read = super().new
        return await self._injector.call(lambda: read(partitions, limit, wait_ms), _no_cache)


def faulty_store(store: ChatStore, injector: Injector) -> ChatStore:
    """The store with the wrapper around each of its calls, but ``close``."""
    return cast("ChatStore", _FaultyStore(store, injector))


class _FaultyStore:
    def __init__(self, store: ChatStore, injector: Injector) -> None:
        self._store = store
        self._injector = injector

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name == "close" or not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **options: Any) -> Any:
            return await self._injector.call(lambda: found(*args, **options), _no_store)

        return call


def _no_cache() -> ParlorError:
    return CacheUnavailable(debug="injected")


def _no_store() -> ParlorError:
    return StoreUnavailable(debug="injected")
