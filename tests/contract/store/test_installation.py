"""Which installation the databases are: decided once, the same in each, and another one's are refused (I21)."""

from __future__ import annotations

import asyncio
import re

import pytest
from msgspec import structs

from parlor.errors import ForeignStore, StoreUnavailable
from parlor.model.access import AccountRow
from parlor.model.ids import AccountId, InstallationId, Partition, ShardId
from parlor.settings import StoreSettings
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import ChatStore, SchemaMismatch
from tests.contract.store.databases import NewSettings, sql
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract

ROWS = "SELECT installation_id, shard_id FROM installation"
KNOWN = InstallationId("00000000-0000-4000-8000-00000000000a")


async def read(settings: StoreSettings, shard: int) -> None:
    """What a program that runs asks before it writes."""
    store = await open_store(settings)
    try:
        await store.check_shard(ShardId(shard))
    finally:
        await store.close()


async def test_all_databases_get_the_same_id_and_keep_it(new_settings: NewSettings) -> None:
    settings = new_settings()
    report = await migrate(settings)
    for shard in (None, 1, 2):
        assert await sql(settings, shard, ROWS) == [(report.installation, shard or 0)]
    again = await migrate(settings, known=KNOWN)
    assert (again.installation, again.changed) == (report.installation, False)
    store = await open_store(settings)
    assert await store.installation() == report.installation
    await store.close()


async def test_two_installations_have_two_ids(new_settings: NewSettings) -> None:
    one, other = await migrate(new_settings()), await migrate(new_settings())
    assert one.installation != other.installation


async def test_several_that_migrate_at_once_agree(new_settings: NewSettings) -> None:
    settings = new_settings()
    reports = await asyncio.gather(*(migrate(settings) for _ in range(3)))
    assert len({report.installation for report in reports}) == 1


async def test_a_shard_of_another_installation_is_refused_and_left_alone(new_settings: NewSettings) -> None:
    ours, theirs = new_settings(), new_settings()
    await migrate(ours)
    await migrate(theirs)
    mixed = ours.model_copy(update={"urls": (ours.urls[0], theirs.urls[1])})
    before = await sql(theirs, 2, ROWS)
    with pytest.raises(SchemaMismatch, match="Shard 2 belongs to installation"):
        await migrate(mixed)
    assert await sql(theirs, 2, ROWS) == before
    await read(mixed, 1)
    with pytest.raises(ForeignStore):
        await read(mixed, 2)


async def test_shards_in_another_order_are_refused(new_settings: NewSettings) -> None:
    settings = new_settings()
    await migrate(settings)
    global_url = settings.urls[0].get_secret_value()
    named = re.sub(r"_1(?=\?|\.db$)", "_1_global", global_url)
    turned = settings.model_copy(update={"urls": settings.urls[::-1], "global_url": type(settings.urls[0])(named)})
    with pytest.raises(SchemaMismatch, match="another order"):
        await migrate(turned)
    with pytest.raises(ForeignStore):
        await read(turned, 1)


async def test_what_is_not_migrated_has_no_installation(new_settings: NewSettings) -> None:
    settings = new_settings()
    with pytest.raises(StoreUnavailable):
        await read(settings, 1)
    await migrate(settings)
    await sql(settings, 2, "DELETE FROM installation")
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        await read(settings, 2)
    assert "parlor migrate" in caught.value.debug


@pytest.mark.parametrize("known", [None, KNOWN])
async def test_databases_from_before_there_were_ids_get_one(
    new_settings: NewSettings, known: InstallationId | None
) -> None:
    """The one that somebody remembers, if anybody does: the databases may be a backup from that time."""
    settings = new_settings()
    first = (await migrate(settings)).installation
    for shard in (None, 1, 2):
        await sql(settings, shard, "DELETE FROM installation")
    second = (await migrate(settings, known=known)).installation
    assert second == known if known else second != first
    assert await sql(settings, 2, ROWS) == [(second, 2)]


async def test_new_databases_do_not_get_an_id_that_somebody_remembers(new_settings: NewSettings) -> None:
    assert (await migrate(new_settings(), known=KNOWN)).installation != KNOWN


async def test_a_shard_with_rooms_beside_a_new_global_database_is_refused(new_settings: NewSettings) -> None:
    """Its accounts' numbers would be given to others."""
    settings, lost = new_settings(), new_settings()
    await migrate(settings)
    store = await open_store(settings)
    fixtures = await StoreFixtures.make(store, 1)
    await store.open_account(fixtures.account)
    await fixtures.room_with()
    assert not (await migrate(settings)).changed
    await store.close()
    await migrate(lost)
    for shard in (1, 2):
        await sql(settings, shard, "DELETE FROM installation")
    beside = settings.model_copy(update={"global_url": type(settings.urls[0])(_global_url(lost))})
    for _ in range(2):
        with pytest.raises(SchemaMismatch, match="no accounts"):
            await migrate(beside)


def _global_url(settings: StoreSettings) -> str:
    first = settings.urls[0].get_secret_value()
    stem, mark, rest = first.partition("_1")
    assert mark
    return f"{stem}_1_global{rest}"


# Restored backups


async def test_an_incarnation_is_minted_above_what_redis_knows(fixtures: StoreFixtures) -> None:
    store, partition = fixtures.store, fixtures.partition
    opened = await store.open_partition(SHARD, partition, above=7)
    assert opened.incarnation == 8
    assert opened.epoch == fixtures.epoch + 1
    assert (await store.open_partition(SHARD, partition, above=7)).incarnation == 9
    assert (await store.open_partition(SHARD, partition)).incarnation == 10


async def test_a_partition_that_the_shard_has_forgotten_begins_above_too(store: ChatStore) -> None:
    opened = await store.open_partition(SHARD, Partition(4094), above=41)
    assert (opened.incarnation, opened.epoch) == (42, 0)


async def test_an_account_is_put_back_under_its_number_and_no_other_gets_it(new_settings: NewSettings) -> None:
    settings = new_settings()
    await migrate(settings)
    store = await open_store(settings)
    ada = await store.open_account(AccountId("ada"))
    lost = AccountRow(AccountId("zoë"), ada.account_db_key + 5, Partition(3))
    for _ in range(2):
        assert await store.restore_account(lost)
    assert await store.open_account(lost.account_id) == lost
    assert (await store.open_account(AccountId("new"))).account_db_key > lost.account_db_key
    assert await store.restore_account(ada)
    await store.close()


async def test_an_account_whose_name_or_number_is_anothers_is_not_put_back(new_settings: NewSettings) -> None:
    settings = new_settings()
    await migrate(settings)
    store = await open_store(settings)
    ada, bob = await store.open_account(AccountId("ada")), await store.open_account(AccountId("bob"))
    for wrong in (
        structs.replace(ada, account_db_key=bob.account_db_key),
        structs.replace(ada, account_db_key=99),
        structs.replace(ada, partition=ada.partition + 1),
        AccountRow(AccountId("eve"), ada.account_db_key, Partition(1)),
    ):
        assert not await store.restore_account(wrong)
    assert await store.open_account(ada.account_id) == ada
    assert await store.open_account(bob.account_id) == bob
    assert await sql(settings, None, "SELECT COUNT(*) FROM accounts") == [(2,)]
    await store.close()
