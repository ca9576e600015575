"""The real pipeline on fakeredis, with faults that a test chooses."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any

from redis.asyncio import Redis

from parlor.cache.connection import Answer, ScriptPipeline, unavailable
from parlor.cache.live import Live
from parlor.cache.loader import Script
from parlor.cache.queue import QueueEntry, WriterQueue
from parlor.clock import Clock
from parlor.errors import InternalError
from parlor.model.ids import Partition
from parlor.settings import RedisSettings


class FaultyPipeline(ScriptPipeline):
    """``lose`` says how many answers of a script get lost after it ran; ``gates`` hold a script back before it runs."""

    def __init__(self, redis: Redis, settings: RedisSettings) -> None:
        super().__init__(redis, settings)
        self.ran: list[str] = []
        self.lose: Counter[str] = Counter()
        self.refuse: Counter[str] = Counter()
        """How many calls of a script do not reach the server."""
        self.gates: dict[str, asyncio.Event] = {}
        self.written = asyncio.Event()

    async def run(self, script: Script, *arguments: Any, **more: Any) -> Answer:
        if (gate := self.gates.get(script.name)) is not None:
            await gate.wait()
        if self.refuse[script.name] > 0:
            self.refuse[script.name] -= 1
            raise unavailable(ConnectionError("not connected"))
        answer = await super().run(script, *arguments, **more)
        self.ran.append(script.name)
        self.written.set()
        if self.lose[script.name] > 0:
            self.lose[script.name] -= 1
            raise unavailable(ConnectionError("the answer was lost"))
        return answer


class FakeQueue(WriterQueue):
    """Waits for new entries on the test's clock, because fakeredis cannot block in XREADGROUP."""

    def __init__(self, live: Live, settings: RedisSettings, redis: Redis, pipeline: FaultyPipeline) -> None:
        super().__init__(live, settings)
        self._reader = redis
        self._pipeline = pipeline
        self._clock = live.clock
        self.reads: list[str] = []
        """``new`` or ``history``, in the order of the reads that found something."""

    async def new(self, partitions: Sequence[Partition], limit: int, wait_ms: int) -> list[QueueEntry]:
        deadline = self._clock.monotonic() + wait_ms / 1000
        while True:
            self._pipeline.written.clear()
            found = await self._read(dict.fromkeys(partitions, ">"), limit, None) if partitions else []
            if found:
                self.reads.append("new")
            left = deadline - self._clock.monotonic()
            if found or left <= 0:
                return found
            await first_of(self._clock, left, self._pipeline.written.wait())

    async def unfinished(self, partition: Partition, after: Any, limit: int) -> list[QueueEntry]:
        found = await super().unfinished(partition, after, limit)
        if found:
            self.reads.append("history")
        return found

    async def _read(self, positions: dict[Partition, str], limit: int, block_ms: int | None) -> list[QueueEntry]:
        try:
            found = await super()._read(positions, limit, block_ms)
        except InternalError as error:
            # A real server answers NOGROUP; fakeredis has an error of its own that mentions XGROUP.
            if "XGROUP" in error.debug:
                raise unavailable(error) from error
            raise
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # fakeredis reads with asyncio.wait_for, which in Python 3.11 loses a cancellation that arrives with the
            # answer.
            raise asyncio.CancelledError
        return found


async def first_of(clock: Clock, seconds: float, other: Awaitable[object]) -> None:
    """Waits for ``other``, at most ``seconds`` on the clock."""
    tasks = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(other)}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
