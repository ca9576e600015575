"""Hours at half of the peak rate, with replies: the memory of each process must not grow: F12 (`make soak`)."""

from __future__ import annotations

import asyncio
import time

import msgspec

from parlor_bench.installation import Bench, Installation
from parlor_bench.load import Sends, post
from parlor_bench.measures.sending import running_parlor
from parlor_bench.results import Criterion, Result, Series, slope
from parlor_bench.rooms import Rooms
from parlor_bench.usage import resident_bytes
from parlor_bench.worker import in_process

SAMPLES = 240
WARM_UP = 0.25
"""The share of the time that is not looked at."""
REPLIES_PER_SECOND = 5.0
REPLY_ROOMS = 50
QUESTION = msgspec.json.encode({"content": "[[tokens=20 delay=20ms]]"})
PEAK_SECONDS = 5.0
SERVERS = ("redis-server", "mariadbd")
"""What grows with what is kept: bounded by settings, not by this."""

Samples = dict[int, list[tuple[float, float]]]
"""Of each process, the seconds and its resident bytes."""


async def f12(bench: Bench) -> Result:
    """The slope of each process's memory after the warm-up, with the upper end of its confidence interval."""
    on = bench.on
    async with running_parlor(on, bench) as load, Rooms(on.host, on.port, bench.say) as made:
        peak = await in_process(msgspec.structs.replace(load, seconds=PEAK_SECONDS))
        rate = peak.per_second / 2
        bench.say(f"{rate:.0f} sends/s and {REPLIES_PER_SECOND:g} replies/s for {bench.duration:.0f} s")
        rooms = await made.create(on.tokens(REPLY_ROOMS))
        asks = [post(on.host, on.port, f"/v1/rooms/{room}/messages", owner, QUESTION) for room, owner in rooms]
        jobs = [
            msgspec.structs.replace(load, seconds=bench.duration, per_second=rate),
            Sends(on.host, on.port, REPLY_ROOMS, bench.duration, asks, REPLIES_PER_SECOND),
        ]
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(in_process(job)) for job in jobs]
            samples = await _samples(on, bench.duration)
        errors = sum(task.result().errors for task in running)
    return result_of(samples, {pid: on.name_of(pid) for pid in samples}, rate, errors)


def result_of(samples: Samples, names: dict[int, str], rate: float, errors: int) -> Result:
    """The slopes in percent an hour; processes that did not live all the time are left out."""
    longest = max(map(len, samples.values()))
    slopes = []
    for pid, several in sorted(samples.items()):
        if len(several) == longest:
            counted = several[int(longest * WARM_UP) :]
            mean = sum(value for _, value in counted) / len(counted)
            found = slope(counted)
            slopes.append((f"{names[pid]} ({pid})", found.per_hour / mean * 100, found.half_width / mean * 100))
    bounded = [one for one in slopes if not one[0].startswith(SERVERS)]
    worst = max(bounded, key=lambda one: one[1] + one[2])
    return Result(
        measure="F12",
        title=f"memory at {rate:.0f} sends/s with {REPLIES_PER_SECOND:g} replies/s",
        criteria=[
            Criterion(
                name=f"steepest slope, upper end of its 95 % interval: {worst[0]}",
                unit="%/h",
                values=[round(worst[1] + worst[2], 2)],
                at_most=1.0,
            )
        ],
        series=[Series(name, "%/h, slope and both ends", [at - half, at, at + half]) for name, at, half in slopes],
        errors=errors,
    )


async def _samples(on: Installation, duration: float) -> Samples:
    found: Samples = {}
    began = time.perf_counter()
    while (now := time.perf_counter() - began) < duration:
        for pid in on.processes(""):
            found.setdefault(pid, []).append((now, float(resident_bytes([pid]))))
        await asyncio.sleep(duration / SAMPLES)
    return found
