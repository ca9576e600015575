"""Which databases `parlor add-shard` takes: none that holds anything."""

from __future__ import annotations

import pytest

from parlor.errors import StoreUnavailable
from parlor.model.ids import ShardId
from parlor.settings import StoreSettings
from parlor.store.addresses import Address, MySqlAddress, SqliteAddress
from parlor.store.installation import Belonging
from parlor.store.migrations import migrate, owner_addresses
from parlor.store.mysql_pool import open_connection
from parlor.store.new_shard import require_new
from parlor.store.ports import SchemaMismatch
from parlor.store.sessions import open_session
from parlor.store.sqlite import open_connection as open_sqlite
from tests.contract.store.databases import NewSettings

pytestmark = pytest.mark.contract

THREE = ShardId(3)


class Case:
    """An installation with two shards, and the database of a third one, which is not there yet."""

    def __init__(self, settings: StoreSettings, more: StoreSettings) -> None:
        self.settings = settings
        self.more = more
        """With the third one."""

    async def migrate(self) -> None:
        self.wanted = Belonging((await migrate(self.settings)).installation, THREE)

    @property
    def third(self) -> Address:
        return owner_addresses(self.more).shards[THREE]


@pytest.fixture
async def case(new_settings: NewSettings) -> Case:
    more = new_settings(shards=3, partitions=4)
    made = Case(more.model_copy(update={"urls": more.urls[:2]}), more)
    await made.migrate()
    return made


async def test_a_database_that_is_not_there_is_made(case: Case) -> None:
    await require_new(case.third, case.wanted)
    assert (await migrate(case.more)).changed


async def test_one_that_was_made_for_it_is_taken_again(case: Case) -> None:
    await migrate(case.more)
    await require_new(case.third, case.wanted)


async def test_a_shard_that_is_in_use_is_refused(case: Case) -> None:
    first = owner_addresses(case.settings).shards[ShardId(1)]
    with pytest.raises(SchemaMismatch, match="is shard 1 of this installation"):
        await require_new(first, case.wanted)
    with pytest.raises(SchemaMismatch, match="is the global database of this installation"):
        await require_new(owner_addresses(case.settings).global_, case.wanted)


async def test_another_installations_is_refused(case: Case, new_settings: NewSettings) -> None:
    theirs = new_settings(shards=3, partitions=4)
    await migrate(theirs)
    with pytest.raises(SchemaMismatch, match="is shard 3 of another installation"):
        await require_new(owner_addresses(theirs).shards[THREE], case.wanted)


async def test_what_holds_anything_else_is_refused(case: Case, new_settings: NewSettings) -> None:
    other = owner_addresses(new_settings(shards=1, partitions=4))
    async with open_session(await made(other.shards[ShardId(1)])) as session:
        await session.rows("CREATE TABLE invoices (id INTEGER)")
    with pytest.raises(SchemaMismatch, match="is not empty: it has 1 tables, invoices among them"):
        await require_new(other.shards[ShardId(1)], case.wanted)


async def test_a_server_that_does_not_answer_is_said(case: Case) -> None:
    nobody = MySqlAddress("parlor_3", "parlor", "secret", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailable):
        await require_new(nobody, case.wanted)


async def made(address: Address) -> Address:
    """An empty database."""
    if isinstance(address, SqliteAddress):
        open_sqlite(address, busy_timeout=5, create=True).close()
        return address
    connection = await open_connection(address, connect_timeout=5, database=False)
    async with connection.cursor() as cursor:
        await cursor.execute(f"CREATE DATABASE `{address.database}`")
    await connection.ensure_closed()
    return address
