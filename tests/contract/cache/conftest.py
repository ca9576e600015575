"""The live store on fakeredis, Valkey and Redis; each test has keys and a partition of its own."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator

import fakeredis
import pytest
from redis.asyncio import Redis

from parlor.cache import hub as hub_module
from parlor.cache import watched as watched_module
from tests.contract.cache.fixtures import CacheFixtures
from tests.contract.cache.hub_readers import RING, Readers, Reading
from tests.servers import PrivateServer, running_redis, valkey_program

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the machine do not reach the tests."""
    for name in list(os.environ):
        if name.startswith("PARLOR_") and not name.startswith("PARLOR_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def valkey() -> Iterator[PrivateServer]:
    with running_redis(valkey_program) as server:
        yield server


@pytest.fixture(scope="session")
def redis7() -> Iterator[PrivateServer]:
    with running_redis(lambda: None) as server:
        yield server


@pytest.fixture(params=["valkey", "redis7"])
def server(request: pytest.FixtureRequest) -> PrivateServer:
    """A real one, for what a fake does not do. It is the session's: stop it and start it again, or leave it running."""
    found: PrivateServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def server_fixtures(server: PrivateServer) -> AsyncIterator[CacheFixtures]:
    fixtures = _fixtures_on(server)
    await fixtures.open()
    yield fixtures
    await fixtures.close()


def _fixtures_on(server: PrivateServer) -> CacheFixtures:
    return CacheFixtures(lambda: Redis.from_url(server.url, protocol=2), server.url, next(_numbers))


@pytest.fixture(params=["fakeredis", "valkey", "redis7"])
async def fixtures(request: pytest.FixtureRequest) -> AsyncIterator[CacheFixtures]:
    """An open partition, its writer's lease, and short ways to do things."""
    if request.param == "fakeredis":
        fake = fakeredis.FakeServer()
        made = CacheFixtures(lambda: fakeredis.FakeAsyncRedis(server=fake, protocol=2), "redis://fake", next(_numbers))
    else:
        made = _fixtures_on(request.getfixturevalue(request.param))
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def reading(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reading]:
    """Makes hubs, and sees that they leave nothing behind."""
    monkeypatch.setattr(hub_module, "RECONNECT_AFTER", 0.01)
    monkeypatch.setattr(watched_module, "RING", RING)
    made: list[Readers] = []
    before = asyncio.all_tasks()

    def make(fixtures: CacheFixtures, recheck_every: float = 60.0, linger: float = 60.0) -> Readers:
        fixtures.live.twice = False
        made.append(Readers(fixtures, recheck_every, linger))
        return made[-1]

    yield make
    for readers in made:
        await readers.hub.close()
    assert {task for task in asyncio.all_tasks() - before if "Hub" in repr(task.get_coro())} == set()
