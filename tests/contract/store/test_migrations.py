"""Migrations: once, together, resumed, and refused when something does not fit."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from parlor.errors import StoreUnavailable
from parlor.model.ids import AccountId, Partition
from parlor.model.messages import QueuePosition
from parlor.model.parts import ReasoningPart, TextPart, TextSpan, parts_of
from parlor.model.release import COMPATIBILITY
from parlor.store import sql_files
from parlor.store.addresses import MySqlAddress, parse_address
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import Batch, MessageSave, PartitionProgress, SchemaMismatch, SummarySave, VersionSave
from tests.contract.store.databases import NewSettings, is_sqlite, sql
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract


async def test_a_second_run_changes_nothing(new_settings: NewSettings) -> None:
    settings = new_settings()
    steps: list[str] = []
    report = await migrate(settings, steps.append)
    assert report.changed
    assert [database.database for database in report.databases] == ["global", "shard 1", "shard 2"]
    assert any(step.startswith("shard 2: 0002_") for step in steps)
    steps.clear()
    assert not (await migrate(settings, steps.append)).changed
    assert steps == []


async def test_what_is_not_migrated_is_unavailable(new_settings: NewSettings) -> None:
    store = await open_store(new_settings())
    try:
        with pytest.raises(StoreUnavailable):
            await store.open_account(AccountId("someone"))
        with pytest.raises(StoreUnavailable):
            await store.shard_of(Partition(1))
        with pytest.raises(StoreUnavailable):
            await store.rooms_count(store.shard_ids()[0], 1)
    finally:
        await store.close()


RUN = """
import asyncio, sys
from parlor.settings import StoreSettings
from parlor.store.migrations import migrate
settings = StoreSettings.model_validate({"urls": sys.argv[1:], "partitions": 64})
print("changed" if asyncio.run(migrate(settings)).changed else "same")
"""


async def test_four_processes_may_migrate_at_once(new_settings: NewSettings) -> None:
    settings = new_settings(partitions=64)
    urls = [url.get_secret_value() for url in settings.urls]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, *urls, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0, 0], outputs
    assert b"changed\n" in [out for out, _ in outputs]
    assert await sql(settings, None, "SELECT COUNT(*) FROM shard_map") == [(64,)]
    assert not (await migrate(settings)).changed


async def test_another_number_of_partitions_is_refused(new_settings: NewSettings) -> None:
    settings = new_settings(partitions=64)
    await migrate(settings)
    other = settings.model_copy(update={"partitions": 128})
    with pytest.raises(SchemaMismatch, match="64 partitions"):
        await migrate(other)
    store = await open_store(other)
    try:
        with pytest.raises(SchemaMismatch):
            await store.shard_of(Partition(1))
    finally:
        await store.close()


async def test_an_existing_map_is_not_changed_by_more_shards(new_settings: NewSettings) -> None:
    settings = new_settings(shards=3, partitions=64)
    two = settings.model_copy(update={"urls": settings.urls[:2]})
    await migrate(two)
    await sql(two, None, "UPDATE shard_map SET shard_id = 2 WHERE partition_id = 0")
    before = await sql(two, None, "SELECT partition_id, shard_id FROM shard_map ORDER BY partition_id")
    await migrate(settings)
    assert await sql(settings, None, "SELECT partition_id, shard_id FROM shard_map ORDER BY partition_id") == before
    with pytest.raises(SchemaMismatch, match="shard 2"):
        await migrate(settings.model_copy(update={"urls": settings.urls[:1]}))


async def test_the_map_is_read_again_on_demand(new_settings: NewSettings) -> None:
    settings = new_settings(partitions=64)
    await migrate(settings)
    store = await open_store(settings)
    try:
        assert await store.shard_of(Partition(0)) == 1
        await sql(settings, None, "UPDATE shard_map SET shard_id = 2 WHERE partition_id = 0")
        assert await store.shard_of(Partition(0)) == 1
        await store.refresh_shard_map()
        assert await store.shard_of(Partition(0)) == 2
    finally:
        await store.close()


async def test_programs_one_number_apart_share_the_databases(new_settings: NewSettings) -> None:
    """The highest number stays; one that is further away is refused, also while it runs."""
    settings = new_settings(partitions=64)
    for stored, then in ((COMPATIBILITY - 1, COMPATIBILITY), (COMPATIBILITY + 1, COMPATIBILITY + 1)):
        await migrate(settings)
        await sql(settings, None, f"UPDATE meta SET schema_compat = {stored}")  # noqa: S608 # a number
        await migrate(settings)
        assert await sql(settings, None, "SELECT schema_compat FROM meta") == [(then,)]
    await sql(settings, None, f"UPDATE meta SET schema_compat = {COMPATIBILITY + 2}")  # noqa: S608 # a number
    with pytest.raises(SchemaMismatch, match="one apart"):
        await migrate(settings)
    store = await open_store(settings)
    try:
        with pytest.raises(SchemaMismatch, match="one apart"):
            await store.shard_of(Partition(0))
    finally:
        await store.close()


async def test_a_migration_that_was_changed_after_it_was_applied_is_refused(new_settings: NewSettings) -> None:
    settings = new_settings()
    await migrate(settings)
    await sql(settings, 2, "UPDATE schema_migrations SET checksum = 'another' WHERE version = 2")
    with pytest.raises(SchemaMismatch, match="0002_"):
        await migrate(settings)


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_a_migration_that_stopped_half_way_is_resumed(new_settings: NewSettings, own_sql: Path) -> None:
    settings = new_settings(shards=1)
    head = "-- Database: shard\n"
    first = "CREATE TABLE IF NOT EXISTS one (a INT PRIMARY KEY);\n"
    third = "INSERT INTO one VALUES (1) ON DUPLICATE KEY UPDATE a = a;\n"
    path = own_sql / "0900_extra.sql"
    path.write_text(head + first + "CREATE TABLE two (a NO_SUCH_TYPE);\n" + third)
    with pytest.raises(StoreUnavailable):
        await migrate(settings)
    state = "SELECT statements_done, finished_at IS NULL FROM schema_migrations WHERE version = 900"
    assert await sql(settings, 1, state) == [(1, 1)]

    steps: list[str] = []
    path.write_text(head + first + "CREATE TABLE two (a INT);\n" + third)
    await migrate(settings, steps.append)
    assert "shard 1: 0900_extra" in steps
    assert await sql(settings, 1, state) == [(3, 0)]

    # As if the process had died between a statement and its note: the last note says 2 of 3.
    await sql(settings, 1, "UPDATE schema_migrations SET statements_done = 2, finished_at = NULL WHERE version = 900")
    steps.clear()
    await migrate(settings, steps.append)
    assert steps == ["shard 1: 0900_extra from statement 3"]
    assert await sql(settings, 1, state) == [(3, 0)]


FIRST = {
    "0001_global_accounts", "0002_shard", "0002_shard_rooms", "0003_shard_messages", "0004_shard_partition_progress",
    "0005_shard_account_daily",
    # Later, and read by every migration.
    "0005_global_installation", "0006_shard_installation", "0009_global_installation", "0010_shard_installation",
}  # fmt: skip
"""The tables that an installation of the first release has."""
FIRST_MESSAGE_SAVE = """
INSERT INTO messages (room_id, seq, message_id, sender_type, content, sent_at, version, attempt, metadata)
VALUES (x'{room}', 1, x'{message}', 'USER', 'old text', 5, 1, 0, '{{}}')
"""
FIRST_ROOM_CREATE = """
INSERT INTO rooms (room_id, partition_id, account_id, account_db_key, title, ai_persona, created_at, message_count,
                   version, last_seq)
