"""What a server's settings would lose is said at start-up."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from parlor.cache.server_check import check_server
from parlor.errors import CacheUnavailable
from parlor.settings import RedisSettings
from tests.servers import private_redis

pytestmark = pytest.mark.contract


async def test_a_server_that_loses_nothing_gives_no_warning(tmp_path_factory: pytest.TempPathFactory) -> None:
    with private_redis(tmp_path_factory.mktemp("r")) as url:
        report = await check_server(RedisSettings(url=SecretStr(url)))
    assert report.warnings == []
    assert int(report.version.split(".")[0]) >= 7


@pytest.mark.parametrize(
    ("setting", "value"), [("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")]
)
async def test_a_setting_that_may_lose_something_is_named(
    tmp_path_factory: pytest.TempPathFactory, setting: str, value: str
) -> None:
    with private_redis(tmp_path_factory.mktemp("r")) as url:
        client = Redis.from_url(url)
        await client.config_set(setting, value)
        await client.aclose()
        report = await check_server(RedisSettings(url=SecretStr(url)))
    assert [warning.split()[0] for warning in report.warnings] == [setting]


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(CacheUnavailable):
        await check_server(RedisSettings(url=SecretStr(f"unix://{tmp_path}/none.sock")))
