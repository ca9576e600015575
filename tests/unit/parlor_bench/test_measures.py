"""What measures compute from their samples."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from demo_model.http import Connection, Request
from parlor_bench.catalogue import MEASURES, ON_DEMAND
from parlor_bench.load import get
from parlor_bench.measures.soaking import result_of
from parlor_bench.measures.storing import until_empty
from parlor_bench.readers import Readers
from parlor_bench.usage import processor_seconds, resident_bytes
from parlor_bench.worker import in_process
from tests.unit.parlor_bench.http_peer import serving

pytestmark = pytest.mark.unit

MB = 1024.0 * 1024


async def test_the_clock_of_a_drain_starts_before_the_first_batch_is_done() -> None:
    depths, moments = iter([1000, 950, 90, 0]), iter([3.0, 5.0])

    async def depth() -> int:
        return next(depths)

    assert await until_empty(depth, lambda: next(moments)) == (1000, 500.0)


def test_the_steepest_process_counts_and_servers_and_short_lives_do_not() -> None:
    def grows(by: float) -> list[tuple[float, float]]:
        """MB for each hour, of 100 MB."""
        return [(second * 36.0, (100 + by * second / 100) * MB) for second in range(100)]

    samples = {1: grows(0.5), 2: grows(3.0), 3: grows(50.0), 4: grows(90.0)[:50]}
    names = {1: "ray::RoomActor", 2: "ray::ShardWriter", 3: "redis-server", 4: "ray::IDLE"}
    found = result_of(samples, names, 700.0, 2)
    [criterion] = found.criteria
    assert "ray::ShardWriter (2)" in criterion.name
    assert criterion.values == [pytest.approx(3.0, rel=0.05)]
    assert not criterion.met
    assert [series.name for series in found.series] == [
        "ray::RoomActor (1)",
        "ray::ShardWriter (2)",
        "redis-server (3)",
    ]
    assert found.errors == 2


def test_the_use_of_a_process_is_read_and_one_that_is_gone_uses_nothing() -> None:
    assert resident_bytes([os.getpid()]) > MB
    assert processor_seconds([os.getpid()]) > 0
    assert (resident_bytes([2**22 + 1]), processor_seconds([2**22 + 1])) == (0, 0.0)


def test_every_measure_has_a_name_and_says_what_it_is() -> None:
    assert all(name.startswith("F") and measure.__doc__ for name, measure in MEASURES.items())
    assert set(ON_DEMAND) <= set(MEASURES)


async def test_readers_are_ready_when_all_are_open_and_take_the_time_of_each_token() -> None:
    begun, streams = asyncio.Event(), list[Connection]()

    async def stream(request: Request, connection: Connection) -> None:
        connection.begin({"Content-Type": "text/event-stream"})
        await connection.write([b": here\n\n"])
        streams.append(connection)
        await begun.wait()
        stamp = int(time.time() * 1000) - 50
        token = b'id: 1-1\nevent: message.delta\ndata: {"offset":0,"text":"%d "}\n\n' % stamp
        await connection.write([token[:40]])
        await connection.write([token[40:], b"id: 1-2\nevent: message.completed\ndata: {}\n\n"])
        connection.end()

    async with serving(stream) as port:
        ready = asyncio.Event()
        request = get("127.0.0.1", port, "/v1/rooms/r/events", "token", connection="close")
        reading = asyncio.create_task(in_process(Readers("127.0.0.1", port, [request] * 5), ready))
        await ready.wait()
        assert len(streams) == 5
        begun.set()
        found = await reading
    assert (found.readers, found.events, found.ended) == (5, 5, 5)
    assert 50 <= found.p50_ms <= found.p99_ms
