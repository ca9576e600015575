"""What the writers do with a backlog, beside bare inserts: F8."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec

from parlor.cache.clients import connect
from parlor.cache.keys import Keys
from parlor.model.ids import Partition
from parlor_bench.installation import Bench, Installation
from parlor_bench.measures.sending import CONTENT, running_parlor
from parlor_bench.peers.bare_insert import insert_rows
from parlor_bench.peers.running import own_database
from parlor_bench.results import Criterion, Result, Series, ratios
from parlor_bench.worker import in_process

FILL_SECONDS = 8.0
DRAIN_SECONDS = 120.0
LOOK_SECONDS = 0.05
BARE_ROWS = 20_000
BARE_ROOMS = 100


async def f8(bench: Bench) -> Result:
    """Rows/s while a backlog drains that came up with the database away, over those of multi-row INSERTs of 500."""
    on, drained, bare = bench.on, list[float](), list[float]()
    async with running_parlor(on, bench) as load, own_database(on.servers()) as where:
        fill = msgspec.structs.replace(load, seconds=FILL_SECONDS)
        for number in range(bench.rounds + 1):
            with halted(on.server("mariadb")):
                await in_process(fill)
            rows, rate = await drain(on)
            inserted = await insert_rows(where, BARE_ROWS, BARE_ROOMS, CONTENT)
            bench.say(f"{rows} rows drained at {rate:.0f}/s; bare inserts {inserted:.0f}/s")
            if number:  # the first round warms up
                drained.append(rate)
                bare.append(inserted)
    return Result(
        measure="F8",
        title="rows/s from a backlog",
        criteria=[Criterion(name="over bare INSERTs of 500 rows", values=ratios(drained, bare), at_least=0.6)],
        series=[Series("Parlor", "rows/s", drained), Series("bare inserts", "rows/s", bare)],
    )


@contextmanager
def halted(pid: int) -> Iterator[None]:
    """The process stands still meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def drain(on: Installation) -> tuple[int, float]:
    """Waits until the queues are empty, as ``until_empty``."""
    redis, keys = connect(on.settings.redis), Keys(on.settings.redis.prefix)
    names = [keys.queue(Partition(number)) for number in range(on.settings.store.partitions)]

    async def depth() -> int:
        async with redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.xlen(name)
            return sum(await pipeline.execute())

    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            return await until_empty(depth, time.perf_counter)
    finally:
        await redis.aclose()


async def until_empty(depth: Callable[[], Awaitable[int]], now: Callable[[], float]) -> tuple[int, float]:
    """Returns how many rows wait, and how many of them were stored in a second. The clock starts here and not when the
    first ones are gone: whole batches are nearly done by then."""
    began = now()
    waiting = left = await depth()
    while left:
        await asyncio.sleep(LOOK_SECONDS)
        left = await depth()
    return waiting, waiting / (now() - began)
