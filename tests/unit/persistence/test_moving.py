"""Writers while partitions move: they leave alone what lives elsewhere, and take at once what comes to them."""

from __future__ import annotations

import pytest

from parlor.model.ids import Partition, ShardId
from tests.unit.domain import HOME, SHARD, Domain, settle
from tests.unit.memory_store import MemoryDatabase, MemoryStore
from tests.unit.persistence.writer_fixture import INTERVAL, killed, opened, started, stored

pytestmark = pytest.mark.unit

OTHER = ShardId(3 - SHARD)


def run(store: MemoryStore, shard: ShardId | None, statement: str) -> None:
    database = store._database(shard)
    assert isinstance(database, MemoryDatabase)
    database._connection.execute(statement)


def say_of_home(store: MemoryStore, shard: ShardId, state: str, generation: int) -> None:
    run(store, shard, f"REPLACE INTO partition_homes VALUES ({HOME}, {generation}, '{state}', 'runner')")  # noqa: S608


def switch(store: MemoryStore) -> None:
    """All that a move does to the map and the gates."""
    run(store, None, f"UPDATE shard_map SET shard_id = {OTHER}, generation = 1 WHERE partition_id = {HOME}")  # noqa: S608
    say_of_home(store, SHARD, "departed", 1)
    say_of_home(store, OTHER, "home", 1)


async def test_a_fenced_partition_is_let_go_and_what_is_sent_waits(domain: Domain) -> None:
    room = await opened(domain)
    writer = domain.writer()
    await started(domain, writer)
    say_of_home(domain.store, SHARD, "fenced", 0)
    run(domain.store, SHARD, "UPDATE partition_progress SET epoch = epoch + 1")
    await domain.say(room, "Hello")
    await domain.clock.advance(INTERVAL + 1)
    assert writer.held == []
    assert writer.trouble == "", "a moment later it goes on"
    assert not await domain.redis.exists(domain.live.keys.lease(HOME)), "its next writer does not wait for the lease"
    say_of_home(domain.store, SHARD, "leaving", 0)
    await domain.clock.advance(INTERVAL + 2)
    assert writer.held == [HOME]
    assert await stored(domain, room.room_id) == ["Hello"]


async def test_the_writer_of_the_other_shard_takes_it_when_it_is_told(domain: Domain) -> None:
    room = await opened(domain)
    old, new = domain.writer(name="old"), domain.writer(name="new", shard=OTHER)
    await started(domain, old)
    await started(domain, new)
    await new.assign([])
    assert old.held == [HOME]
    run(domain.store, OTHER, f"INSERT INTO partition_progress VALUES ({HOME}, 9, 1, 1, 1)")  # noqa: S608
    switch(domain.store)
    run(domain.store, SHARD, "UPDATE partition_progress SET epoch = epoch + 1")
    await domain.say(room, "Hello")
    await domain.clock.advance(INTERVAL + 1)
    assert old.held == []
    assert not await domain.redis.exists(domain.live.keys.lease(HOME)), "it asks for the lease no more"
    await old.assign([])
    await new.assign([HOME])
    await domain.clock.advance(INTERVAL + 1)
    await settle()
    assert new.held == [HOME]


@pytest.mark.parametrize("before", ["killed", "alive"])
async def test_nobody_waits_for_the_lease_of_a_writer_whose_shard_a_partition_has_left(
    domain: Domain, before: str
) -> None:
    room = await opened(domain)
    old, new = domain.writer(name="old"), domain.writer(name="new", shard=OTHER)
    task = await started(domain, old)
    await started(domain, new)
    await new.assign([])
    await domain.say(room, "queued")
    if before == "killed":
        await killed(task, domain)
    run(domain.store, OTHER, f"INSERT INTO partition_progress VALUES ({HOME}, 9, 1, 1, 1)")  # noqa: S608
    run(domain.store, SHARD, "UPDATE partition_progress SET epoch = epoch + 1")
    switch(domain.store)
    await domain.store.refresh_shard_map()
    await new.assign([HOME])
    await domain.clock.advance(1)
    assert new.held == [HOME]
    await domain.clock.advance(INTERVAL + 1)
    assert await stored(domain, room.room_id) == ["queued"]
    await domain.clock.advance(30)
    assert (old.held, new.held) == ([], [HOME])


async def test_a_writer_gives_up_what_another_one_is_to_have(domain: Domain) -> None:
    await opened(domain)
    first, second = domain.writer(name="first"), domain.writer(name="second")
    await started(domain, first)
    await started(domain, second)
    assert (first.held, second.held) == ([HOME], [])
    await second.assign([])
    await second.assign([HOME])
    await domain.clock.advance(1)
    assert (first.held, second.held) == ([HOME], [])
    await first.assign([Partition(HOME + 2)])
    await domain.clock.advance(INTERVAL + 1)
    assert HOME not in first.held
    assert second.held == [HOME], "it has not waited as long as for the lease of a dead writer"


async def test_a_lease_whose_epoch_was_refused_goes_with_its_partition(domain: Domain) -> None:
    """The fence of a move meets a batch, and the writer is told what it has before it asks again."""
    room = await opened(domain)
    writer = domain.writer()
    await started(domain, writer)
    run(domain.store, SHARD, "UPDATE partition_progress SET epoch = epoch + 1")
    await domain.say(room, "Hello")
    await domain.clock.advance(INTERVAL + 0.1)
    lease = domain.live.keys.lease(HOME)
    assert writer.held == []
    assert await domain.redis.exists(lease), "it rests before it asks again"
    await writer.assign([])
    assert not await domain.redis.exists(lease)
