"""Redis of one installation: what another one has there is refused, and left as it is (I21)."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from parlor.cache.clients import connect
from parlor.cache.codes import Code
from parlor.cache.connection import Answer, ScriptPipeline
from parlor.cache.guard import Guard
from parlor.cache.hub import EventHub
from parlor.cache.live import Live, RoomAddress
from parlor.cache.loader import Argument, Script, all_names, build_script, load
from parlor.cache.queue import Lease, WriterQueue
from parlor.cache.reads import CacheReader
from parlor.errors import CacheUnavailable, ForeignCache, StoreUnavailable
from parlor.model.access import AccountRow, Standing
from parlor.model.ids import InstallationId, Partition
from parlor.settings import Settings
from tests.contract.cache.fixtures import CLAIM_1, LEASE, OURS, THEIRS, CacheFixtures, make_settings
from tests.servers import PrivateServer

pytestmark = pytest.mark.contract

NAMES = [name for name in all_names() if "installation" in load(name).arguments]
OPENING = {"init_partition", "own_partition", "hold_lease"}
FENCES = {"claim", "lease"}
"""Arguments without which a script changes nothing, and which were made for this installation's own partition."""
OF_THIS_INSTALLATION = {
    "operator_delete_message": "the room's id",
    "operator_delete_room": "the room's id",
    "operator_update_room": "the room's id",
    "transition_message": "the room's id",
    "transition_room": "the room's id",
    "repair_room": "the room's id",
    "renew_call": "the call's id",
    "take_code": "the code",
    "use_ticket": "the ticket",
    "call_cluster": "the cluster's id",
    "take_calls": "the cluster's id",
}
"""Scripts that change only what they find by something random that no other installation has."""
READING = {
    "EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HKEYS", "HMGET", "PTTL", "XINFO", "XLEN", "XPENDING", "XRANGE",
    "XREVRANGE", "ZCARD", "ZCOUNT", "ZRANGE", "ZREVRANGE", "ZSCORE",
}  # fmt: skip
READ_ONLY = {"audit_queue", "audit_room", "check_rights", "read_answer", "read_keys", "read_list", "read_page"}
LUA = Path(str(files("parlor.cache"))) / "lua"


async def answer(fixtures: CacheFixtures, script: Script, address: RoomAddress, installation: str) -> int:
    """The code of a script that is called for this installation and, where it matters at all, with sensible
    arguments."""
    keys = fixtures.live._all_keys(address)
    keys["idempotency"] = fixtures.keys.idempotency(address.partition, address.room_id, "k")
    keys["ticket"] = fixtures.keys.ticket(address.partition, "t")
    keys["code"] = fixtures.keys.code(address.partition, "c")
    known: dict[str, Argument] = {"room": address.room_id, "owner": address.account_id, "claim": CLAIM_1.token}
    known |= {"ticket": 9, "lease": LEASE, "holder": "writer-1", "incarnation": 7, "applied": "1-0"}
    known |= {"event_ttl": 1000, "event_max": 1000, "backlog_limit": 500, "fingerprint": ""}
    known["installation"] = installation
    arguments = {name: known.get(name, 1) for name in script.arguments}
    found = await fixtures.pipeline.run(script, {name: keys[name] for name in script.keys}, arguments)
    return int(found[0])


async def lets_in(fixtures: CacheFixtures, script: Script, installation: str) -> bool:
    """Whether the script does anything, or says anything but that the partition is another installation's."""
    address = fixtures.address()
    before = await fixtures.dump()
    code = await answer(fixtures, script, address, installation)
    return code != Code.FOREIGN or await fixtures.dump() != before


async def owner(fixtures: CacheFixtures) -> bytes | None:
    found: Answer = await fixtures.redis.hget(fixtures.keys.partition(fixtures.partition), "installation")
    return found if isinstance(found, bytes) else None


@pytest.mark.parametrize("name", all_names())
def test_what_changes_something_asks_whose_it_is_unless_it_cannot_be_anothers(name: str) -> None:
    needs_none = READ_ONLY | set(OF_THIS_INSTALLATION)
    fenced = bool(FENCES & set(load(name).arguments))
    assert (name in NAMES) + (name in needs_none) + (fenced and name not in NAMES) == 1
    writes = set(re.findall(r"redis\.call\('([A-Z]+)'", load(name).source)) - READING
    assert (name in READ_ONLY) == (not writes)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", [THEIRS, "", OURS[:-1]], ids=["theirs", "empty", "cut"])
async def test_another_installation_is_refused_and_changes_nothing(
    fixtures: CacheFixtures, name: str, other: str
) -> None:
    assert not await lets_in(fixtures, load(name), other)


