"""What the writers do with a backlog, beside bare inserts: F8."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
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
LOOK_SECONDS = 0.1
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
    """Waits until the queues are empty; the rows that waited, and rows/s between the first tenth and the last."""
    redis, keys = connect(on.settings.redis), Keys(on.settings.redis.prefix)
    names = [keys.queue(Partition(number)) for number in range(on.settings.store.partitions)]
    samples: list[tuple[float, int]] = []
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while not samples or samples[-1][1]:
                async with redis.pipeline(transaction=False) as pipeline:
                    for name in names:
                        pipeline.xlen(name)
                    samples.append((time.perf_counter(), sum(await pipeline.execute())))
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        await redis.aclose()
    return samples[0][1], rate_of(samples)


def rate_of(samples: list[tuple[float, int]]) -> float:
    """Entries per second from the last sample with nine tenths of the first one's depth to the first with a tenth."""
    most = samples[0][1]
    start = [sample for sample in samples if sample[1] >= 0.9 * most][-1]
    end = next(sample for sample in samples if sample[1] <= 0.1 * most)
    return (start[1] - end[1]) / (end[0] - start[0]) if end[0] > start[0] else 0.0
