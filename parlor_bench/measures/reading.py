"""Readers of one reply by the thousand, and pages of a large room: F7, F11."""

from __future__ import annotations

import asyncio
import resource

import msgspec

from parlor.cache.clients import connect
from parlor.cache.keys import Keys
from parlor.model.ids import RoomId, home_of
from parlor_bench.installation import Bench, Installation
from parlor_bench.large_room import enlarge
from parlor_bench.load import Sends, exchange, get, post
from parlor_bench.readers import Readers, ReadEvents
from parlor_bench.results import Criterion, Result, Series
from parlor_bench.rooms import Room, Rooms
from parlor_bench.usage import resident_bytes
from parlor_bench.worker import in_process

READERS, GENERATORS = 10_000, 2
SPARE_FILES = 1000
"""Of the connections of HAProxy, which has two files for each and leaves some to itself: at the limit it lets
connections wait, and so would readers (`parlor_cli/haproxy.py` `within`)."""
TOKENS = 40
QUESTION = f"[[tokens={TOKENS} stamp=1 delay=200ms]]"
MESSAGES = 1_000_000
PAGE = 50
REPLICA = "ServeReplica"


async def f7(bench: Bench) -> Result:
    """One reply of five events a second and its readers on one replica: the delay of an event, memory for a reader."""
    on, token = bench.on, bench.on.token("bench-0")
    count = min(READERS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - SPARE_FILES) // GENERATORS * GENERATORS
    replicas = on.processes(REPLICA)
    late: list[float] = []
    lost, per_reader = 0, 0.0
    async with Rooms(on.host, on.port, bench.say) as made:
        for number in range(bench.rounds):
            [(room, _)] = await made.create([token])
            before = resident_bytes(replicas)
            memory, found = await _read(on, room, token, count)
            if number == 0:
                # Later rounds use the memory again.
                per_reader = (memory - before) / count / 1024
            late.append(max(one.p99_ms for one in found))
            lost += count - sum(one.ended for one in found)
            bench.say(f"{count} readers: p99 {late[-1]} ms, {per_reader:.1f} kB for each, {lost} without the end")
    return Result(
        measure="F7",
        title=f"one reply of 5 events/s, {count} readers on one replica",
        criteria=[
            Criterion(name="p99 delay of an event", unit="ms", values=late, at_most=500.0),
            Criterion(
                name="memory of the replica for a reader", unit="kB", values=[round(per_reader, 1)], at_most=20.0
            ),
            Criterion(name="readers that did not see the end", values=[float(lost)], at_most=0.0),
        ],
        series=[Series("delay", "ms, p99", late)],
    )


async def _read(on: Installation, room: str, token: str, count: int) -> tuple[int, list[ReadEvents]]:
    """The memory of the replicas with all streams open, and what each process of readers received."""
    request = get(on.host, on.port, f"/v1/rooms/{room}/events", token, connection="close")
    readers = Readers(on.host, on.port, [request] * (count // GENERATORS))
    opened = [asyncio.Event() for _ in range(GENERATORS)]
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(in_process(readers, event)) for event in opened]
        for event in opened:
            await event.wait()
        memory = resident_bytes(on.processes(REPLICA))
        body = msgspec.json.encode({"content": QUESTION})
        await ask(on, post(on.host, on.port, f"/v1/rooms/{room}/messages", token, body))
    return memory, [task.result() for task in reading]


async def f11(bench: Bench) -> Result:
    """A page of 50 messages: from the cache, and from the database at three places of a room of a million."""
    on, token = bench.on, bench.on.token("bench-0")
    places = {
        "cache": "",
        "first": "&after=0",
        "middle": f"&before={MESSAGES // 2}",
        "last": f"&before={MESSAGES - 500}",
    }
    waits: dict[str, list[float]] = {name: [] for name in places}
    errors = 0
    async with Rooms(on.host, on.port, bench.say) as made:
        [room] = await made.create([token])
        await make_large(on, room, MESSAGES)
        for number in range(bench.rounds + 1):
            for name, place in places.items():
                path = f"/v1/rooms/{room[0]}/messages?limit={PAGE}{place}"
                found = await in_process(Sends(on.host, on.port, 1, 1.0, [get(on.host, on.port, path, token)]))
                errors += found.errors
                if number:  # the first round warms up
                    waits[name].append(found.p50_ms)
                    bench.say(f"page from {name}: p50 {found.p50_ms} p99 {found.p99_ms} ms")
    stored = [[waits[name][number] for name in ("first", "middle", "last")] for number in range(bench.rounds)]
    return Result(
        measure="F11",
        title=f"a page of {PAGE} in a room of {MESSAGES:,} messages",
        criteria=[
            Criterion(name="p50 from the cache", unit="ms", values=waits["cache"], at_most=3.0),
            Criterion(
                name="slowest over fastest place in MariaDB",
                values=[round(max(several) / min(several), 2) for several in stored],
                at_most=1.5,
            ),
        ],
        series=[Series(name, "ms, p50", several) for name, several in waits.items()],
        errors=errors,
    )


async def make_large(on: Installation, room: Room, messages: int) -> None:
    """Gives the room so many messages, in its shard, and makes Redis forget it."""
    body = msgspec.json.encode({"content": "x" * 256, "reply": "none"})
    path = f"/v1/rooms/{room[0]}/messages"
    await ask(on, post(on.host, on.port, path, room[1], body, prefer="durability=persisted"))
    await enlarge(on.databases, room[0], messages)
    keys, partition, name = Keys(on.settings.redis.prefix), home_of(RoomId(room[0])), RoomId(room[0])
    redis = connect(on.settings.redis)
    try:
        kinds = (keys.room, keys.messages, keys.states, keys.open, keys.events)
        await redis.delete(*(kind(partition, name) for kind in kinds))
    finally:
        await redis.aclose()


async def ask(on: Installation, request: bytes) -> bytes:
    """Raises ``RuntimeError`` when the answer is no success."""
    reader, writer = await asyncio.open_connection(on.host, on.port)
    try:
        status, body = await exchange(reader, writer, request)
    finally:
        writer.close()
    if not 200 <= status < 300:
        raise RuntimeError(f"{status} {body[:300]!r}")
    return body
