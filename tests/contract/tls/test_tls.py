"""TLS to Redis and to the databases: the server's certificate is checked, by the authority that is configured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from parlor.cache.server_check import check_server
from parlor.errors import CacheUnavailable, StoreUnavailable
from parlor.model.ids import AccountId, ShardId
from parlor.settings import RedisSettings, StoreSettings
from parlor.store.migrations import migrate, open_store
from parlor_cli.server_errors import database_refusal, redis_refusal
from tests.servers import Unavailable, free_ports, mysql_server, redis_server, running, short_directory, skip_or_fail
from tests.tls import Authority

pytestmark = pytest.mark.contract

VERIFY_FAILED = "certificate verify failed"


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with short_directory() as made:
        yield made


@pytest.fixture(scope="module")
def authority(directory: Path) -> Authority:
    return Authority(directory, "ours")


@pytest.fixture(scope="module")
def stranger(directory: Path) -> Authority:
    return Authority(directory, "theirs")


@pytest.fixture(scope="module")
def redis_port(directory: Path, authority: Authority) -> Iterator[int]:
    """A Redis that speaks TLS on this port, certified as localhost."""
    certificate, key = authority.certify("localhost")
    (port,) = free_ports(1)
    tls = {"tls-port": port, "tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": authority.ca}
    options = {**tls, "tls-auth-clients": "no", "bind": "127.0.0.1"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    (directory / "redis").mkdir()
    try:
        server = redis_server(directory / "redis", None, *words)
    except Unavailable as error:
        skip_or_fail(str(error))
    with running(server):
        yield port


@pytest.fixture(scope="module")
def mysql_port(directory: Path, authority: Authority) -> Iterator[int]:
    """A MariaDB that takes nothing but TLS on this port, certified as localhost."""
    certificate, key = authority.certify("localhost")
    (port,) = free_ports(1)
    tls = {"ssl-ca": authority.ca, "ssl-cert": certificate, "ssl-key": key, "require-secure-transport": "ON"}
    options = {**tls, "port": port, "bind-address": "127.0.0.1", "skip-networking": "OFF"}
    words = [f"--{name}={value}" for name, value in options.items()]
    (directory / "mysql").mkdir()
    try:
        server = mysql_server(directory / "mysql", *words)
    except Unavailable as error:
        skip_or_fail(str(error))
    with running(server):
        yield port


def redis(port: int, *, host: str = "localhost", scheme: str = "rediss", ca: Path | None = None) -> RedisSettings:
    options = "" if ca is None else f"?ssl_ca_certs={ca}"
    return RedisSettings(url=SecretStr(f"{scheme}://{host}:{port}/0{options}"))


def database(port: int, *, host: str = "localhost", options: str = "") -> StoreSettings:
    return StoreSettings(urls=(SecretStr(f"mysql://root@{host}:{port}/tls?{options}"),), partitions=1)


async def test_redis_is_used_when_its_certificate_is_good(redis_port: int, authority: Authority) -> None:
    report = await check_server(redis(redis_port, ca=authority.ca))
    assert report.warnings == []


@pytest.mark.parametrize("case", ["another authority", "the machine's authorities", "another name", "no TLS"])
async def test_redis_is_refused_otherwise_and_it_is_said_why(
    redis_port: int, authority: Authority, stranger: Authority, case: str
) -> None:
    settings, reason = {
        "another authority": (redis(redis_port, ca=stranger.ca), VERIFY_FAILED),
        "the machine's authorities": (redis(redis_port), VERIFY_FAILED),
        "another name": (redis(redis_port, host="127.0.0.1", ca=authority.ca), VERIFY_FAILED),
        "no TLS": (redis(redis_port, scheme="redis"), "Connection"),
    }[case]
    with pytest.raises(CacheUnavailable) as refused:
        await check_server(settings)
    message = redis_refusal(settings, refused.value).message
    assert reason in message
    assert f"{'redis' if case == 'no TLS' else 'rediss'}://" in message


async def test_a_database_is_used_when_its_certificate_is_good(mysql_port: int, authority: Authority) -> None:
    settings = database(mysql_port, options=f"ssl_ca={authority.ca}")
    await migrate(settings)
    store = await open_store(settings)
    try:
        assert (await store.open_account(AccountId("ada"))).account_id == "ada"
        await store.ping(ShardId(1))
    finally:
        await store.close()


@pytest.mark.parametrize("case", ["another authority", "the machine's authorities", "another name", "no TLS"])
async def test_a_database_is_refused_otherwise_and_it_is_said_why(
    mysql_port: int, authority: Authority, stranger: Authority, case: str
) -> None:
    settings, reason = {
        "another authority": (database(mysql_port, options=f"ssl_ca={stranger.ca}"), VERIFY_FAILED),
        "the machine's authorities": (database(mysql_port, options="ssl=true"), VERIFY_FAILED),
        "another name": (database(mysql_port, host="127.0.0.1", options=f"ssl_ca={authority.ca}"), VERIFY_FAILED),
        "no TLS": (database(mysql_port), "a database cannot be used"),
    }[case]
    with pytest.raises(StoreUnavailable) as refused:
        await migrate(settings)
    assert reason in database_refusal(refused.value).message
