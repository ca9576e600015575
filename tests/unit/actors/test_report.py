"""What is told about queues and writers: by partition and by shard, also when some of it cannot be read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast

import pytest
import structlog
from msgspec.structs import replace

import actors.process
import actors.report
import actors.supervisor
from actors.contracts import ActorStatus
from actors.once import Once
from actors.report import queue_statuses
from actors.supervisor import Supervisor
from parlor.cache.audit import AuditCache
from parlor.errors import CacheUnavailable, StoreUnavailable
from parlor.model.ids import Partition, ShardId
from parlor.reading.identity import Identity
from parlor.settings import Settings
from parlor.store.ports import PartitionProgress
from parlor.wiring import Wiring
from tests.unit.actors.cluster import NoDependencies
from tests.unit.domain import HOME, NEIGHBOUR, PARTITIONS, SHARD, Domain
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit

THEIRS = "00000000-0000-4000-8000-00000000000b"


class ReportedWiring(Wiring):
    """What a Supervisor asks, of the domain's parts."""

    def __init__(self, domain: Domain) -> None:
        self.settings = domain.settings
        self.clock = domain.clock
        self.live = domain.live
        self.store = domain.store
        self.dependencies = NoDependencies(domain.live, domain.store)
        self.identity = Identity(domain.live, AuditCache(domain.live, domain.settings.redis.prefix), domain.store)


