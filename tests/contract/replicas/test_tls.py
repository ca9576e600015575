"""TLS to servers that fail over: to sentinels, to every node, and to the one that is promoted, with certificates on
both sides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from parlor.cache.cluster import open_pipeline
from parlor.cache.server_check import check_server
from parlor.errors import CacheUnavailable
from parlor.settings import RedisSettings
from tests.contract.cache.fixtures import CacheFixtures
from tests.contract.cache.test_keys_touched import everything
from tests.contract.replicas.test_fail_over import fail_over
from tests.redis_groups import Group, Tls, cluster_group, sentinel_group
from tests.servers import Unavailable, skip_or_fail
from tests.tls import Authority

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120)]

ARRANGEMENTS: dict[str, Callable[[None, Tls], contextlib.AbstractContextManager[Group]]] = {
    "sentinel": sentinel_group,
    "cluster": cluster_group,
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def tls(directory: Path) -> Tls:
    authority = Authority(directory, "ours")
    return Tls(authority.ca, *authority.certify("127.0.0.1"))


@pytest.fixture(scope="module", params=ARRANGEMENTS)
def group(request: pytest.FixtureRequest, tls: Tls) -> Iterator[Group]:
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(ARRANGEMENTS[request.param](None, tls))
        except Unavailable as error:
            skip_or_fail(str(error))
        yield found


async def test_every_script_does_its_work(fixtures: CacheFixtures) -> None:
    await everything(fixtures)
    assert (await check_server(fixtures.settings.redis)).warnings == []


@pytest.mark.parametrize("case", ["another authority", "the machine's authorities", "no certificate", "no TLS"])
async def test_servers_are_refused_otherwise_and_it_is_said_why(
    group: Group, tls: Tls, directory: Path, case: str
) -> None:
    ours = f"ssl_ca_certs={tls.ca}"
    change, reason = {
        "another authority": ((ours, f"ssl_ca_certs={Authority(directory, 'theirs').ca}"), "certificate verify failed"),
        "the machine's authorities": ((f"{ours}&", ""), "certificate verify failed"),
        "no certificate": (("&" + group.url.partition(f"{ours}&")[2], ""), ""),
        "no TLS": ((group.url, f"redis{group.url.removeprefix('rediss').partition('?')[0]}"), ""),
    }[case]
    pipeline = open_pipeline(RedisSettings(url=SecretStr(group.url.replace(*change))))
    try:
        with pytest.raises(CacheUnavailable) as refused:
            await pipeline.read("EXISTS", "some")
        assert reason in refused.value.debug
    finally:
        await pipeline.close()


async def test_the_server_that_is_promoted_is_reached(group: Group, fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    # Returns when the new primary answers.
    await fail_over(group, fixtures, lambda: fixtures.send(address, 1, reply=False))
    with pytest.raises(CacheUnavailable):
        await fixtures.reader.room(address.room_id)
