"""A writer that cannot hold its partitions says why, asks less often, serves the others, and goes on when it may."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from parlor.errors import ForeignStore, LeaseLost, ParlorError
from parlor.metrics import NotHeld
from parlor.model.ids import Partition, ShardId
from parlor.model.messages import QueuePosition
from parlor.persistence.writer import ShardWriterLoop
from tests.unit.domain import HOME, NEIGHBOUR, SHARD, Domain
from tests.unit.persistence.writer_fixture import INTERVAL, opened, run_out, started, stored

pytestmark = pytest.mark.unit

THEIRS = "00000000-0000-4000-8000-00000000000b"
RECOVERY = 5.0 + 2 * INTERVAL + 1
"""Seconds in which a writer that was kept from a partition has taken it, between two batches of the others, and written
what waited."""


async def belong(domain: Domain, installation: str, *partitions: Partition) -> None:
    for partition in partitions or (HOME,):
        await domain.redis.hset(domain.live.keys.partition(partition), "installation", installation)


async def swapped(domain: Domain, writer: ShardWriterLoop) -> None:
    """Its partition is another installation's from now on, and its lease is not there."""
    await belong(domain, THEIRS)
    await run_out(domain)
    await domain.clock.advance(10 + INTERVAL)
    assert writer.held == [NEIGHBOUR]


# Another installation's Redis


async def test_another_installations_partition_is_told_and_the_others_are_served(domain: Domain) -> None:
    neighbour = domain.session("bob", NEIGHBOUR)
    yours = domain.room(await domain.new_room(neighbour))
    await domain.loader.open_partition(HOME)
    await belong(domain, THEIRS)
    writer = domain.writer(HOME, NEIGHBOUR)
    await started(domain, writer)
    assert writer.held == [NEIGHBOUR]
    assert writer.trouble == "it does not hold 1 of 2 partitions: Redis belongs to another installation"
    assert domain.metrics.not_held_now[NotHeld.FOREIGN_CACHE] == 1
    await domain.send(yours, "yours", session=neighbour)
    await domain.clock.advance(INTERVAL + 1)
    assert await stored(domain, yours.room_id) == ["yours", ""]


async def test_it_goes_on_by_itself_when_its_redis_is_back(domain: Domain) -> None:
    room = await opened(domain)
    await domain.loader.open_partition(NEIGHBOUR)
    ours = await domain.store.installation()
    writer = domain.writer(HOME, NEIGHBOUR)
    await started(domain, writer)
    await domain.say(room, "before")
    await domain.clock.advance(INTERVAL + 0.1)
    await swapped(domain, writer)
    assert "another installation" in writer.trouble
    await belong(domain, ours)
    await domain.say(room, "after")
    await domain.clock.advance(RECOVERY)
    assert (writer.held, writer.trouble) == ([HOME, NEIGHBOUR], "")
    assert domain.metrics.not_held_now == {}
    assert await stored(domain, room.room_id) == ["before", "after"]


async def test_it_asks_every_five_seconds_and_logs_once(domain: Domain) -> None:
    await domain.loader.open_partition(HOME)
    await belong(domain, THEIRS)
    with capture_logs() as logs:
        await started(domain)
        await domain.clock.advance(600)
    assert domain.pipeline.ran.count("hold_lease") <= 600 / 5 + 1
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["writer_in_trouble"]
    assert [line["reason"] for line in logs if line["event"] == "writer_in_trouble"] == [
        "it does not hold 1 of 1 partitions: Redis belongs to another installation"
    ]


async def test_no_room_of_ours_is_put_into_another_installations_partition(domain: Domain) -> None:
    room = await opened(domain)
    await domain.write_all()
    await domain.forget_room(room.room_id)
    await belong(domain, THEIRS)
    before = await domain.redis.keys("*room:*")
    for refused in (domain.new_room, lambda: domain.say(room), lambda: domain.loader.load_room(room.room_id)):
        with pytest.raises(ParlorError) as caught:
            await refused()
        assert caught.value.code == "cache-unavailable"
    assert await domain.redis.keys("*room:*") == before


# A shard of another age


@pytest.mark.parametrize(
    ("incarnation", "applied"), [("9", None), (None, "1-900"), (None, "2-1")], ids=["incarnation", "number", "both"]
)
async def test_a_shard_that_has_forgotten_what_redis_knows_is_not_written_to(
    domain: Domain, incarnation: str | None, applied: str | None
) -> None:
    room = await opened(domain)
    for field, value in (("incarnation", incarnation), ("applied", applied)):
        if value:
            await domain.redis.hset(domain.live.keys.partition(HOME), field, value)
    writer = domain.writer()
    await started(domain, writer)
    await domain.say(room, "waits")
    await domain.clock.advance(60)
    assert writer.held == []
    assert writer.trouble == "it does not hold 1 of 1 partitions: The shard is older than what Redis knows of it"
    assert domain.metrics.not_held_now == {NotHeld.SHARD_BEHIND: 1}
    assert await stored(domain, room.room_id) == []
    assert await domain.redis.exists(domain.live.keys.lease(HOME)) == 0, "nobody waits for its lease"
    assert domain.metrics.stale_batches == 0