@pytest.mark.parametrize("name", NAMES)
async def test_it_is_the_installation_that_is_refused(fixtures: CacheFixtures, name: str) -> None:
    assert await answer(fixtures, load(name), fixtures.address(), OURS) != Code.FOREIGN


@pytest.mark.parametrize("name", NAMES)
async def test_a_partition_from_before_there_were_ids_is_adopted(fixtures: CacheFixtures, name: str) -> None:
    key = fixtures.keys.partition(fixtures.partition)
    await fixtures.redis.hdel(key, "installation")
    assert await answer(fixtures, load(name), fixtures.address(), OURS) != Code.FOREIGN
    assert await owner(fixtures) == (OURS.encode() if name in OPENING else None)


@pytest.mark.parametrize("name", NAMES)
async def test_a_check_that_lets_the_empty_one_in_would_be_found(
    fixtures: CacheFixtures, name: str, tmp_path: Path
) -> None:
    shutil.copytree(LUA, tmp_path / "lua")
    check = tmp_path / "lua" / "include" / "require_installation.lua"
    check.write_text(check.read_text().replace("A.installation == '' or", "A.installation ~= '' and"))
    assert await lets_in(fixtures, build_script(tmp_path / "lua", name), "")


async def test_a_partition_that_nobody_has_opened_is_owned_and_stays_unknown(fixtures: CacheFixtures) -> None:
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    await fixtures.live.own_partition(fixtures.partition)
    assert await owner(fixtures) == OURS.encode()
    assert await fixtures.reader.incarnation(fixtures.partition) is None
    found = await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1")
    assert isinstance(found, Lease)
    assert found.incarnation is None


async def test_the_refusal_has_a_type_of_its_own_and_counts_as_a_redis_that_is_away(fixtures: CacheFixtures) -> None:
    await fixtures.redis.hset(fixtures.keys.partition(fixtures.partition), "installation", THEIRS)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: fixtures.live.own_partition(fixtures.partition),
        lambda: fixtures.live.init_partition(fixtures.partition, 9),
        lambda: fixtures.queue.hold(fixtures.partition, LEASE, "writer-1"),
        fixtures.created,
    ]
    for call in calls:
        with pytest.raises(ForeignCache, match="another installation") as caught:
            await call()
        assert (caught.value.code, caught.value.title) == (CacheUnavailable.code, CacheUnavailable.title)


async def test_what_is_known_of_accounts_is_neither_kept_in_nor_taken_from_anothers_redis(
    fixtures: CacheFixtures,
) -> None:
    row = AccountRow(fixtures.address().account_id, 5, fixtures.partition, 17, Standing.DISABLED, 17)
    await fixtures.reader.remember_session(row)
    assert await fixtures.reader.session(row.account_id) == row
    await fixtures.redis.hset(fixtures.keys.partition(fixtures.partition), "installation", THEIRS)
    before = await fixtures.dump()
    with pytest.raises(ForeignCache):
        await fixtures.reader.session(row.account_id)
    with pytest.raises(ForeignCache):
        await fixtures.reader.remember_session(msgspec.structs.replace(row, not_before=99))
    assert await fixtures.dump() == before


async def test_without_an_id_nothing_is_opened(fixtures: CacheFixtures) -> None:
    """A process that was not told it, while the global database is away."""
    nameless = Live(fixtures.pipeline, _settings_of(fixtures, ""), fixtures.clock)
    before = await fixtures.dump()
    with pytest.raises(StoreUnavailable):
        await nameless.init_partition(fixtures.partition, 9)
    assert await fixtures.dump() == before


async def test_a_process_that_was_not_told_asks_once(fixtures: CacheFixtures) -> None:
    asked = 0

    async def ask() -> InstallationId:
        nonlocal asked
        asked += 1
        return InstallationId(OURS)

    settings = _settings_of(fixtures, "")
    live = Live(fixtures.pipeline, settings, fixtures.clock, Guard(settings, ask))
    for incarnation in (5, 6):
        assert await live.init_partition(fixtures.partition, incarnation) == incarnation
    assert asked == 1


# Connections


class Process:
    """A process's connections: the shared pipeline, a writer's reader, a listener."""

    def __init__(self, settings: Settings, fixtures: CacheFixtures) -> None:
        self.live = Live.open(settings, fixtures.clock)
        self.queue = WriterQueue(self.live, settings.redis)
        self.reader = CacheReader(self.live)
        self.hub = EventHub(connect(settings.redis, self.live.guard, blocking=True))

    async def close(self) -> None:
        await self.hub.close()
        await self.queue.close()
        await self.live.close()


