"""Hundreds of readers on one replica: they share its connections to Redis, cost nothing while nothing happens, and a
reader who does not read is let go without loss."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from parlor_bench.event_stream import EventConnection, RawEvent, opened
from parlor_bench.load import get
from tests.installation import Installation
from tests.integration.user import User, of
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("embedded",)
"""What is counted here does not depend on whose Redis it is."""

READERS = 500
ROOMS = 50
QUIET = 6.0
"""Seconds: longer than the hub's recheck, shorter than two of them."""
RECHECK = 5.0
LARGE = "x" * 32_000
LARGE_MESSAGES = 400
"""About 13 MB: more than all buffers between the replica and a reader who does not read."""
STALL = 30.0
"""Seconds after which such a reader is cut off (``api.sse``)."""


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def replica_of(installation: Installation) -> int:
    """The process of the installation's only replica."""
    ours = f"PARLOR_RUNTIME_DIR={installation.runtime_dir}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"ServeReplica" in (process / "cmdline").read_bytes() and ours in (process / "environ").read_bytes():
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or another user's
    assert len(found) == 1, found
    return found[0]


async def connections(redis: Redis) -> int:
    """How many connections Parlor's own clients have."""
    return sum(client["name"] == "parlor" for client in await redis.client_list())


async def range_reads(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_xrange", {}).get("calls", 0))


async def first_event(connection: EventConnection) -> RawEvent:
    async for events in connection.batches():
        return events[0]
    raise AssertionError("the stream ended without an event")


@pytest.fixture
async def readers(
    installation: Installation, user: User, redis: Redis
) -> AsyncIterator[tuple[list[str], list[list[EventConnection]], int]]:
    """Rooms, the open streams of each, and the connections to Redis before there was any stream."""
    rooms = await asyncio.gather(*(user.create_room() for _ in range(ROOMS)))
    for room in rooms:
        # A commit wakes whoever watches the room.
        await eventually(partial(user.get, of(room)), lambda found: found["state"] == "ACTIVE")
    before = await connections(redis)
    token = installation.token(user.account)
    async with AsyncExitStack() as stack:

        async def enter(room: str) -> EventConnection:
            request = get("127.0.0.1", installation.port, f"{of(room)}/events", token, connection="close")
            return await stack.enter_async_context(opened("127.0.0.1", installation.port, request))

        streams = [[await enter(room) for _ in range(READERS // ROOMS)] for room in rooms]
        yield rooms, streams, before


async def test_many_readers_share_a_few_connections_and_do_not_poll(
    installation: Installation,
    user: User,
    redis: Redis,
    readers: tuple[list[str], list[list[EventConnection]], int],
) -> None:
    rooms, streams, before = readers
    # The listener and what the pipeline had not opened yet; not one for each reader, and not one for each room.
    assert await connections(redis) - before <= 4

    replica = replica_of(installation)
    reads, used = await range_reads(redis), processor_seconds(replica)
    await asyncio.sleep(QUIET)  # it is the absence of something that is measured
    reads, used = await range_reads(redis) - reads, processor_seconds(replica) - used
    print(f"{READERS} idle readers of {ROOMS} rooms: {reads} reads and {used:.2f} s of processor time in {QUIET:g} s")
    # Of each log the rechecks; and whoever looks how deep each partition's queue is.
    assert reads <= ROOMS * (QUIET // RECHECK + 1) + 2 * installation.settings.store.partitions
    assert used < QUIET / 4

    waiting = [[asyncio.create_task(first_event(stream)) for stream in several] for several in streams]
    reads = await range_reads(redis)
    notes = [await user.note(room, "for all") for room in rooms]
    for note, several in zip(notes, waiting, strict=True):
        for event in await asyncio.gather(*several):
            assert event.type == "message.created"
            assert note["message_id"].encode() in event.data
    # Each log is read once for all of its readers, not once for each of them.
    assert await range_reads(redis) - reads < READERS


@pytest.mark.timeout(150, func_only=True)
async def test_a_reader_who_does_not_read_is_cut_off_and_resumes_without_loss(
    installation: Installation, user: User
) -> None:
    room = await user.create_room()
    begin = (await user.messages(room))["cursor"]
    token, address = installation.token(user.account), ("127.0.0.1", installation.port)
    for _ in range(LARGE_MESSAGES // 40):
        await asyncio.gather(*(user.note(room, LARGE) for _ in range(40)))

    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(lazy, address)
        await loop.sock_sendall(lazy, get(*address, f"{of(room)}/events?after={begin}", token, connection="close"))
        await asyncio.sleep(STALL + 10)  # the time that passes is what the stream ends for
        reader, writer = await asyncio.open_connection(sock=lazy.dup())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        late = EventConnection(reader)
        seen = [event async for events in late.batches() for event in events]
        writer.close()
    assert not late.whole
    assert 0 < len(seen) < LARGE_MESSAGES
    print(f"{len(seen)} of {LARGE_MESSAGES} events were under way when it was cut off")

    again = get(*address, f"{of(room)}/events", token, last_event_id=seen[-1].id, connection="close")
    async with opened(*address, again) as resumed:
        async for events in resumed.batches():
            seen += events
            if len(seen) >= LARGE_MESSAGES:
                break
    assert [event.position for event in seen] == sorted({event.position for event in seen})
    written = [message["message_id"] for message in await user.history(room)]
    assert [event.data.partition(b'"message_id":"')[2][:36].decode() for event in seen] == written
    assert len(written) == LARGE_MESSAGES
