"""A backup has all of every database, from each kind into each kind, and any number of shards."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parlor.errors import InvalidRequest
from parlor.files.archive import Archive, open_archive
from parlor.files.directory import DirectoryStore
from parlor.fsck.backup import Backup, BackupPorts
from parlor.fsck.manifest import (
    BLOB_COLUMNS,
    BLOBS,
    NAME,
    BackupDamaged,
    Manifest,
    Piece,
    dashed,
    read_manifest,
)
from parlor.fsck.restore import Restore
from parlor.model.ids import IdMint, InstallationId, Partition, ShardId
from parlor.model.messages import QueuePosition
from parlor.settings import StoreSettings
from parlor.store.filling import filling
from parlor.store.migrations import migrate, open_store, owner_addresses
from parlor.store.partition_moves import MoveBook, Step
from parlor.store.sessions import open_session
from parlor.store.snapshots import snapshot
from parlor.store.tables import GENERATED, GLOBAL_TABLES, NOT_KEPT, SHARD_TABLES, Table, Value, Values
from tests.contract.store.databases import NewSettings, is_sqlite, sql
from tests.unit.fake_clock import SeededEntropy, TickingClock

pytestmark = pytest.mark.contract

of_the_archive = pytest.mark.parametrize("engine", ["sqlite"])
"""Which databases the rows came from has no part in it."""

PARTITIONS = 8
INSTALLATION = InstallationId("11111111-1111-4111-8111-111111111111")
NULLABLE = frozenset(
    {"finished_at", "retired_at", "expires_at", "used_at", "last_message_at", "deleted_at", "summary", "summary_at"}
    | {"external_id", "ai_persona", "parent_message_id", "finish_reason", "input_tokens", "output_tokens"}
    | {"error_code", "error_detail", "parts"}
)
NEEDED = {("rooms", "ai_persona")} | {
    (table, column) for table in ("account_use", "account_daily") for column in ("input_tokens", "output_tokens")
}
MINT = IdMint(TickingClock(), SeededEntropy(5))
SHORT = {"standing": "active", "finish_reason": "stop", "sender_type": "AI", "limits": "{}"}


def value(table: Table, column: str, number: int, identifier: str) -> Value:
    if number and column in NULLABLE and (table.name, column) not in NEEDED:
        return None
    match table.columns[column]:
        case "id":
            return identifier
        case "day":
            return f"2026-01-{number + 1:02}"
        case "number":
            return number % PARTITIONS if column == "partition_id" else number + 1
    if column in ("metadata", "content", "title", "error_detail"):
        return f"{{}}' \\ \" %s müller \u2028 \U0001f914 {number}"
    return SHORT.get(column, f"ü{number}")


async def fill(settings: StoreSettings) -> None:
    """Rows with odd values in every table."""
    await migrate(settings, new=INSTALLATION)
    addresses = owner_addresses(settings)
    numbers = range(2 * PARTITIONS)
    ids = [MINT.room_id(Partition(number % PARTITIONS)).replace("-", "") for number in numbers]
    for table in GLOBAL_TABLES:
        if table.name != "access_head":
            async with filling(addresses.global_) as database:
                rows = [[value(table, column, number, "") for column in table.columns] for number in numbers]
                await database.add(table, list(table.columns), rows)
    store = await open_store(settings)
    for table in SHARD_TABLES:
        for number in numbers[: PARTITIONS if table.home == "partition" else len(numbers)]:
            shard = await store.shard_of(Partition(number % PARTITIONS))
            async with filling(addresses.shards[shard]) as database:
                row: Values = [value(table, column, number, ids[number]) for column in table.columns]
                await database.add(table, list(table.columns), [row])
    await store.close()


class NoQueues:
    """An idle Redis."""

    async def partition(self, _: Partition) -> Any:
        class Known:
            last = QueuePosition(0, 0)

        return Known()

    async def of_partition(self, _: Partition) -> list[object]:
        return []


async def contents(settings: StoreSettings) -> dict[str, list[list[Value]]]:
    """Every row of every table, whichever shard has it."""
    found: dict[str, list[list[Value]]] = {}
    addresses = owner_addresses(settings)
    async with snapshot(addresses.global_) as one:
        for table in GLOBAL_TABLES:
            found[table.name] = [row async for row in one.rows(table)]
    for address in addresses.shards.values():
        async with snapshot(address) as one:
            for table in SHARD_TABLES:
                found[table.name] = sorted(found.get(table.name, []) + [row async for row in one.rows(table)], key=str)
    return found


async def back_up(settings: StoreSettings, archive: Archive, files: DirectoryStore) -> Manifest:
    store = await open_store(settings)
    idle: Any = NoQueues()
    try:
        ports = BackupPorts(idle, idle, store, owner_addresses(settings), files, TickingClock())
        return await Backup(ports, archive, 1, lambda _: None).run()
    finally:
        await store.close()


async def restore(settings: StoreSettings, archive: Archive, files: DirectoryStore) -> None:
    manifest = await read_manifest(archive)
    await migrate(settings, new=manifest.installation)
    store = await open_store(settings)
    homes = {int(p): shard for shard in store.shard_ids() for p in await store.partitions_of(shard)}
    await store.close()

    def home(partition: int) -> ShardId:
        return homes[partition]

    await Restore(archive, manifest, owner_addresses(settings), files, home, lambda _: None).run()


def files_in(path: Path) -> DirectoryStore:
    async def own() -> InstallationId:
        return INSTALLATION

    return DirectoryStore(path, own, 10)


async def keep_bytes(files: DirectoryStore, settings: StoreSettings) -> None:
    """Bytes of every file that the shards name."""
    for row in (await contents(settings))["files"]:
        async with files.writing(dashed(str(row[0]))) as writer:
            await writer.write(b"x" * int(str(row[list(files_table().columns).index("size")])))
            await writer.keep()


def files_table() -> Table:
    return next(table for table in SHARD_TABLES if table.name == "files")


@pytest.fixture
async def backed_up(new_settings: NewSettings, tmp_path: Path) -> tuple[StoreSettings, Archive]:
    settings = new_settings(shards=2, partitions=PARTITIONS)
    await fill(settings)
    files = files_in(tmp_path / "files")
    await keep_bytes(files, settings)
    archive = open_archive(str(tmp_path / "backup"))
    manifest = await back_up(settings, archive, files)
    assert manifest.counts["rooms"] == 2 * PARTITIONS
    assert manifest.missing_blobs == []
    return settings, archive


@pytest.mark.parametrize(("shards", "other"), [(1, False), (3, False), (2, True)])
async def test_every_row_comes_back(
    backed_up: tuple[StoreSettings, Archive],
    new_settings: NewSettings,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    shards: int,
    other: bool,
) -> None:
    settings, archive = backed_up
    target = new_settings(shards=shards, partitions=PARTITIONS)
    if other and is_sqlite(settings):
        server = request.getfixturevalue("mysql")
        urls = [server.url.replace("/parlor?", f"/restored_{number}?") for number in range(shards)]
        target = StoreSettings.model_validate({"urls": urls, "partitions": PARTITIONS})
    elif other:
        urls = [f"sqlite:///{tmp_path}/restored_{number}.db" for number in range(shards)]
        target = StoreSettings.model_validate({"urls": urls, "partitions": PARTITIONS})
    await restore(target, archive, files_in(tmp_path / "restored"))
    expected = await contents(settings)
    for row in expected["partition_progress"]:
        row[1:3] = [int(str(number)) + 1 for number in row[1:3]]
    found = await contents(target)
    for table in (*GLOBAL_TABLES, *SHARD_TABLES):
        assert found[table.name] == sorted(expected[table.name], key=str) or found[table.name] == expected[table.name]
    assert {blob.blob_id async for blob in files_in(tmp_path / "restored").blobs()} == {
        dashed(str(row[0])) for row in expected["files"]
    }
    backlog = [
        row for shard in range(1, shards + 1) for row in await sql(target, shard, "SELECT seq FROM search_backlog")
    ]
    assert len(backlog) == 2 * PARTITIONS - 1, "everything that is not deleted waits to be indexed"


async def test_a_restore_needs_databases_that_hold_nothing(
    backed_up: tuple[StoreSettings, Archive], tmp_path: Path
) -> None:
    settings, archive = backed_up
    with pytest.raises(InvalidRequest, match="is not empty"):
        await restore(settings, archive, files_in(tmp_path / "restored"))


@of_the_archive
async def test_a_piece_that_has_changed_is_refused(
    backed_up: tuple[StoreSettings, Archive], new_settings: NewSettings, tmp_path: Path
) -> None:
    _, archive = backed_up
    piece = next(piece for piece in (await read_manifest(archive)).pieces if piece.table == "messages")
    await archive.put(piece.name, b"other")
    with pytest.raises(BackupDamaged, match="has changed"):
        await restore(new_settings(shards=1, partitions=PARTITIONS), archive, files_in(tmp_path / "restored"))


@of_the_archive
@pytest.mark.parametrize("outside", ["/var/lib/other", "../../../../other", "a" * 31, "A" * 32, f"{'a' * 32}/../../x"])
async def test_bytes_are_restored_into_the_file_store_and_nowhere_else(
    backed_up: tuple[StoreSettings, Archive], new_settings: NewSettings, tmp_path: Path, outside: str
) -> None:
    _, archive = backed_up
    manifest = await read_manifest(archive)
    data = gzip.compress(msgspec.json.encode([outside, 1, 4, hashlib.sha256(b"mine").hexdigest()]))
    blobs = Piece(
        "files/blobs-00009.jsonl.gz", BLOBS, "blobs", BLOB_COLUMNS, 1, len(data), hashlib.sha256(data).hexdigest()
    )
    await archive.put(blobs.name, data)
    await write_manifest(archive, manifest, [*manifest.pieces, blobs])
    with pytest.raises(BackupDamaged, match="an id that is none"):
        await restore(new_settings(shards=1, partitions=PARTITIONS), archive, files_in(tmp_path / "restored"))


@of_the_archive
@pytest.mark.parametrize(
    "name", ["../rooms-00001.jsonl.gz", "/etc/passwd", "shard-1/../../x-00001.jsonl.gz", "files/a"]
)
async def test_a_piece_is_within_its_backup(backed_up: tuple[StoreSettings, Archive], name: str) -> None:
    _, archive = backed_up
    manifest = await read_manifest(archive)
    await write_manifest(archive, manifest, [msgspec.structs.replace(manifest.pieces[0], name=name)])
    with pytest.raises(BackupDamaged, match="a piece that no backup has"):
        await read_manifest(archive)


@of_the_archive
async def test_a_table_that_nobody_knows_is_refused(
    backed_up: tuple[StoreSettings, Archive], new_settings: NewSettings, tmp_path: Path
) -> None:
    _, archive = backed_up
    manifest = await read_manifest(archive)
    other = msgspec.structs.replace(manifest.pieces[0], table="sqlite_master")
    await write_manifest(archive, manifest, [*manifest.pieces, other])
    with pytest.raises(BackupDamaged, match="does not know"):
        await restore(new_settings(shards=1, partitions=PARTITIONS), archive, files_in(tmp_path / "restored"))


async def write_manifest(archive: Archive, manifest: Manifest, pieces: list[Piece]) -> None:
    changed = msgspec.structs.replace(manifest, pieces=pieces)
    await archive.put(NAME, msgspec.json.encode(changed))


async def test_without_its_manifest_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(BackupDamaged, match="did not end"):
        await read_manifest(open_archive(str(tmp_path)))


async def test_a_file_whose_bytes_went_meanwhile_is_left_out(new_settings: NewSettings, tmp_path: Path) -> None:
    settings = new_settings(shards=1, partitions=PARTITIONS)
    await fill(settings)
    files = files_in(tmp_path / "files")
    await keep_bytes(files, settings)
    first = str((await contents(settings))["files"][0][0])
    await files.delete(dashed(first))
    archive = open_archive(str(tmp_path / "backup"))
    assert (await back_up(settings, archive, files)).missing_blobs == [first]
    target = new_settings(shards=1, partitions=PARTITIONS)
    await restore(target, archive, files_in(tmp_path / "restored"))
    assert len((await contents(target))["files"]) == 2 * PARTITIONS - 1


@of_the_archive
async def test_a_place_takes_one_backup(backed_up: tuple[StoreSettings, Archive], tmp_path: Path) -> None:
    settings, archive = backed_up
    with pytest.raises(InvalidRequest, match="a place of its own"):
        await back_up(settings, archive, files_in(tmp_path / "files"))


async def test_every_table_and_column_is_kept_or_known_not_to_be(settings: StoreSettings) -> None:
    for role, tables, shard in (("global", GLOBAL_TABLES, None), ("shard", SHARD_TABLES, 1)):
        if is_sqlite(settings):
            query = (
                "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_xinfo(m.name) AS c"
                " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'message_search_tokens_%'"
            )
        else:
            query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        there = {(str(table), str(column)) for table, column in await sql(settings, shard, query)}
        kept = {(table.name, column) for table in tables for column in table.columns}
        left = {(table, column) for table, column in there - GENERATED if table not in NOT_KEPT}
        assert left == kept, role


async def test_a_backup_refuses_while_a_partition_moves(new_settings: NewSettings, tmp_path: Path) -> None:
    settings = new_settings(shards=2, partitions=PARTITIONS)
    await migrate(settings, new=INSTALLATION)
    async with open_session(owner_addresses(settings).global_) as session:
        book = MoveBook(session)
        move = await book.begin(Partition(0), ShardId(2), "runner", 1)
        with pytest.raises(InvalidRequest, match="Partition 0 moves to shard 2"):
            await back_up(settings, open_archive(str(tmp_path / "one")), files_in(tmp_path / "files"))
        await book.advance(move, Step.DONE, finished_at=2)
    await back_up(settings, open_archive(str(tmp_path / "two")), files_in(tmp_path / "files"))
