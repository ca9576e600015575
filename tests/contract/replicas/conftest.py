"""The live store on servers that fail over."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from parlor.cache.clients import connect
from parlor.settings import RedisSettings
from tests.contract.cache.fixtures import CacheFixtures
from tests.redis_groups import Group, cluster_group, sentinel_group
from tests.servers import Unavailable, skip_or_fail, valkey_program

_numbers = itertools.count(1)
ARRANGEMENTS: dict[str, Callable[[], contextlib.AbstractContextManager[Group]]] = {
    "sentinel-redis7": sentinel_group,
    "sentinel-valkey9": lambda: sentinel_group(valkey_program()),
    "cluster-redis7": cluster_group,
    "cluster-valkey9": lambda: cluster_group(valkey_program()),
}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the machine do not reach the tests."""
    for name in list(os.environ):
        if name.startswith("PARLOR_") and not name.startswith("PARLOR_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module", params=ARRANGEMENTS)
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(ARRANGEMENTS[request.param]())
        except Unavailable as error:
            skip_or_fail(str(error))
        yield found


@pytest.fixture
async def fixtures(group: Group) -> AsyncIterator[CacheFixtures]:
    """An open partition, its writer's lease, and short ways to do things."""

    def client() -> Redis:
        if "+cluster:" not in group.url:
            return connect(RedisSettings(url=SecretStr(group.url)))
        # The tests' own client looks at keys of any slot.
        tls = {"ssl": True, **group.tls.options} if group.tls else {}
        return RedisCluster("127.0.0.1", group.primaries[0].port, protocol=2, **tls)  # type: ignore[return-value, arg-type]

    fixtures = CacheFixtures(client, group.url, next(_numbers))
    fixtures.live.twice = False
    await fixtures.open()
    yield fixtures
    await fixtures.close()
    await fixtures.redis.aclose()