@pytest.fixture
def wiring(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    monkeypatch.setattr(actors.report, "WriterQueue", lambda *_: domain.queue)
    for module in (actors.process, actors.supervisor):
        # Asked, Ray would start itself in this process.
        monkeypatch.setattr(module, "this_node", lambda: "node")
    # A logger keeps the configuration of its first line: other tests read the module's own.
    monkeypatch.setattr(actors.supervisor, "_log", structlog.get_logger())
    monkeypatch.setattr(actors.report, "_log", structlog.get_logger())
    return ReportedWiring(domain)


# Queues


async def test_a_partition_that_cannot_be_read_is_told_and_the_others_are(
    domain: Domain, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = domain.queue.depth
    await domain.new_room()

    async def without_the_neighbour(partition: Partition) -> tuple[int, int, int]:
        if partition == NEIGHBOUR:
            raise CacheUnavailable("its node is gone")
        return await depth(partition)

    monkeypatch.setattr(domain.queue, "depth", without_the_neighbour)
    found = {status.partition: status for status in await queue_statuses(wiring)}
    assert len(found) == PARTITIONS
    assert (found[HOME].depth, found[HOME].trouble) == (1, "")
    assert (found[NEIGHBOUR].depth, found[NEIGHBOUR].trouble) == (0, "its node is gone")
    assert {found[each].trouble for each in found.keys() - {NEIGHBOUR}} == {""}


async def test_what_a_shard_has_stored_is_counted_for_each_partition(
    domain: Domain, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await domain.opened()
    await domain.say(room, "one")
    await domain.say(room, "two")
    await domain.write_all()
    await domain.say(room, "queued")
    found = {status.partition: status for status in await queue_statuses(wiring)}
    assert (found[HOME].stored, found[HOME].depth) == (3, 1), "the room and two messages"
    progress = domain.store.progress

    async def one_is_away(shard: ShardId) -> list[PartitionProgress]:
        if shard == SHARD:
            raise StoreUnavailable
        return await progress(shard)

    monkeypatch.setattr(domain.store, "progress", one_is_away)
    found = {status.partition: status for status in await queue_statuses(wiring)}
    assert (found[HOME].stored, found[HOME].depth) == (None, 1)


async def test_without_the_partition_map_there_is_nothing_to_tell(
    domain: Domain, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(shard: ShardId) -> list[Partition]:
        raise StoreUnavailable

    monkeypatch.setattr(domain.store, "partitions_of", away)
    assert await queue_statuses(wiring) == []


# Writers


class Writers:
    """A Supervisor with a writer for each of two shards, which say what the test has them say."""

    def __init__(self, wiring: Wiring) -> None:
        self.supervisor = Supervisor(Settings().model_dump_json())
        self.supervisor._wiring = wiring
        self.supervisor._started = Once(partial(_opened, wiring))
        self.said = {
            f"writer-shard{shard}-0": ActorStatus(f"writer-shard{shard}-0", "ShardWriter", 7, "node", True)
            for shard in (1, 2)
        }

    async def begin(self) -> None:
        for shard, (name, status) in enumerate(self.said.items(), 1):
            self.supervisor._writers[name] = (ShardId(shard), 0, [])
            self.supervisor._liveness.watch(name, status.kind, partial(self._answer, name))
        await settle()

    async def _answer(self, name: str) -> ActorStatus | None:
        return self.said[name]

    def writer_reasons(self) -> list[str]:
        return [reason for reason in self.supervisor._missing() if "writer" in reason.lower()]


async def _opened(wiring: Wiring) -> Wiring:
    return wiring


@pytest.fixture
async def writers(wiring: Wiring) -> AsyncIterator[Callable[[], Writers]]:
    made: list[Writers] = []

    def make() -> Writers:
        made.append(Writers(wiring))
        return made[-1]

    yield make
    for each in made:
        await each.supervisor._liveness.close()


async def test_a_writer_that_cannot_hold_its_partitions_makes_the_installation_unready_with_the_reason(
    writers: Callable[[], Writers],
) -> None:
    found = writers()
    found.said["writer-shard2-0"] = replace(found.said["writer-shard2-0"], trouble="it holds none: foreign")
    await found.begin()
    reason = "writer-shard2-0: it holds none: foreign"
    assert found.writer_reasons() == [f"shard 2: {reason}"]
    status = await found.supervisor.status()
    assert (status.services["writers:shard1"], status.services["writers:shard2"]) == ("ok", reason)
    told = {actor.name: actor.trouble for actor in status.actors if actor.kind == "ShardWriter"}
    assert told == {"writer-shard1-0": "", "writer-shard2-0": "it holds none: foreign"}


async def test_writers_that_are_well_are_told_so(writers: Callable[[], Writers]) -> None:
    found = writers()
    await found.begin()
    assert found.writer_reasons() == []
    services = (await found.supervisor.status()).services
    assert [services[f"writers:shard{shard}"] for shard in (1, 2)] == ["ok", "ok"]


async def test_no_writer_is_made_for_another_installations_redis_until_it_is_ours(
    domain: Domain, wiring: Wiring, writers: Callable[[], Writers], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    found = writers()
    supervisor = found.supervisor

    async def change(action: Callable[[], None]) -> None:
        made.append(cast("partial[None]", action).args)

    monkeypatch.setattr(supervisor, "_change", change)
    await domain.loader.open_partition(HOME)
    await domain.redis.hset(domain.live.keys.partition(HOME), "installation", THEIRS)
    await supervisor._reconcile_writers()
    assert made == []
    reason = "a Redis of this installation: Redis belongs to another installation"
    assert found.writer_reasons() == [f"the ShardWriters wait for {reason}"]
    assert (await supervisor.status()).services["writers"] == f"they wait for {reason}"
    await domain.redis.hdel(domain.live.keys.partition(HOME), "installation")
    await supervisor._reconcile_writers()
    assert [args[0] for args in made] == domain.store.shard_ids()
    assert found.writer_reasons() == [f"no ShardWriter of shard {shard} has started" for shard in (1, 2)]


async def test_a_redis_that_is_away_does_not_keep_writers_from_being_made(
    domain: Domain, writers: Callable[[], Writers], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    supervisor = writers().supervisor

    async def change(action: Callable[[], None]) -> None:
        made.append(action)

    monkeypatch.setattr(supervisor, "_change", change)
    domain.server.connected = False
    await supervisor._reconcile_writers()
    assert len(made) == len(domain.store.shard_ids())
