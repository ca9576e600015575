"""Rooms and streams at rest, and a start: F9, F10, F13."""

from __future__ import annotations

import asyncio
import time

from parlor.cache.clients import connect
from parlor.cache.keys import Keys
from parlor.model.ids import RoomId, home_of
from parlor_bench.compare import BODY
from parlor_bench.installation import Bench, Installation
from parlor_bench.load import exchange, get, percentile, post
from parlor_bench.measures.reading import REPLICA
from parlor_bench.readers import Readers
from parlor_bench.results import Criterion, Result, Series
from parlor_bench.rooms import Room, Rooms
from parlor_bench.usage import processor_seconds, resident_bytes
from parlor_bench.worker import in_process

ROOMS = 100
IDLE_AFTER = 2
PASSIVE_SECONDS = 60.0
LOOK_SECONDS = 0.5
MANY = 2000
"""Rooms, and streams, whose memory is measured."""
FEW = 200
"""As many before them: what a process needs for the first ones it needs once."""
SETTLE_SECONDS, IDLE_SECONDS = 20.0, 30.0
STARTS = 3
ACTORS = ("ray::RoomActor", "ray::ShardWriter", "ray::Supervisor", "ray::StateMachine", REPLICA)


async def f9(bench: Bench) -> Result:
    """The first send into a room that its actor has let go, above one into a room that it holds."""
    cold, warm = list[float](), list[float]()
    async with bench.start({"PARLOR_ROOMS__IDLE_AFTER": str(IDLE_AFTER)}) as on:
        tokens = on.tokens()
        async with Rooms(on.host, on.port, bench.say) as made:
            rooms = await made.create(tokens)
            await send_each(on, rooms)
            for _ in range(bench.rounds):
                await _until_passive(on, rooms)
                cold.append(percentile(await send_each(on, rooms), 0.99))
                warm.append(percentile(await send_each(on, rooms), 0.99))
                bench.say(f"p99 of a send into a passivated room {cold[-1]:.1f} ms, into a warm one {warm[-1]:.1f} ms")
    above = [round(one - other, 2) for one, other in zip(cold, warm, strict=True)]
    return Result(
        measure="F9",
        title="first send into a passivated room",
        criteria=[Criterion(name="p99 above a warm room's", unit="ms", values=above, at_most=5.0)],
        series=[Series("passivated", "ms, p99", cold), Series("warm", "ms, p99", warm)],
    )


async def send_each(on: Installation, rooms: list[Room]) -> list[float]:
    """Milliseconds of a send into each room, one after the other on one connection, sorted."""
    found = []
    reader, writer = await asyncio.open_connection(on.host, on.port)
    try:
        for room, token in rooms:
            began = time.perf_counter()
            status, body = await exchange(
                reader, writer, post(on.host, on.port, f"/v1/rooms/{room}/messages", token, BODY)
            )
            found.append((time.perf_counter() - began) * 1000)
            if status != 201:
                raise RuntimeError(f"{status} {body[:300]!r}")
    finally:
        writer.close()
    return sorted(found)


async def _until_passive(on: Installation, rooms: list[Room]) -> None:
    """Waits until no room is claimed. Raises ``TimeoutError``."""
    redis, keys = connect(on.settings.redis), Keys(on.settings.redis.prefix)
    names = [keys.room(home_of(RoomId(room)), RoomId(room)) for room, _ in rooms]
    try:
        async with asyncio.timeout(PASSIVE_SECONDS):
            while True:
                async with redis.pipeline(transaction=False) as pipeline:
                    for name in names:
                        pipeline.hget(name, "claim")
                    if not any(await pipeline.execute()):
                        return
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        await redis.aclose()


async def f10(bench: Bench) -> Result:
    """The memory of an active room that nothing happens in, and of an open stream."""
    async with bench.start({"PARLOR_ROOMS__OWN_ACTORS": "0"}) as on, Rooms(on.host, on.port, bench.say) as made:
        tokens = on.tokens()
        actors, replicas = on.processes("ray::RoomActor"), on.processes(REPLICA)
        await send_each(on, await made.create([tokens[number % len(tokens)] for number in range(FEW)]))
        before = resident_bytes(actors)
        rooms = await made.create([tokens[number % len(tokens)] for number in range(MANY)])
        await send_each(on, rooms)
        room_kb = (resident_bytes(actors) - before) / MANY / 1024
        requests = [
            get(on.host, on.port, f"/v1/rooms/{room}/events", token, connection="close") for room, token in rooms
        ]
        few, many = asyncio.Event(), asyncio.Event()
        reading = []
        try:
            for chosen, ready in ((requests[:FEW], few), (requests, many)):
                before = resident_bytes(replicas)
                reading.append(asyncio.create_task(in_process(Readers(on.host, on.port, chosen), ready)))
                await ready.wait()
            stream_kb = (resident_bytes(replicas) - before) / MANY / 1024
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
    return Result(
        measure="F10",
        title=f"memory of {MANY} rooms and of {MANY} streams",
        criteria=[
            Criterion(name="an active idle room", unit="kB", values=[round(room_kb, 1)], at_most=8.0),
            Criterion(name="an open stream", unit="kB", values=[round(stream_kb, 1)], at_most=20.0),
        ],
        series=[Series("room", "kB", [round(room_kb, 1)]), Series("stream", "kB", [round(stream_kb, 1)])],
    )


async def f13(bench: Bench) -> Result:
    """The start of `parlor up` on a new directory with its default servers, and what it uses when nothing happens."""
    starts, ours, whole = list[float](), list[float](), list[float]()
    for _ in range(min(STARTS, bench.rounds)):
        began = time.perf_counter()
        async with bench.start({}, servers="embedded") as on:
            starts.append(round(time.perf_counter() - began, 2))
            await asyncio.sleep(SETTLE_SECONDS)
            groups = [pid for name in ACTORS for pid in on.processes(name)], on.processes("")
            before = [processor_seconds(pids) for pids in groups]
            await asyncio.sleep(IDLE_SECONDS)
            used = [processor_seconds(pids) - start for pids, start in zip(groups, before, strict=True)]
            ours.append(round(used[0] / IDLE_SECONDS * 100, 2))
            whole.append(round(used[1] / IDLE_SECONDS * 100, 2))
            bench.say(f"start {starts[-1]} s; idle: Parlor's actors {ours[-1]} %, all {whole[-1]} % of a core")
    return Result(
        measure="F13",
        title="start, and processor time when nothing happens",
        criteria=[
            Criterion(name="start of `parlor up`", unit="s", values=starts, at_most=8.0),
            Criterion(name="Parlor's own actors, idle", unit="% of a core", values=ours, at_most=3.0),
            Criterion(name="the whole, idle", unit="% of a core", values=whole, at_most=12.0),
        ],
        series=[
            Series("start", "s", starts),
            Series("own actors", "% of a core", ours),
            Series("all", "% of a core", whole),
        ],
    )
