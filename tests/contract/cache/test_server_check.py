"""What a server's settings would lose is said at start-up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from parlor.cache.loader import all_names, load
from parlor.cache.server_check import OWN_COMMANDS, ServerReport, check_server, commands
from parlor.errors import CacheUnavailable, InvalidRequest
from parlor.settings import RedisSettings
from tests.servers import private_redis, private_valkey

pytestmark = pytest.mark.contract

OPERATIONS = Path(__file__).parents[3] / "docs/OPERATIONS.md"


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


# What the server refuses its user

PASSWORD = "hunter2"
EVERY_RIGHT = ["+@all", "~parlor:*", "&parlor:*"]


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    started = private_redis if request.param == "redis" else private_valkey
    with started(tmp_path_factory.mktemp("r")) as url:
        yield url


async def check_as(url: str, *rules: str, password: str = PASSWORD) -> ServerReport:
    """What the check says to a user with these rights."""
    client = Redis.from_url(url)
    await client.execute_command(  # type: ignore[no-untyped-call] # redis-py's own
        "ACL", "SETUSER", "limited", "reset", "on", f">{PASSWORD}", *rules
    )
    await client.aclose()
    secret = SecretStr(url.replace("unix://", f"unix://limited:{password}@"))
    return await check_server(RedisSettings(url=secret))


async def test_a_user_with_every_right_is_enough(server: str) -> None:
    assert (await check_as(server, *EVERY_RIGHT)).warnings == []


def documented_rules() -> list[str]:
    rules = re.search(r"`ACL SETUSER chat on >password ([^`]+)`", OPERATIONS.read_text(encoding="utf-8"))
    assert rules is not None
    return rules[1].split()


async def test_the_rights_that_the_documents_name_are_enough(server: str) -> None:
    report = await check_as(server, *documented_rules())
    assert all("settings cannot be read" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    "command",
    ["CONFIG GET *", "KEYS *", "FLUSHALL", "SCRIPT KILL", "SCRIPT FLUSH", "SHUTDOWN", "ACL LIST"],
)
async def test_the_rights_that_the_documents_name_are_no_more_than_that(server: str, command: str) -> None:
    await check_as(server, *documented_rules())
    client = Redis.from_url(server.replace("unix://", f"unix://limited:{PASSWORD}@"))
    try:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command.split())  # type: ignore[no-untyped-call] # redis-py's own
        with pytest.raises(NoPermissionError):
            await client.get("others:key")
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (["-xadd", "-zadd"], "XADD, ZADD on keys"),
        (["-xgroup|create"], "XGROUP CREATE on keys"),
        (["-xreadgroup"], "XREADGROUP on keys"),
        (["-subscribe"], "SUBSCRIBE on keys"),
        (["-evalsha"], "'evalsha'"),
        (["-script|load"], "'script|load'"),
        (["-info"], "'info'"),
        (["resetkeys", "~other:*"], "begin with parlor:"),
        (["resetchannels"], "PUBLISH, SUBSCRIBE"),
    ],
)
async def test_a_right_that_is_missing_is_named(server: str, rules: list[str], named: str) -> None:
    with pytest.raises(InvalidRequest, match="It refuses its user a right: ") as caught:
        await check_as(server, *EVERY_RIGHT, *rules)
    assert named in caught.value.detail


async def test_a_wrong_password_is_said_to_be_one(server: str) -> None:
    with pytest.raises(InvalidRequest, match="It refuses the user or the password: ") as caught:
        await check_as(server, *EVERY_RIGHT, password="wrong")
    assert PASSWORD not in caught.value.detail


def test_every_command_of_a_script_is_among_those_that_are_asked_for() -> None:
    found = commands()
    assert {"HSET", "XADD", "PUBLISH", "XGROUP CREATE", "EVALSHA", "SCRIPT LOAD"} <= set(found)
    called = {name for script in all_names() for name in re.findall(r"call\('([A-Za-z]+)'", load(script).source)}
    assert called == {command.split()[0] for command in found} - {name.split()[0] for name in OWN_COMMANDS} | (
        called & {name.split()[0] for name in OWN_COMMANDS}
    )
