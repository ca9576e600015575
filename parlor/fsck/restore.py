"""Putting a backup into databases that hold nothing, of any kind and any number of shards."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import msgspec

from parlor.errors import InvalidRequest
from parlor.files.archive import Archive
from parlor.files.ports import FileStore
from parlor.fsck.manifest import (
    BLOBS,
    BackupDamaged,
    Manifest,
    Piece,
    blob_piece,
    dashed,
    read_bytes,
    read_rows,
    require_blob_id,
)
from parlor.model.ids import ShardId, partition_of
from parlor.store.addresses import StoreAddresses
from parlor.store.filling import FILL_BACKLOG, filling, is_empty
from parlor.store.tables import GLOBAL_TABLES, SHARD_TABLES, Table, Values

ROWS_AT_ONCE = 200
"""Rows of one statement. MySQL takes so many that a packet is full, and then begins another."""


class Restored(msgspec.Struct, frozen=True):
    rows: int
    blobs: int
    """Pieces of bytes."""


class Restore:
    """``home`` says on which shard a partition lives. ``on_step`` gets a line for each step."""

    def __init__(
        self,
        archive: Archive,
        manifest: Manifest,
        addresses: StoreAddresses,
        files: FileStore,
        home: Callable[[int], ShardId],
        on_step: Callable[[str], None],
    ) -> None:
        self._archive = archive
        self._manifest = manifest
        self._addresses = addresses
        self._files = files
        self._home = home
        self._on_step = on_step
        self._gone = frozenset(manifest.missing_blobs)
        self._partition_of = array("i")
        """The partitions of accounts, by their numbers."""

    async def run(self) -> Restored:
        """Raises ``InvalidRequest`` when the databases hold something, ``BackupDamaged`` and ``StoreUnavailable``.

        The accounts are written last: until then no start accepts these databases.
        """
        await self._require_empty()
        known = {table.name: table for table in (*GLOBAL_TABLES, *SHARD_TABLES)}
        for piece in self._manifest.pieces:
            if piece.database == BLOBS:
                continue
            if piece.table not in known or not set(piece.columns) <= known[piece.table].columns.keys():
                raise BackupDamaged(f"{piece.name} has columns that this version does not know: use a newer one")
        await self._know_accounts()
        blobs = await self._blobs()
        rows = 0
        for table in SHARD_TABLES:
            rows += await self._shard_table(table)
            self._on_step(table.name)
        for address in self._addresses.shards.values():
            async with filling(address) as shard:
                await shard.run(FILL_BACKLOG)
        async with filling(self._addresses.global_) as database:
            for table in GLOBAL_TABLES:
                for piece in self._of(table):
                    found = await read_rows(self._archive, piece)
                    rows += len(found)
                    for start in range(0, len(found), ROWS_AT_ONCE):
                        await database.add(table, piece.columns, found[start : start + ROWS_AT_ONCE])
        self._on_step("accounts")
        return Restored(rows, blobs)

    async def _require_empty(self) -> None:
        databases = [("global", self._addresses.global_), *(("shard", one) for one in self._addresses.shards.values())]
        for role, address in databases:
            if not await is_empty(address, role):
                raise InvalidRequest(
                    f"{address.label} is not empty: a backup is restored into new databases. Give another --data-dir, "
                    "or the addresses of databases that hold nothing"
                )

    async def _know_accounts(self) -> None:
        accounts = next(table for table in GLOBAL_TABLES if table.name == "accounts")
        for piece in self._of(accounts):
            key, partition = piece.columns.index("account_db_key"), piece.columns.index("partition_id")
            for row in await read_rows(self._archive, piece):
                number = int(str(row[key]))
                if number >= len(self._partition_of):
                    self._partition_of.extend([-1] * (number + 1 - len(self._partition_of)))
                self._partition_of[number] = int(str(row[partition]))

    async def _shard_table(self, table: Table) -> int:
        count = 0
        for piece in self._of(table):
            by_shard: dict[ShardId, list[Values]] = {}
            for row in await read_rows(self._archive, piece):
                if self._is_gone(table, piece.columns, row):
                    continue
                by_shard.setdefault(self._shard_of(table, row), []).append(_moved_on(table, piece.columns, row))
            for shard, rows in by_shard.items():
                async with filling(self._addresses.shards[shard]) as database:
                    for start in range(0, len(rows), ROWS_AT_ONCE):
                        await database.add(table, piece.columns, rows[start : start + ROWS_AT_ONCE])
                count += len(rows)
        return count

    def _is_gone(self, table: Table, columns: list[str], row: Values) -> bool:
        """A file whose bytes were gone when they were to be read: it was deleted while the backup was made."""
        return table.name == "files" and row[columns.index("blob_id")] in self._gone

    def _shard_of(self, table: Table, row: Values) -> ShardId:
        first = row[0]
        if table.home == "partition":
            return self._home(int(str(first)))
        if table.home == "account":
            number = int(str(first))
            # Use of an account that nobody knows is kept: it belongs to somebody who was deleted.
            partition = self._partition_of[number] if number < len(self._partition_of) else -1
            return self._home(max(partition, 0))
        found = partition_of(dashed(str(first)))
        if found is None:
            raise BackupDamaged(f"{table.name} has a row with an id that is none")
        return self._home(found)

    async def _blobs(self) -> int:
        """The bytes, before any row names them."""
        pieces = [piece for piece in self._manifest.pieces if piece.database == BLOBS]
        parts: list[Values] = []
        count = 0
        for piece in pieces:
            for row in await read_rows(self._archive, piece):
                if parts and parts[0][0] != row[0]:
                    count += await self._blob(parts)
                    parts = []
                parts.append(row)
        if parts:
            count += await self._blob(parts)
        self._on_step("files")
        return count

    async def _blob(self, parts: list[Values]) -> int:
        blob_id = str(parts[0][0])
        require_blob_id(blob_id)
        async with self._files.writing(dashed(blob_id)) as writer:
            for _, number, _, sha256 in parts:
                await writer.write(await read_bytes(self._archive, blob_piece(blob_id, int(str(number))), str(sha256)))
            await writer.keep()
        return len(parts)

    def _of(self, table: Table) -> list[Piece]:
        return [piece for piece in self._manifest.pieces if piece.table == table.name and piece.database != BLOBS]


def _moved_on(table: Table, columns: list[str], row: Values) -> Values:
    """Of a partition's progress: the epoch and the incarnation after it, so that neither a writer nor a queue that was
    there before can go on as if nothing had happened."""
    if table.name != "partition_progress":
        return row
    rising = {columns.index("epoch"), columns.index("incarnation")}
    return [int(str(value)) + 1 if number in rising else value for number, value in enumerate(row)]
