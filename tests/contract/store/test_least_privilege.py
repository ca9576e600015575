"""A user that calls procedures and may do nothing else, apart from the one that migrates."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec
import pytest
from asyncmy.errors import MySQLError
from pydantic import SecretStr

from parlor.errors import StoreUnavailable
from parlor.model.administration import Action, Actor, Way
from parlor.model.ids import AccountId
from parlor.settings import Settings, StoreSettings
from parlor.store.access import AccessStore
from parlor.store.addresses import MySqlAddress, parse_address, store_addresses
from parlor.store.audit_log import AuditStore
from parlor.store.deletions import DeletionStore
from parlor.store.migrations import migrate, open_store
from parlor.store.mysql_errors import number_of
from parlor.store.mysql_pool import open_connection
from parlor.store.ports import ChatStore
from tests.contract.store.fixtures import SHARD, StoreFixtures
from tests.servers import PrivateServer

pytestmark = pytest.mark.contract

DENIED = {1044, 1142, 1227, 1370}
"""The server's numbers for a right that is lacking."""
OWNER, PROGRAM, PASSWORD = "lp_owner", "lp_program", "hunter2"
DATABASE = "lp_rooms"


async def as_root(server: PrivateServer, *statements: str) -> None:
    root = parse_address(server.url)
    assert isinstance(root, MySqlAddress)
    connection = await open_connection(root, connect_timeout=5, database=False)
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture
async def restricted(mysql: PrivateServer) -> StoreSettings:
    """Settings of a program that has a password and no right, and of an owner of these databases."""
    await as_root(
        mysql,
        *(f"DROP DATABASE IF EXISTS {name}" for name in (DATABASE, f"{DATABASE}_global")),
        *(f"DROP USER IF EXISTS '{user}'@'localhost'" for user in (OWNER, PROGRAM)),
        *(f"CREATE USER '{user}'@'localhost' IDENTIFIED BY '{PASSWORD}'" for user in (OWNER, PROGRAM)),
        f"GRANT ALL ON `{DATABASE}%`.* TO '{OWNER}'@'localhost' WITH GRANT OPTION",
    )
    url = f"mysql://{PROGRAM}:{PASSWORD}@localhost/{DATABASE}?{urlsplit(mysql.url).query}"
    return StoreSettings(
        urls=(SecretStr(url),), partitions=64, migration_user=OWNER, migration_password=SecretStr(PASSWORD)
    )


@pytest.fixture
async def store(restricted: StoreSettings) -> AsyncIterator[ChatStore]:
    """The program's."""
    await migrate(restricted)
    opened = await open_store(restricted)
    yield opened
    await opened.close()


async def test_the_program_does_all_of_its_work(store: ChatStore, restricted: StoreSettings) -> None:
    fixtures = await StoreFixtures.make(store, 17)
    room = await fixtures.room_with(fixtures.doc(content="Hello"), fixtures.doc(content="again"))
    assert [row.doc.content for row in await fixtures.messages(room)] == ["Hello", "again"]
    await fixtures.write(room_deletes=[fixtures.delete_room(room)])
    await DeletionStore(store).purge_room(SHARD, room)
    name = AccountId("ada")
    assert (await store.open_account(name)).account_id == name
    assert await AccessStore(store).revoke_account(name, 5) == 5, "a procedure that calls another one"
    await AuditStore(store).note(Actor(Way.HTTP, "olga"), Action.ACCOUNT_REVOKED, name, 5)
    assert await store.partitions_of(SHARD)
    await store.check_shard(SHARD)
    for shard in (None, SHARD):
        await store.ping(shard)
    assert not (await migrate(restricted)).changed


@pytest.mark.parametrize(
    ("shard", "statement"),
    [
        (1, "SELECT content FROM messages"),
        (1, "DELETE FROM messages"),
        (1, "INSERT INTO rooms (room_id) VALUES ('x')"),
        (1, "UPDATE rooms SET title = 'x'"),
        (1, "DROP TABLE messages"),
        (1, "ALTER TABLE messages ADD COLUMN x INT"),
        (1, "CREATE TABLE x (x INT)"),
        (1, "DROP PROCEDURE fp_chat_messages_get"),
        (1, "CREATE PROCEDURE x() SELECT 1"),
        (None, "SELECT account_id FROM accounts"),
        (None, "SELECT digest FROM api_keys"),
        (None, "UPDATE audit_log SET actor = 'somebody else'"),
        (None, "DELETE FROM audit_log"),
        (None, "UPDATE meta SET partitions = 1"),
        (None, "GRANT SELECT ON accounts TO CURRENT_USER()"),
        (None, "DROP DATABASE lp_rooms"),
    ],
)
@pytest.mark.usefixtures("store")
async def test_the_program_can_do_nothing_else(restricted: StoreSettings, shard: int | None, statement: str) -> None:
    addresses = store_addresses(restricted)
    address = addresses.global_ if shard is None else addresses.shards[SHARD]
    assert isinstance(address, MySqlAddress)
    connection = await open_connection(address, connect_timeout=5)
    try:
        async with connection.cursor() as cursor:
            with pytest.raises(MySQLError) as refused:
                await cursor.execute(statement)
    finally:
        connection.close()
    assert number_of(refused.value) in DENIED, refused.value


async def test_a_database_with_a_name_like_it_is_not_opened_too(mysql: PrivateServer, store: ChatStore) -> None:
    await as_root(mysql, "CREATE DATABASE IF NOT EXISTS lpXrooms")
    await store.open_account(AccountId("ada"))
    program = parse_address(f"mysql://{PROGRAM}:{PASSWORD}@localhost/lpXrooms?{urlsplit(mysql.url).query}")
    assert isinstance(program, MySqlAddress)
    with pytest.raises(MySQLError) as refused:
        await open_connection(program, connect_timeout=5)
    assert number_of(refused.value) in DENIED


async def test_a_program_without_its_owner_migrates_nothing(restricted: StoreSettings) -> None:
    alone = restricted.model_copy(update={"migration_user": ""})
    with pytest.raises(StoreUnavailable) as refused:
        await migrate(alone)
    assert "denied" in refused.value.debug


def test_no_actor_gets_the_owners_password(restricted: StoreSettings) -> None:
    written = Settings(store=restricted).dump_secrets()
    assert OWNER not in written
    assert "migration" not in written
    assert msgspec.json.decode(written)["store"]["urls"] == [restricted.urls[0].get_secret_value()]
