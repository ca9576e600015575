"""`parlor rebalance` on each kind of database: what is on one shard is spread over all, and stays what it was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from parlor.model.ids import Partition, ShardId
from parlor.settings import RedisSettings, Settings, StoreSettings
from parlor.store.migrations import owner_addresses
from parlor.store.partition_loads import rows_by_partition
from parlor.store.ports import ChatStore
from parlor.store.sessions import open_session
from parlor.wiring import Wiring
from parlor_cli.rebalance import By, balance_shards
from tests.contract.store.moving import Cut, Killed, Moving, Talk

pytestmark = pytest.mark.contract

ONE, TWO = ShardId(1), ShardId(2)
NOBODY = SecretStr("redis://127.0.0.1:1")
"""No Redis is asked."""


@pytest.fixture
async def wiring(own: StoreSettings) -> AsyncIterator[Wiring]:
    opened = await Wiring.open(Settings(store=own, redis=RedisSettings(url=NOBODY)))
    yield opened
    await opened.close()


@pytest.fixture
async def talks(own_store: ChatStore) -> list[Talk]:
    """Both partitions of the first shard have rooms, those of the second one have none."""
    made = [Talk(own_store, Partition(0)), Talk(own_store, Partition(2))]
    for talk in made:
        await talk.begin(2, 5)
    return made


@pytest.mark.usefixtures("talks")
async def test_rows_are_rooms_and_messages(own: StoreSettings) -> None:
    async with open_session(owner_addresses(own).shards[ONE]) as session:
        assert await rows_by_partition(session) == {0: 12, 2: 12}


@pytest.mark.usefixtures("talks")
async def test_a_dry_run_moves_nothing(wiring: Wiring) -> None:
    balanced = await balance_shards(wiring, By.ROWS, 0, dry_run=True)
    assert (balanced.before, balanced.after) == ({ONE: 24, TWO: 0}, {ONE: 12, TWO: 12})
    assert [(one.source, one.target, one.weight) for one in balanced.moves] == [(ONE, TWO, 12)]
    assert balanced.done == 0
    await wiring.store.refresh_shard_map()
    assert await wiring.store.partitions_of(ONE) == [0, 2]


async def test_the_plan_is_carried_out_and_has_nothing_to_do_then(wiring: Wiring, talks: list[Talk]) -> None:
    assert (await balance_shards(wiring, By.ROWS, 0, dry_run=False)).done == 1
    await wiring.store.refresh_shard_map()
    assert len(await wiring.store.partitions_of(ONE)) == 1
    for talk in talks:
        await talk.check()
    assert (await balance_shards(wiring, By.ROWS, 0, dry_run=False)).moves == []


async def test_a_move_that_was_begun_goes_on_first(
    own: StoreSettings, own_store: ChatStore, wiring: Wiring, talks: list[Talk]
) -> None:
    with pytest.raises(Killed):
        await Moving(own, own_store).move(talks[1].partition, TWO, cut=Cut(40))
    balanced = await balance_shards(wiring, By.ROWS, 0, dry_run=False)
    assert balanced.moves == [], "that was all there was to do"
    await wiring.store.refresh_shard_map()
    assert talks[1].partition in await wiring.store.partitions_of(TWO)
    for talk in talks:
        await talk.check()


async def test_by_load_what_is_stored_meanwhile_counts(wiring: Wiring, talks: list[Talk]) -> None:
    class Busy:
        """While the load is measured, one partition is busy."""

        def now_ms(self) -> int:
            return 1

        def monotonic(self) -> float:
            return 1.0

        async def sleep(self, seconds: float) -> None:
            for _ in range(6):
                assert await talks[0].say(next(iter(talks[0].said)))
            assert await talks[1].say(next(iter(talks[1].said)))

    wiring.clock = Busy()
    balanced = await balance_shards(wiring, By.LOAD, 1, dry_run=True)
    assert balanced.before == {ONE: 7, TWO: 0}
    assert [(one.partition, one.weight) for one in balanced.moves] == [(0, 6)]
