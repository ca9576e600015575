"""Two installations and somebody else's Ray on one machine and one external Redis, and a Redis that is swapped while
Parlor runs: what is wrong is refused with the reason, what is not does not notice the others, and nothing that was
acknowledged is lost (I21).

One test, since each start of an installation takes half a minute of processor time."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from tests.integration.lifecycle.command import Conversation, Parlor
from tests.integration.lifecycle.conftest import MakeParlor
from tests.integration.lifecycle.foreign_ray import ForeignRay, foreign_ray
from tests.integration.lifecycle.listening import addresses
from tests.integration.waiting import patience
from tests.servers import (
    PrivateServer,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

THEIRS = "00000000-0000-4000-8000-00000000000b"
RAYS_OWN = {6379, 8000, 8265, 8404, 8500, 9000, 9101, 10001, 44217, 44227, 52365}
"""The ports that Ray and Serve use unless they are given others."""


@pytest.fixture
def foreign() -> Iterator[ForeignRay]:
    with foreign_ray() as ray:
        yield ray


@pytest.fixture
def admin(external: PrivateServer) -> Iterator[Redis]:
    client = Redis.from_url(external.url, protocol=2, decode_responses=True)
    yield client
    client.close()


def readiness(parlor: Parlor) -> tuple[int, str]:
    """Status and, when it is not ready, the reason."""
    status, _, body = parlor.ask("GET", "/readyz")
    return status, str(body.get("detail", ""))


def until(look: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + patience(seconds)
    while True:
        try:
            found = look()
        except (OSError, http.client.HTTPException) as error:
            found = error
        else:
            if holds(found):
                return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def keyspace(admin: Redis) -> dict[str, bytes | None]:
    plain = Redis(connection_pool=admin.connection_pool)
    return {key: plain.dump(key) for key in sorted(plain.scan_iter(count=1000))}


def test_one_machine_one_redis_and_two_installations(
    make_parlor: MakeParlor, external: PrivateServer, admin: Redis, foreign: ForeignRay
) -> None:
    assert foreign.count() == 1
    options = ("--partitions", "4", "--redis-url", external.url)
    ours = make_parlor("ours", *options)
    del ours.environment["PARLOR_RAY__DASHBOARD"]
    ours.start()
    room = Conversation(ours)
    room.send("one")

    # Another installation on the same Redis is refused before anything is started on it, and changes nothing.
    theirs = make_parlor("theirs", *options)
    before = keyspace(admin)
    refused = theirs.up()
    assert refused.returncode == 1
    for part in ("belongs to another installation", "PARLOR_REDIS__PREFIX", "parlor adopt"):
        assert part in refused.stderr
    adopted = theirs.command("adopt", "--redis-url", external.url, "--yes")
    assert adopted.returncode == 1
    assert "in use" in adopted.stderr, "ours runs"
    assert keyspace(admin).keys() == before.keys()

    # With a key prefix of its own it works, beside the other one.
    theirs.environment["PARLOR_REDIS__PREFIX"] = "theirs"
    theirs.start()
    neighbour = Conversation(theirs)
    neighbour.send("at the neighbour's")
    room.send("two")
    assert (room.contents(), neighbour.contents()) == (["one", "two"], ["at the neighbour's"])
    _nothing_is_shared(ours, theirs)
    theirs.kill()
    assert theirs.down().returncode == 0
    assert theirs.remains() == {}
    assert room.contents() == ["one", "two"]

    _swapped_while_running(ours, room, admin)
    room.send("three")
    assert room.contents() == ["one", "two", "three"]
    assert ours.down().returncode == 0
    assert ours.remains() == {}
    assert foreign.count() == 2


def _nothing_is_shared(ours: Parlor, theirs: Parlor) -> None:
    """A token of the one is worth nothing at the other, and no port is the same for every installation: those of Ray's
    dashboard, agents and metrics among them."""
    status, _, _ = theirs.ask("GET", "/v1/rooms", Authorization=f"Bearer {ours.token()}")
    assert status == 401
    ports = [{port for _, port in addresses(ref.pid for ref in parlor.remains().values())} for parlor in (ours, theirs)]
    # One of them has Ray's dashboard.
    assert min(map(len, ports)) > 12
    assert ports[0] & ports[1] == set()
    assert (ports[0] | ports[1]) & RAYS_OWN == set()
    actors = [json.loads(parlor.command("status", "--json").stdout)["actors"] for parlor in (ours, theirs)]
    assert not {actor["pid"] for actor in actors[0]} & {actor["pid"] for actor in actors[1]}


def _swapped_while_running(parlor: Parlor, room: Conversation, admin: Redis) -> None:
    """Another Redis is at the address for a while."""
    admin.swapdb(0, 9)
    admin.hset("parlor:{p0}:partition", mapping={"installation": THEIRS, "incarnation": 9, "next": 3})
    theirs = keyspace(admin)
    admin.client_kill_filter(_type="normal", skipme=True)
    reason = "Redis belongs to another installation"
    expected = [f"cache: {reason}"]
    # Each writer notices by itself, when it next holds its leases.
    expected += [f"shard {n}: writer-shard{n}-0: it does not hold 2 of 2 partitions: {reason}" for n in (1, 2)]
    until(lambda: readiness(parlor), lambda found: found[0] == 503 and all(part in found[1] for part in expected))
    with pytest.raises(AssertionError, match="cache-unavailable"):
        room.send("refused")
    assert room.contents()[-1] == "two", "history is read from the shards"
    assert parlor.command("fsck").returncode == 2
    assert keyspace(admin) == theirs
    admin.swapdb(0, 9)
    admin.client_kill_filter(_type="normal", skipme=True)
    until(lambda: readiness(parlor), lambda found: found == (200, ""))