async def test_it_writes_again_once_the_shard_is_above(domain: Domain) -> None:
    room = await opened(domain)
    await domain.redis.hset(domain.live.keys.partition(HOME), mapping={"incarnation": "9", "applied": "9-4"})
    writer = domain.writer()
    await started(domain, writer)
    await domain.say(room, "waits")
    progress = await domain.store.open_partition(SHARD, HOME, above=9)
    await domain.live.init_partition(HOME, progress.incarnation, progress.applied)
    await domain.say(room, "after")
    await domain.clock.advance(RECOVERY)
    assert writer.trouble == ""
    assert await stored(domain, room.room_id) == ["waits", "after"]


async def test_what_a_writer_tells_of_its_watermark_is_never_ahead_of_the_shard(domain: Domain) -> None:
    room = await opened(domain)
    writer = domain.writer()
    task = await started(domain, writer)
    for n in range(5):
        await domain.say(room, f"{n}")
        await domain.clock.advance(7)
    await writer.stop()
    await domain.clock.advance(INTERVAL)
    await task
    told = await domain.redis.hget(domain.live.keys.partition(HOME), "applied")
    (progress,) = [found for found in await domain.store.progress(SHARD) if found.partition == HOME]
    assert isinstance(told, bytes)
    assert QueuePosition.parse(told.decode()) == progress.applied


# Another shard


async def test_a_shard_of_another_installation_is_told(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    async def foreign(shard: ShardId) -> None:
        raise ForeignStore(f"Shard {shard} is another database")

    check_shard = domain.store.check_shard
    monkeypatch.setattr(domain.store, "check_shard", foreign)
    room = await domain.new_room()
    writer = domain.writer()
    await started(domain, writer)
    await domain.clock.advance(20)
    assert writer.trouble == "it does not hold 1 of 1 partitions: Shard 1 is another database"
    assert domain.metrics.not_held_now == {NotHeld.FOREIGN_STORE: 1}
    assert domain.pipeline.ran.count("hold_lease") == 0
    monkeypatch.setattr(domain.store, "check_shard", check_shard)
    await domain.clock.advance(RECOVERY)
    assert (writer.held, writer.trouble) == ([HOME], "")
    assert (await domain.page(room)).messages == []


# Other writers


async def test_a_lease_that_another_writer_keeps_is_told_when_waiting_is_not_normal_any_more(domain: Domain) -> None:
    await opened(domain)
    first, second = domain.writer(name="first"), domain.writer(name="second")
    await started(domain, first)
    await started(domain, second)
    await domain.clock.advance(30)
    assert second.trouble == ""
    await domain.clock.advance(30)
    assert second.trouble == "it does not hold 1 of 1 partitions: another writer, first, holds them"
    assert domain.metrics.not_held_now == {NotHeld.HELD_BY_ANOTHER: 1}
    await first.stop()
    await domain.clock.advance(10 + INTERVAL + 1)
    assert (second.held, second.trouble) == ([HOME], "")


async def test_partitions_that_are_lost_again_and_again_are_asked_for_less_often_and_told(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process of the same name takes them back each time."""
    room = await opened(domain)
    apply = domain.store.apply
    tried: list[float] = []

    async def lost(*_: object) -> list[Partition]:
        tried.append(domain.clock.monotonic())
        return [HOME]

    monkeypatch.setattr(domain.store, "apply", lost)
    writer = domain.writer()
    with capture_logs() as logs:
        await started(domain, writer)
        await domain.say(room, "contested")
        await domain.clock.advance(120)
    assert len(tried) < 40
    assert writer.trouble == f"it holds none of 1 partitions: {LeaseLost.title}"
    assert [line["event"] for line in logs].count("writer_in_trouble") == 1
    monkeypatch.setattr(domain.store, "apply", apply)
    await domain.clock.advance(RECOVERY)
    assert writer.trouble == ""
    assert await stored(domain, room.room_id) == ["contested"]


# Servers that are away


async def test_a_server_that_stays_away_is_told_and_one_that_comes_back_soon_is_not(domain: Domain) -> None:
    room = await opened(domain)
    writer = domain.writer()
    await started(domain, writer)
    domain.store.down = True
    await domain.say(room)
    await domain.clock.advance(INTERVAL + 0.1)
    assert writer.held == []
    assert writer.trouble == ""
    await domain.clock.advance(20)
    assert writer.trouble == "it holds none of 1 partitions: The permanent store does not answer"
    assert domain.metrics.not_held_now == {NotHeld.STORE_UNAVAILABLE: 1}
    domain.store.down = False
    await domain.clock.advance(RECOVERY)
    assert (writer.held, writer.trouble) == ([HOME], "")
