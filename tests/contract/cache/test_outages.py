"""The shared pipeline on a server that hangs, dies, restarts, forgets scripts or has no memory left (P7)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr

from parlor.cache.clients import connect
from parlor.cache.connection import ScriptPipeline
from parlor.cache.loader import load
from parlor.errors import CacheUnavailable, InternalError
from parlor.settings import RedisSettings
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures
from tests.servers import PrivateServer

pytestmark = pytest.mark.contract


@pytest.fixture
async def pipeline(server: PrivateServer) -> AsyncIterator[ScriptPipeline]:
    """With a limit that only a server that is not there exceeds: a busy machine may take a second for 600 answers."""
    made = _pipeline(server, 30.0)
    yield made
    await made.close()


@pytest.fixture
async def hasty(server: PrivateServer) -> AsyncIterator[ScriptPipeline]:
    """For a server that hangs."""
    made = _pipeline(server, 1.0)
    yield made
    await made.close()


def _pipeline(server: PrivateServer, seconds: float) -> ScriptPipeline:
    settings = RedisSettings(url=SecretStr(server.url), command_timeout=timedelta(seconds=seconds))
    return ScriptPipeline(connect(settings), settings)


async def claim(pipeline: ScriptPipeline, prefix: str) -> object:
    keys = {name: f"{prefix}:{name}" for name in ("partition", "generating", "room", "states", "open")}
    return await pipeline.run(load("claim_room"), keys, {"room": "r", "claim": "c", "ticket": 0, "installation": "i"})


async def test_a_server_that_hangs_is_answered_in_time_and_no_reply_is_mixed_up(
    server: PrivateServer, hasty: ScriptPipeline
) -> None:
    await asyncio.gather(*(hasty.read("ECHO", f"before {number}") for number in range(4)))
    server.signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            refused = await asyncio.gather(
                *(hasty.read("ECHO", f"lost {number}") for number in range(4)), return_exceptions=True
            )
    finally:
        server.signal(signal.SIGCONT)
    assert {type(error) for error in refused} == {CacheUnavailable}
    for number in range(20):
        assert await hasty.read("ECHO", f"after {number}") == f"after {number}".encode()


async def test_callers_that_go_away_mix_up_no_replies(pipeline: ScriptPipeline) -> None:
    for number in range(50):
        callers = [asyncio.create_task(pipeline.read("ECHO", f"{number} {place}")) for place in range(6)]
        for _ in range(number % 5):
            await asyncio.sleep(0)
        for gone in callers[::2]:
            gone.cancel()
        found = await asyncio.gather(*callers, return_exceptions=True)
        for place in (1, 3, 5):
            assert found[place] == f"{number} {place}".encode()


async def test_a_server_that_is_down_is_unavailable_at_once_and_back_when_it_is_back(
    server: PrivateServer, pipeline: ScriptPipeline
) -> None:
    assert await pipeline.read("ECHO", "x") == b"x"
    server.kill()
    try:
        async with asyncio.timeout(5):
            for _ in range(3):
                with pytest.raises(CacheUnavailable) as refused:
                    await pipeline.read("ECHO", "x")
                assert refused.value.retry_after is not None
    finally:
        server.start()
    assert await pipeline.read("ECHO", "x") == b"x"


async def test_idle_connections_outlive_a_restart(server: PrivateServer, pipeline: ScriptPipeline) -> None:
    await asyncio.gather(*(pipeline.read("ECHO", "x") for _ in range(600)))
    server.stop()
    server.start()
    found = await asyncio.gather(*(pipeline.read("ECHO", str(number)) for number in range(600)))
    assert found == [str(number).encode() for number in range(600)]


async def test_scripts_that_the_server_forgot_are_loaded_again(server: PrivateServer, pipeline: ScriptPipeline) -> None:
    assert await claim(pipeline, "forgot") == [-9]
    await pipeline.read("SCRIPT", "FLUSH")
    found = await asyncio.gather(*(claim(pipeline, "forgot") for _ in range(20)))
    assert found == [[-9]] * 20


async def test_a_server_without_memory_is_unavailable_and_nothing_is_half_written(
    server_fixtures: CacheFixtures,
) -> None:
    fixtures = server_fixtures
    address = await fixtures.claimed()
    before = await fixtures.dump()
    await fixtures.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(CacheUnavailable):
            await fixtures.send(address, 0)
        with pytest.raises(CacheUnavailable):
            await fixtures.created()
    finally:
        await fixtures.redis.config_set("maxmemory", 0)
    assert await fixtures.dump() == before
    await fixtures.send(address, 0)


async def test_a_server_that_takes_no_writes_is_unavailable(server_fixtures: CacheFixtures) -> None:
    fixtures = server_fixtures
    address = await fixtures.claimed()
    await fixtures.redis.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(CacheUnavailable):
            await fixtures.send(address, 0)
        assert (await fixtures.room(address)).last_seq == 0
    finally:
        await fixtures.redis.replicaof("NO", "ONE")


async def test_a_fault_of_ours_is_no_outage(server_fixtures: CacheFixtures) -> None:
    fixtures = server_fixtures
    address = fixtures.address()
    await fixtures.redis.set(fixtures.key("room", address), "not a hash")
    with pytest.raises(InternalError) as fault:
        await fixtures.rooms.claim(address.room_id, CLAIM_1, 0)
    assert "claim_room" in fault.value.debug
    with pytest.raises(InternalError):
        await fixtures.live.pipeline.read("HGET", fixtures.key("room", address), "state")


async def test_durability_survives_the_death_of_the_server(
    server: PrivateServer, server_fixtures: CacheFixtures
) -> None:
    fixtures = server_fixtures
    address = await fixtures.claimed()
    await fixtures.sent(address, 3)
    before = await fixtures.dump()
    await fixtures.redis.connection_pool.disconnect()
    server.kill()
    server.start()
    assert await fixtures.dump() == before
