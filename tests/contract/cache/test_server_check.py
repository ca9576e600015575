"""What a server's settings would lose is said at start-up."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from parlor.cache.loader import all_names, load
from parlor.cache.server_check import OWN_COMMANDS, ServerReport, check_server, commands
from parlor.errors import CacheUnavailable, InvalidRequest
from parlor.settings import RedisSettings
from parlor_cli.servers import redis as private
from parlor_cli.servers.managed import ManagedServer
from tests.servers import private_redis, private_valkey, short_directory, valkey_program

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
REFUSED = ["CONFIG GET *", "KEYS *", "FLUSHALL", "SCRIPT KILL", "SCRIPT FLUSH", "SHUTDOWN", "ACL LIST"]
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


@pytest.fixture(params=["redis", "valkey"])
def with_users(request: pytest.FixtureRequest) -> Iterator[ManagedServer]:
    """A server as `parlor up` starts it, on data that one without users has left."""
    started = private_redis if request.param == "redis" else private_valkey
    with short_directory() as directory:
        with started(directory) as url, SyncRedis.from_url(url) as client:
            both_written(client, "old")
        users, socket = directory / "users.acl", directory / "again.sock"
        users.write_text(private.users(PASSWORD, "admin's", "parlor"))
        binary = shutil.which("redis-server") if request.param == "redis" else valkey_program()
        assert binary is not None
        plan = private.plan(
            binary, directory=directory, socket_path=socket, log=directory / "log", users_file=users, password=PASSWORD
        )
        server = ManagedServer(plan)
        try:
            yield server
        finally:
            server.server.stop()


def both_written(client: SyncRedis, name: str) -> None:
    """Two keys, by a script: a transaction of the append-only file."""
    client.eval("redis.call('SET', KEYS[1], 'kept') redis.call('SET', KEYS[2], 'kept')", 2, *keys_of(name))


def keys_of(name: str) -> list[str]:
    return [f"parlor:{name}:{number}" for number in (1, 2)]


def socket_of(server: ManagedServer) -> Path:
    words = server.plan.command
    return Path(words[words.index("--unixsocket") + 1])


def test_nothing_is_lost_when_the_private_server_is_killed_although_it_has_users(with_users: ManagedServer) -> None:
    own = private.socket_url(socket_of(with_users), private.USER, PASSWORD)
    with SyncRedis.from_url(own) as client:
        both_written(client, "new")
    os.kill(with_users.server.ref.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while with_users.check() is None or not with_users.server.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with SyncRedis.from_url(own) as client:
        assert client.mget([*keys_of("old"), *keys_of("new")]) == [b"kept"] * 4


async def test_the_private_server_lets_parlor_do_what_it_needs_and_nobody_else_anything(
    with_users: ManagedServer,
) -> None:
    socket = socket_of(with_users)
    own = private.socket_url(socket, private.USER, PASSWORD)
    admin = private.socket_url(socket, private.ADMIN, "admin's")
    settings = RedisSettings(url=SecretStr(own))
    assert (await check_server(settings, RedisSettings(url=SecretStr(admin)))).warnings == []
    assert any("cannot be read" in warning for warning in (await check_server(settings)).warnings)
    with SyncRedis.from_url(own) as client:
        assert client.ping()
        for command in REFUSED:
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.split())
    for nobody in (f"unix://{socket}", private.socket_url(socket, "default", "")):
        with SyncRedis.from_url(nobody) as client, pytest.raises(AuthenticationError):
            client.ping()


def test_the_private_server_has_the_rights_that_the_documents_name() -> None:
    assert ["~parlor:*", "&parlor:*", *private.RULES.split()] == documented_rules()


def documented_rules() -> list[str]:
    rules = re.search(r"`ACL SETUSER chat on >password ([^`]+)`", OPERATIONS.read_text(encoding="utf-8"))
    assert rules is not None
    return rules[1].split()


async def test_the_rights_that_the_documents_name_are_enough(server: str) -> None:
    report = await check_as(server, *documented_rules())
    assert all("settings cannot be read" in warning for warning in report.warnings)


@pytest.mark.parametrize("command", REFUSED)
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
    assert {"PUBSUB NUMSUB", "INFO"} & {*commands()} == {"PUBSUB NUMSUB"}
    assert {"PUBSUB NUMSUB", "INFO"} & {*commands(replicated=True)} == {"INFO"}
    found = {*commands(), *commands(replicated=True)}
    assert {"HSET", "XADD", "PUBLISH", "XGROUP CREATE", "EVALSHA", "SCRIPT LOAD"} <= found
    called = {name for script in all_names() for name in re.findall(r"call\('([A-Za-z]+)'", load(script).source)}
    assert called == {command.split()[0] for command in found} - {name.split()[0] for name in OWN_COMMANDS} | (
        called & {name.split()[0] for name in OWN_COMMANDS}
    )