@pytest.fixture
async def process(server_fixtures: CacheFixtures) -> AsyncIterator[Callable[[], Process]]:
    made: list[Process] = []

    def make(installation: str = OURS) -> Process:
        made.append(Process(_settings_of(server_fixtures, installation), server_fixtures))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def _settings_of(fixtures: CacheFixtures, installation: str) -> Settings:
    found = make_settings(fixtures.settings.redis.url.get_secret_value(), fixtures.prefix)
    return found.model_copy(update={"store": found.store.model_copy(update={"installation": installation})})


async def belong(fixtures: CacheFixtures, installation: str) -> None:
    """The whole Redis."""
    for partition in (Partition(0), fixtures.partition):
        await fixtures.redis.hset(fixtures.keys.partition(partition), "installation", installation)


async def swap(fixtures: CacheFixtures, installation: str) -> None:
    """Another server's data at the same address: whoever was connected has to connect again."""
    await belong(fixtures, installation)
    await fixtures.redis.client_kill_filter(_type="normal", skipme=True)


async def test_a_new_connection_to_another_installations_redis_is_refused(
    server_fixtures: CacheFixtures, process: Callable[[], Process]
) -> None:
    await belong(server_fixtures, THEIRS)
    before, theirs = await server_fixtures.dump(), process()
    address = server_fixtures.address()
    calls: list[Callable[[], Awaitable[object]]] = [
        theirs.live.ping,
        lambda: theirs.reader.room(address.room_id),
        lambda: theirs.reader.session(address.account_id),
        lambda: theirs.queue.new([server_fixtures.partition], 10, 50),
        lambda: theirs.queue.unfinished(server_fixtures.partition, None, 10),
        lambda: theirs.live.run("release_room", {"room": "x"}, {"claim": "c"}),
    ]
    for call in calls:
        with pytest.raises(ForeignCache):
            await call()
    with pytest.raises(Exception, match=THEIRS):
        await theirs.hub._pubsub.subscribe("channel")
    assert await server_fixtures.dump() == before


async def test_a_redis_that_is_ours_or_nobodys_is_let_in(
    server_fixtures: CacheFixtures, process: Callable[[], Process]
) -> None:
    await process().live.ping()
    await belong(server_fixtures, OURS)
    await process().live.ping()


async def test_a_redis_that_is_swapped_while_running_is_noticed_and_let_in_again_when_it_is_back(
    server_fixtures: CacheFixtures, process: Callable[[], Process]
) -> None:
    """Another server at the same address: its connections are new ones."""
    fixtures, ours = server_fixtures, process()
    await belong(fixtures, OURS)
    assert isinstance(await ours.queue.hold(fixtures.partition, LEASE, "writer-1"), Lease)
    assert await ours.queue.new([fixtures.partition], 10, 1) == []
    calls: list[Callable[[], Awaitable[object]]] = [
        ours.live.ping,
        lambda: ours.queue.new([fixtures.partition], 10, 1),
        lambda: ours.queue.hold(fixtures.partition, LEASE, "writer-1"),
    ]
    await swap(fixtures, THEIRS)
    for call in calls:
        with pytest.raises(ForeignCache):
            await _again(call)
    await swap(fixtures, OURS)
    for call in calls:
        await _again(call)


async def _again(call: Callable[[], Awaitable[object]]) -> None:
    """The first call may meet a connection that was cut."""
    try:
        await call()
    except ForeignCache:
        raise
    except CacheUnavailable:
        await call()


async def test_data_that_is_swapped_below_an_open_connection_is_refused_by_the_scripts(
    server: PrivateServer, server_fixtures: CacheFixtures, process: Callable[[], Process]
) -> None:
    fixtures, ours = server_fixtures, process()
    await belong(fixtures, OURS)
    await ours.live.ping()
    other: Redis = Redis.from_url(server.url, protocol=2, db=9)
    try:
        await other.hset(
            fixtures.keys.partition(fixtures.partition), mapping={"installation": THEIRS, "incarnation": 4, "next": 2}
        )
        await fixtures.redis.swapdb(0, 9)
        before = await fixtures.dump()
        with pytest.raises(ForeignCache):
            await ours.queue.hold(fixtures.partition, LEASE, "writer-1")
        with pytest.raises(ForeignCache):
            await ours.live.init_partition(fixtures.partition, 9)
        assert await fixtures.dump() == before
    finally:
        await fixtures.redis.swapdb(0, 9)
        await other.flushdb()
        await other.aclose()
    assert isinstance(await ours.queue.hold(fixtures.partition, LEASE, "writer-1"), Lease)


async def test_without_an_id_connections_are_let_in(server_fixtures: CacheFixtures) -> None:
    """The scripts decide; a check of the whole Redis has to look at another installation's."""
    await belong(server_fixtures, THEIRS)
    settings = _settings_of(server_fixtures, "")
    pipeline = ScriptPipeline(connect(settings.redis, Guard(settings), blocking=True), settings.redis)
    assert await pipeline.read("PING")
    await pipeline.close()
