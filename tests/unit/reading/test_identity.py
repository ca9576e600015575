"""Whether Redis and the databases are one installation's, and of one age (I21)."""

from __future__ import annotations

import asyncio

import pytest

from parlor.cache.audit import AuditCache
from parlor.errors import ForeignCache, ShardBehind
from parlor.model.ids import Partition, ShardId
from parlor.reading.identity import Identity
from tests.unit.domain import HOME, NEIGHBOUR, PARTITIONS, Domain
from tests.unit.persistence.writer_fixture import opened

pytestmark = pytest.mark.unit

THEIRS = "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def identity(domain: Domain) -> Identity:
    return Identity(domain.live, AuditCache(domain.live, domain.settings.redis.prefix), domain.store)


async def know(domain: Domain, partition: Partition, field: str, value: str) -> None:
    await domain.redis.hset(domain.live.keys.partition(partition), field, value)


async def owners(domain: Domain) -> list[str]:
    keys = [domain.live.keys.partition(Partition(number)) for number in range(PARTITIONS)]
    found = [await domain.redis.hget(key, "installation") for key in keys]
    return [one.decode() if isinstance(one, bytes) else "" for one in found]


async def test_a_new_redis_is_claimed_whole(domain: Domain, identity: Identity) -> None:
    assert await owners(domain) == [""] * PARTITIONS
    for _ in range(2):
        await identity.claim()
        assert await owners(domain) == [await domain.store.installation()] * PARTITIONS


async def test_a_redis_that_was_in_use_is_claimed_with_what_it_has(domain: Domain, identity: Identity) -> None:
    """Also one from before there were ids."""
    room = await opened(domain)
    await domain.say(room)
    await domain.redis.hdel(domain.live.keys.partition(HOME), "installation")
    await identity.claim()
    await domain.write_all()
    assert [row.doc.content for row in await domain.rows(room.room_id)] == ["Hello"]


async def test_another_installations_redis_is_refused_before_anything_is_changed(
    domain: Domain, identity: Identity
) -> None:
    await know(domain, NEIGHBOUR, "installation", THEIRS)
    with pytest.raises(ForeignCache) as caught:
        await identity.claim()
    assert THEIRS in caught.value.debug
    assert set(await owners(domain)) == {"", THEIRS}
    survey = await identity.survey()
    assert [one.partition for one in survey.foreign] == [NEIGHBOUR]
    assert survey.behind == []


@pytest.mark.parametrize(("field", "value"), [("incarnation", "2"), ("applied", "1-9"), ("applied", "2-0")])
async def test_a_shard_that_is_behind_is_refused_before_anything_is_changed(
    domain: Domain, identity: Identity, field: str, value: str
) -> None:
    await domain.loader.open_partition(HOME)
    await domain.redis.hdel(domain.live.keys.partition(HOME), "installation")
    await know(domain, HOME, field, value)
    with pytest.raises(ShardBehind) as caught:
        await identity.claim()
    assert f"partition {HOME}" in caught.value.debug
    assert await owners(domain) == [""] * PARTITIONS


async def test_new_databases_do_not_take_over_a_redis_without_an_id(domain: Domain, identity: Identity) -> None:
    """From before there were ids: its incarnations tell."""
    await domain.live.init_partition(NEIGHBOUR, 1)
    await domain.redis.hdel(domain.live.keys.partition(NEIGHBOUR), "installation")
    with pytest.raises(ShardBehind):
        await identity.claim()


async def test_a_shard_that_is_ahead_is_no_fault(domain: Domain, identity: Identity) -> None:
    """Redis came back from an older file: positions go on above (I7)."""
    await domain.loader.open_partition(HOME)
    await domain.store.open_partition(ShardId(1), HOME)
    await identity.claim()


async def test_of_two_installations_that_begin_with_one_redis_one_gets_all_of_it(
    domain: Domain, identity: Identity
) -> None:
    """The other one has seen an empty Redis too, and is refused by its first partition."""
    survey = await identity.survey()
    await know(domain, Partition(0), "installation", THEIRS)
    with pytest.raises(ForeignCache):
        await identity.claim(survey)
    assert await owners(domain) == [THEIRS, *[""] * (PARTITIONS - 1)]


async def test_a_writer_at_work_is_never_taken_for_one_that_is_behind(domain: Domain, identity: Identity) -> None:
    room = await opened(domain)
    writer = domain.writer()
    domain.spawn(writer.run())
    for n in range(20):
        await domain.say(room, f"{n}")
        await asyncio.gather(domain.clock.advance(4), identity.claim())
    assert writer.trouble == ""
