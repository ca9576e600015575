"""A backup of an installation that runs: consistent, in pieces, never half there.

First every queue is waited for until its shard has what had been accepted when the backup began. Then each database is
caught at one moment (a snapshot of its own transaction), the shards before the global one, so that no room is without
its account. Rows are written as they are read, the bytes of files last, and the manifest behind all of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version

import msgspec

from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.clock import Clock
from parlor.errors import InvalidRequest, StoreUnavailable
from parlor.files.archive import Archive
from parlor.files.ports import BytesMissing, FileStore
from parlor.fsck.manifest import (
    BLOB_COLUMNS,
    BLOBS,
    FORMAT,
    NAME,
    Manifest,
    PartitionPoint,
    Piece,
    PieceWriter,
    blob_piece,
    dashed,
)
from parlor.model.ids import Partition, ShardId
from parlor.model.messages import QueuePosition
from parlor.store.addresses import StoreAddresses
from parlor.store.partition_moves import MoveBook
from parlor.store.ports import ChatStore
from parlor.store.sessions import open_session
from parlor.store.snapshots import Snapshot, snapshot
from parlor.store.tables import GLOBAL_TABLES, SHARD_TABLES, Table, Values

PIECE = 8 * 1024 * 1024
"""Bytes of rows, or of a file, that are kept in memory and become one piece. A row alone may be larger."""
POLL = 0.2
"""Seconds between two looks at the watermarks."""


class BackupPorts(msgspec.Struct, frozen=True):
    audit: AuditCache
    dead_letters: DeadLetterCache
    store: ChatStore
    addresses: StoreAddresses
    """With the user that may read tables."""
    files: FileStore
    clock: Clock


class Backup:
    """``wait``: seconds for the queues. ``on_step`` gets a line for each step."""

    def __init__(self, ports: BackupPorts, archive: Archive, wait: float, on_step: Callable[[str], None]) -> None:
        self._ports = ports
        self._archive = archive
        self._wait = wait
        self._on_step = on_step
        self._pieces: list[Piece] = []

    async def run(self) -> Manifest:
        """Raises ``InvalidRequest`` when the place has a backup already, ``StoreUnavailable`` and ``CacheUnavailable``
        when anything cannot be read or written, or a queue is not stored in time."""
        if await self._archive.get(NAME) is not None:
            raise InvalidRequest("There is a backup already: give each one a place of its own")
        await self._require_no_move()
        began_at = self._ports.clock.now_ms()
        asked = await self._caught_up()
        async with AsyncExitStack() as stack:
            shards = {
                shard: await stack.enter_async_context(snapshot(address))
                for shard, address in self._ports.addresses.shards.items()
            }
            point_at = self._ports.clock.now_ms()
            global_ = await stack.enter_async_context(snapshot(self._ports.addresses.global_))
            points: list[PartitionPoint] = []
            for shard, one in shards.items():
                points += await self._shard(shard, one, asked)
            await self._tables("global", global_, GLOBAL_TABLES, lambda table, row: _unfinished(table, row, began_at))
            missing = await self._blobs(list(shards.values()))
            await self._require_no_move(began_at)
        dead = await asyncio.gather(*(self._ports.dead_letters.of_partition(partition) for partition in asked))
        manifest = Manifest(
            format=FORMAT,
            program=version("parlor"),
            installation=await self._ports.store.installation(),
            partition_count=len(asked),
            partitions=sorted(points, key=lambda point: point.partition),
            shards=len(shards),
            began_at=began_at,
            point_at=point_at,
            dead_letters=sum(map(len, dead)),
            missing_blobs=missing,
            pieces=self._pieces,
            counts=_counts(self._pieces),
        )
        await self._archive.put(NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        return manifest

    async def _require_no_move(self, since: int | None = None) -> None:
        """Rows of a partition that moves are on two shards. Raises ``InvalidRequest`` when one does, or did since."""
        async with open_session(self._ports.addresses.global_) as session:
            for move in await MoveBook(session).unfinished_since(since):
                raise InvalidRequest(
                    f"Partition {move.partition} moves to shard {move.target}: back up when it is there"
                )

    async def _caught_up(self) -> dict[Partition, QueuePosition]:
        """Waits until every shard has what was queued by now; returns the last position of each partition."""
        store = self._ports.store
        homes = {p: shard for shard in store.shard_ids() for p in await store.partitions_of(shard)}
        cached = await asyncio.gather(*map(self._ports.audit.partition, homes))
        asked = {partition: one.last for partition, one in zip(homes, cached, strict=True)}
        deadline = self._ports.clock.monotonic() + self._wait
        self._on_step(f"waiting for {len(asked)} queues")
        while True:
            rows = [row for shard in store.shard_ids() for row in await store.progress(shard)]
            applied = {row.partition: row.applied for row in rows}
            behind = [p for p, last in asked.items() if last.number and applied.get(p, QueuePosition(0, 0)) < last]
            if not behind:
                return asked
            if self._ports.clock.monotonic() > deadline:
                raise StoreUnavailable(
                    f"{len(behind)} queues were not stored within {self._wait:.0f} s",
                    debug=f"partition {behind[0]}: is Parlor running?",
                )
            await self._ports.clock.sleep(POLL)

    async def _shard(
        self, shard: ShardId, one: Snapshot, asked: dict[Partition, QueuePosition]
    ) -> list[PartitionPoint]:
        points: list[PartitionPoint] = []

        def note(table: Table, row: Values) -> Values:
            if table.name == "partition_progress":
                partition, epoch, incarnation, applied_incarnation, applied_number = map(int, map(str, row))
                at = f"{applied_incarnation}-{applied_number}"
                of = str(asked.get(Partition(partition), "0-0"))
                points.append(PartitionPoint(Partition(partition), shard, epoch, incarnation, at, of))
            return row

        await self._tables(f"shard-{shard}", one, SHARD_TABLES, note)
        return points

    async def _tables(
        self, database: str, one: Snapshot, tables: tuple[Table, ...], change: Callable[[Table, Values], Values]
    ) -> None:
        for table in tables:
            writer = PieceWriter(self._archive, database, table.name, list(table.columns), PIECE)
            async for row in one.rows(table):
                await writer.add(change(table, row))
            await writer.flush()
            self._pieces += writer.pieces
        self._on_step(database)

    async def _blobs(self, shards: list[Snapshot]) -> list[str]:
        """The bytes of every file that the shards name; returns which were gone."""
        files = next(table for table in SHARD_TABLES if table.name == "files")
        blob, size = (list(files.columns).index(name) for name in ("blob_id", "size"))
        writer = PieceWriter(self._archive, BLOBS, "blobs", BLOB_COLUMNS, PIECE)
        done: set[str] = set()
        missing: list[str] = []
        for one in shards:
            async for row in one.rows(files):
                blob_id = str(row[blob])
                if blob_id in done:
                    continue
                done.add(blob_id)
                try:
                    await self._blob(blob_id, int(str(row[size])), writer)
                except BytesMissing:
                    missing.append(blob_id)
        await writer.flush()
        self._pieces += writer.pieces
        self._on_step(f"{len(done)} files")
        return missing

    async def _blob(self, blob_id: str, size: int, writer: PieceWriter) -> None:
        start, number = 0, 0
        while start < size:
            number += 1
            stop = min(start + PIECE, size)
            chunks = [chunk async for chunk in self._ports.files.read(dashed(blob_id), start, stop)]
            data = b"".join(chunks)
            await self._archive.put(blob_piece(blob_id, number), data)
            await writer.add([blob_id, number, len(data), hashlib.sha256(data).hexdigest()])
            start = stop


def _unfinished(table: Table, row: Values, began_at: int) -> Values:
    """An account's deletion that ended while the backup was made is done again: the shards were caught before it."""
    if table.name == "account_deletions":
        at = list(table.columns).index("finished_at")
        finished_at = row[at]
        if isinstance(finished_at, int) and finished_at >= began_at:
            return [None if number == at else value for number, value in enumerate(row)]
    return row


def _counts(pieces: list[Piece]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for piece in pieces:
        counts[piece.table] = counts.get(piece.table, 0) + piece.rows
    return dict(sorted(counts.items()))