VALUES (x'{room}', 1, 'ada', 7, 'Old room', 'GPT4O', 4, 1, 1, 1)
"""


def take_away(folder: Path, *patterns: str) -> dict[Path, bytes]:
    """The table files that came later, those of the patterns, are removed; what they were."""
    found = (path for pattern in patterns or ("0*.sql",) for path in folder.glob(f"**/{pattern}"))
    later = {path: path.read_bytes() for path in found if path.stem not in FIRST}
    for path in later:
        path.unlink()
    return later


async def test_a_database_of_the_first_release_is_brought_forward_with_its_rows(
    new_settings: NewSettings, own_sql: Path
) -> None:
    later = take_away(own_sql)
    settings = new_settings(shards=1)
    await migrate(settings)
    fixtures = StoreFixtures(
        await open_store(settings), Partition(1), PartitionProgress(Partition(1), 0, 0, QueuePosition(0, 0))
    )
    doc = fixtures.doc(content="old text")
    room_id = fixtures.room_id()
    ids = {"room": room_id.replace("-", ""), "message": doc.message_id.replace("-", "")}
    await sql(settings, None, "INSERT INTO accounts (account_id, partition_id) VALUES ('ada', 1)")
    await sql(settings, 1, FIRST_ROOM_CREATE.format(**ids), FIRST_MESSAGE_SAVE.format(**ids))

    for path, text in later.items():
        path.write_bytes(text)
    steps: list[str] = []
    try:
        assert (await migrate(settings, steps.append)).changed
        assert sorted(steps) == sorted(
            f"{'global' if b'-- Database: global' in text else 'shard 1'}: {path.stem}"
            for path, text in later.items()
            if (path.parent.name == "sqlite") == is_sqlite(settings)
        )
        assert not (await migrate(settings)).changed

        await fixtures.store.open_partition(SHARD, fixtures.partition)
        fixtures.epoch, fixtures.incarnation = (
            (await fixtures.store.acquire_partition(SHARD, fixtures.partition)).epoch,
            1,
        )
        room = await fixtures.room(room_id)
        assert room is not None
        assert (room.title, room.summary, room.summary_through, room.summary_version) == ("Old room", "", 0, 0)
        (stored,) = await fixtures.messages(room_id)
        assert stored.doc.content == "old text"
        await fixtures.write(
            saves=[MessageSave(room_id, 1, fixtures.doc(doc.message_id, "new text", version=2))],
            versions=[VersionSave(room_id, 1, stored.doc)],
        )
        await fixtures.apply(Batch([fixtures.fence()], summary_saves=[SummarySave(room_id, "sum", 1, 1, 9)]))
        assert [past.content for past in await fixtures.versions(room_id)] == ["old text"]
        room = await fixtures.room(room_id)
        assert room is not None
        assert room.summary == "sum"
    finally:
        await fixtures.store.close()


PARTS = ("0*_shard_message_parts.sql", "0*_shard_waiting_calls.sql")
"""The column, and what reads it."""
PLAIN_SAVE = """
INSERT INTO {table} (room_id, seq, message_id, sender_type, content, sent_at, version, attempt, metadata)
VALUES (x'{room}', 1, x'{message}', 'AI', 'what was said', 5, {version}, 1, '{{"a": 1}}')
"""


async def test_rows_from_before_there_were_parts_are_read_as_they_were(
    new_settings: NewSettings, own_sql: Path
) -> None:
    later = take_away(own_sql, *PARTS)
    assert len(later) == 4
    settings = new_settings(shards=1)
    await migrate(settings)
    fixtures = StoreFixtures(
        await open_store(settings), Partition(1), PartitionProgress(Partition(1), 0, 0, QueuePosition(0, 0))
    )
    room_id, message_id = fixtures.room_id(), fixtures.message_id()
    ids = {"room": room_id.replace("-", ""), "message": message_id.replace("-", "")}
    await sql(settings, None, "INSERT INTO accounts (account_id, partition_id) VALUES ('ada', 1)")
    await sql(
        settings,
        1,
        FIRST_ROOM_CREATE.format(**ids),
        PLAIN_SAVE.format(table="messages", version=3, **ids),
        PLAIN_SAVE.format(table="message_versions", version=1, **ids),
    )
    for path, text in later.items():
        path.write_bytes(text)
    try:
        await migrate(settings)
        (row,) = await fixtures.messages(room_id)
        (version,) = await fixtures.versions(room_id)
        for doc in (row.doc, version):
            assert (doc.content, doc.metadata, doc.parts) == ("what was said", {"a": 1}, None)
            assert parts_of(doc.content, doc.parts) == [TextPart("what was said")]
        await fixtures.store.open_partition(SHARD, fixtures.partition)
        held = await fixtures.store.acquire_partition(SHARD, fixtures.partition)
        fixtures.epoch, fixtures.incarnation = held.epoch, 1
        parts = (ReasoningPart("because", 7), TextSpan(3))
        doc = msgspec.structs.replace(row.doc, content="now", version=5, parts=parts)
        await fixtures.write(saves=[MessageSave(room_id, 1, doc)], versions=[VersionSave(room_id, 1, row.doc)])
        assert [stored.doc for stored in await fixtures.messages(room_id)] == [doc]
        assert [past.parts for past in await fixtures.versions(room_id)] == [None, None]
    finally:
        await fixtures.store.close()


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_columns_that_were_added_and_not_written_down_are_taken_as_done(new_settings: NewSettings) -> None:
    settings = new_settings(shards=1)
    await migrate(settings)
    await sql(settings, 1, "UPDATE schema_migrations SET statements_done = 0, finished_at = NULL WHERE version = 7")
    report = await migrate(settings)
    assert report.databases[1].applied == ["0007_shard_room_summaries"]
    assert not (await migrate(settings)).changed


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_a_table_that_names_a_column_twice_is_no_column_that_was_added(
    new_settings: NewSettings, own_sql: Path
) -> None:
    path = own_sql / "0900_extra.sql"
    path.write_text("-- Database: shard\nCREATE TABLE IF NOT EXISTS one (a INT, a INT);\n")
    with pytest.raises(StoreUnavailable) as caught:
        await migrate(new_settings(shards=1))
    assert "(1060)" in caught.value.debug


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_migration_that_fails_leaves_nothing_behind(new_settings: NewSettings, own_sql: Path) -> None:
    settings = new_settings(shards=1)
    path = own_sql / "sqlite" / "0900_extra.sql"
    path.write_text("-- Database: shard\nCREATE TABLE one (a INT);\nCREATE NONSENSE;\n")
    with pytest.raises(StoreUnavailable):
        await migrate(settings)
    assert await sql(settings, 1, "SELECT name FROM sqlite_master") == []
    path.write_text("-- Database: shard\nCREATE TABLE one (a INT);\n")
    assert (await migrate(settings)).changed
    assert await sql(settings, 1, "SELECT COUNT(*) FROM one") == [(0,)]


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_only_procedures_that_changed_or_are_missing_are_created_again(
    new_settings: NewSettings, own_sql: Path
) -> None:
    settings = new_settings(shards=1)
    await migrate(settings)
    path = own_sql / "procedures" / "fp_chat_rooms_count.sql"
    path.write_text(path.read_text().replace("COUNT(*)", "COUNT(*) + 1000"))
    await sql(settings, 1, "DROP PROCEDURE fp_chat_room_get")
    report = await migrate(settings)
    assert report.databases[1].applied == ["fp_chat_room_get", "fp_chat_rooms_count"]
    store = await open_store(settings)
    try:
        assert await store.rooms_count(store.shard_ids()[0], 1) == 1000
    finally:
        await store.close()


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_the_files_also_load_with_the_mysql_client(new_settings: NewSettings) -> None:
    import shutil

    client = shutil.which("mariadb") or shutil.which("mysql")
    if client is None:
        pytest.skip("no mysql client is installed")
    settings = new_settings(shards=1)
    await migrate(settings)
    address = parse_address(settings.urls[0].get_secret_value())
    assert isinstance(address, MySqlAddress)
    name = f"{address.database}_client"
    await sql(settings, 1, f"CREATE DATABASE {name} CHARACTER SET latin1")
    root = sql_files.sql_root()
    files = [root / f"{file.name}.sql" for file in sql_files.read_migrations("mysql", "shard")]
    of_this = "SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() ORDER BY 1"
    files += [root / "procedures" / f"{name}.sql" for (name,) in await sql(settings, 1, of_this)]
    process = await asyncio.create_subprocess_exec(
        client, "--no-defaults", "-uroot", f"--socket={address.unix_socket}", "--default-character-set=latin1", name,
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate(b"\n".join(path.read_bytes() for path in files))
    assert (process.returncode, errors) == (0, b"")
    routines = "SELECT routine_name, {} FROM information_schema.routines WHERE routine_schema = '{}' ORDER BY 1"
    what = "SHA2(routine_definition, 256), sql_mode"
    assert await sql(settings, 1, routines.format(what, name)) == await sql(
        settings, 1, routines.format(what, address.database)
    )
