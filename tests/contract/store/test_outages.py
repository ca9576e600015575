"""Outages: a dead server is reported at once, costs nobody else, and is used again when it is back."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest
from asyncmy.connection import Connection
from pydantic import SecretStr

from parlor.clock import SystemClock
from parlor.errors import StoreUnavailable
from parlor.model.ids import ShardId
from parlor.settings import StoreSettings
from parlor.store.addresses import MySqlAddress, SqliteAddress, parse_address, store_addresses
from parlor.store.migrations import migrate, open_store
from parlor.store.mysql import MySqlStore
from parlor.store.mysql_pool import MySqlPool, open_connection
from parlor.store.ports import Batch, ChatStore
from parlor.store.sqlite import open_connection as open_sqlite
from tests.contract.store.fixtures import SHARD, StoreFixtures
from tests.servers import PrivateServer, Unavailable, mysql_server, running, short_directory, skip_or_fail

pytestmark = pytest.mark.contract

TWO = ShardId(2)


@pytest.fixture(scope="module")
def fragile() -> Iterator[PrivateServer]:
    """A server that tests may kill."""
    with short_directory() as directory:
        try:
            server = mysql_server(directory)
        except Unavailable as error:
            skip_or_fail(str(error))
        with running(server):
            yield server


@pytest.fixture
async def split(fragile: PrivateServer, mysql: PrivateServer) -> AsyncIterator[ChatStore]:
    """Shard 1 and the global database on a sound server, shard 2 on the fragile one."""
    urls = [mysql.url.replace("/parlor?", "/sound?"), fragile.url.replace("/parlor?", "/fragile?")]
    settings = StoreSettings.model_validate({
        "urls": [SecretStr(url) for url in urls], "partitions": 64, "acquire_timeout": 1, "query_timeout": 2,
    })  # fmt: skip
    await migrate(settings)
    store = await open_store(settings)
    yield store
    await store.close()


async def test_a_dead_shard_is_told_quickly_and_used_again_when_it_is_back(
    fragile: PrivateServer, split: ChatStore
) -> None:
    await split.ping(TWO)
    fragile.kill()
    try:
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable) as caught:
                await split.rooms_count(TWO, 1)
            assert time.monotonic() - started < 2  # before the frozen ones give up
            assert caught.value.retry_after
            assert "root" not in caught.value.detail
            assert await split.rooms_count(SHARD, 1) == 0
    finally:
        fragile.start()
    assert await split.rooms_count(TWO, 1) == 0


async def test_a_restart_between_two_calls_is_not_noticed(fragile: PrivateServer, split: ChatStore) -> None:
    await split.ping(TWO)
    fragile.stop()
    fragile.start()
    await split.ping(TWO)


async def test_a_frozen_shard_times_out_and_does_not_hold_up_the_others(
    fragile: PrivateServer, split: ChatStore
) -> None:
    await split.ping(TWO)
    fragile.signal(signal.SIGSTOP)
    try:
        frozen = [asyncio.create_task(split.ping(TWO)) for _ in range(8)]
        started = time.monotonic()
        for _ in range(20):
            await split.ping(SHARD)
        assert time.monotonic() - started < 2  # before the frozen ones give up
        failed = await asyncio.gather(*frozen, return_exceptions=True)
        assert time.monotonic() - started < 6
        assert all(isinstance(failure, StoreUnavailable) for failure in failed)
    finally:
        fragile.signal(signal.SIGCONT)
    await split.ping(TWO)


async def test_a_commit_before_a_kill_is_there_after_it(fragile: PrivateServer, split: ChatStore) -> None:
    (partition, *_) = await split.partitions_of(TWO)
    held = await split.acquire_partition(TWO, partition)
    fragile.kill()
    fragile.start()
    again = await split.acquire_partition(TWO, partition)
    assert again.epoch == held.epoch + 1


@pytest.mark.parametrize(
    "change",
    [{"password": "wrong", "user": "nobody"}, {"database": "no_such_database"}, {"unix_socket": "/nowhere/s"},
     {"unix_socket": None, "host": "127.0.0.1", "port": 1}],
    ids=["access", "database", "socket", "port"],
)  # fmt: skip
async def test_what_cannot_be_connected_to_is_unavailable(mysql: PrivateServer, change: dict[str, object]) -> None:
    settings = StoreSettings(urls=(SecretStr(mysql.url),))
    addresses = store_addresses(settings)
    wrong = msgspec.structs.replace(addresses.shards[SHARD], **change)
    store = MySqlStore(settings, msgspec.structs.replace(addresses, shards={SHARD: wrong}))
    try:
        with pytest.raises(StoreUnavailable) as caught:
            await store.ping(SHARD)
        assert "wrong" not in caught.value.detail + caught.value.debug
    finally:
        await store.close()


async def test_a_call_cancelled_in_the_middle_does_not_spoil_the_next(
    fixtures: StoreFixtures, settings: StoreSettings
) -> None:
    """Calls are cancelled at many points of their way; each answer afterwards is the one that was asked for."""
    one = await open_store(settings.model_copy(update={"pool_size": 1}))
    try:
        rooms = [await fixtures.room_with(fixtures.doc(content=str(number))) for number in range(3)]
        for step in range(60):
            task = asyncio.create_task(one.messages_get(SHARD, rooms[0], limit=5, newest=True))
            for _ in range(step % 12):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            number = step % 3
            (row,) = await one.messages_get(SHARD, rooms[number], limit=5, newest=True)
            assert row.doc.content == str(number)
    finally:
        await one.close()


async def test_a_write_cancelled_in_the_middle_is_there_whole_or_not_at_all(fixtures: StoreFixtures) -> None:
    for step in range(30):
        room_id = fixtures.room_id()
        fence = fixtures.fence()
        batch = Batch([fence], room_creates=[fixtures.create(room_id)])
        task = asyncio.create_task(fixtures.store.apply(SHARD, batch))
        for _ in range(step % 10):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Whether the first run got through or not, after the second one the batch is applied once.
        refused = await fixtures.store.apply(SHARD, batch)
        assert refused in ([], [fixtures.partition])
        assert await fixtures.room(room_id) is not None
        fixtures.number += 1


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_a_call_in_mid_query_can_be_cancelled_and_its_connection_is_not_reused(
    fixtures: StoreFixtures, settings: StoreSettings
) -> None:
    address = parse_address(settings.urls[0].get_secret_value())
    assert isinstance(address, MySqlAddress)
    blocker = await open_connection(address, connect_timeout=5)
    try:
        async with blocker.cursor() as cursor:
            await cursor.execute("BEGIN")
            await cursor.execute(
                "SELECT * FROM partition_progress WHERE partition_id = %s FOR UPDATE", (fixtures.partition,)
            )
        stuck = asyncio.create_task(fixtures.store.apply(SHARD, Batch([fixtures.fence()])))
        await lock_wait(blocker)
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        assert await fixtures.room(fixtures.room_id()) is None
        await asyncio.gather(*(fixtures.store.ping(SHARD) for _ in range(20)))
    finally:
        blocker.close()


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_a_pool_that_is_used_up_says_so_in_time(settings: StoreSettings) -> None:
    address = parse_address(settings.urls[0].get_secret_value())
    assert isinstance(address, MySqlAddress)
    pool = MySqlPool(address, size=1, acquire_timeout=0.1, clock=SystemClock())
    async with pool.connection():
        with pytest.raises(StoreUnavailable, match="does not answer"):
            async with pool.connection():
                pass
    async with pool.connection():
        pass
    await pool.close()
    with pytest.raises(StoreUnavailable):
        async with pool.connection():
            pass


class PauseLog(SystemClock):
    """The real clock; it notes what the store slept."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await super().sleep(seconds)


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_a_batch_that_is_rolled_back_by_a_deadlock_is_repeated_whole(
    fixtures: StoreFixtures, settings: StoreSettings
) -> None:
    other = await StoreFixtures.make(fixtures.store, 3000 + fixtures.partition)
    address = parse_address(settings.urls[0].get_secret_value())
    assert isinstance(address, MySqlAddress)
    clock = PauseLog()
    store = MySqlStore(settings, store_addresses(settings), clock=clock)
    blocker = await open_connection(address, connect_timeout=5)
    lock = "SELECT * FROM partition_progress WHERE partition_id = %s FOR UPDATE"
    room_id = fixtures.room_id()
    batch = Batch([fixtures.fence(), other.fence()], room_creates=[fixtures.create(room_id)])
    try:
        async with blocker.cursor() as cursor:
            await cursor.execute("BEGIN")
            # The server rolls back the transaction that has changed less: make it the store's.
            for day in range(1, 20):
                await cursor.execute(
                    "INSERT INTO account_daily VALUES (%s, %s, 0, 0, 0)", (-fixtures.key, f"2026-01-{day}")
                )
            await cursor.execute(lock, (other.partition,))
            task = asyncio.create_task(store.apply(SHARD, batch))
            await lock_wait(blocker)
            # The store's transaction holds the first row and waits for ours; asking for its row closes the circle.
            await cursor.execute(lock, (fixtures.partition,))
            await cursor.execute("ROLLBACK")
        assert await task == []
        assert clock.pauses
        assert await fixtures.room(room_id) is not None
    finally:
        blocker.close()
        await store.close()


async def lock_wait(connection: Connection) -> None:
    """Returns when a transaction waits for a lock. The server makes this table anew every 0.1 s, if nobody reads it
    in between."""
    waiting = 0
    while not waiting:  # bounded by the test's timeout
        await asyncio.sleep(0.15)
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
            ((waiting,),) = await cursor.fetchall()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_file_that_another_process_keeps_locked_is_unavailable(
    new_settings: Callable[..., StoreSettings],
) -> None:
    settings = new_settings(shards=1, query_timeout=0.5)
    await migrate(settings)
    store = await open_store(settings)
    address = parse_address(settings.urls[0].get_secret_value())
    assert isinstance(address, SqliteAddress)
    other = open_sqlite(address, busy_timeout=1)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await store.acquire_partition(SHARD, (await store.partitions_of(SHARD))[0])
        assert await store.rooms_count(SHARD, 1) == 0
        other.execute("ROLLBACK")
        await store.acquire_partition(SHARD, (await store.partitions_of(SHARD))[0])
    finally:
        other.close()
        await store.close()
