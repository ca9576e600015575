"""What a backup says of itself: the one piece that is written last, so that without it there is no backup.

manifest.json
global/<table>-00001.jsonl.gz                       rows as JSON arrays, one a line
shard-1/<table>-00001.jsonl.gz
files/blobs-00001.jsonl.gz                          which pieces have the bytes of which blob
files/<blob id>/00001                               the bytes
"""

from __future__ import annotations

import gzip
import hashlib
import re

import msgspec

from parlor.errors import ParlorError
from parlor.files.archive import Archive
from parlor.model.ids import FileId, InstallationId, Partition, ShardId
from parlor.store.tables import Values

FORMAT = 1
"""Rises when a program that knows the former one would restore something else."""
NAME = "manifest.json"
BLOBS = "files"
BLOB_COLUMNS = ["blob_id", "number", "bytes", "sha256"]
_PIECE = re.compile(r"(?:global|shard-[0-9]+|files)/[a-z_]+-[0-9]{5,}\.jsonl\.gz")
_BLOB_ID = re.compile(r"[0-9a-f]{32}")


class BackupDamaged(ParlorError):
    """A backup is not whole, or not what it says: a piece is missing or has changed, or there is no manifest."""

    code, title = "backup-damaged", "This is not a whole backup"


class Piece(msgspec.Struct, frozen=True):
    """Some rows of a table."""

    name: str
    database: str
    """``global``, ``shard-<number>`` or ``files``."""
    table: str
    columns: list[str]
    rows: int
    bytes: int
    sha256: str


class PartitionPoint(msgspec.Struct, frozen=True):
    """How far a partition is in a backup."""

    partition: Partition
    shard: ShardId
    epoch: int
    incarnation: int
    applied: str
    """The watermark: everything that was queued up to here is in it."""
    asked: str
    """The last position that had been given when the backup began; ``applied`` is this or higher."""


class Manifest(msgspec.Struct, frozen=True):
    format: int
    program: str
    installation: InstallationId
    partition_count: int
    """Ids carry their partition, so a restored installation has as many."""
    partitions: list[PartitionPoint]
    """Those that have ever been written to."""
    shards: int
    began_at: int
    """Unix milliseconds: what was accepted before is in the backup."""
    point_at: int
    """When the shards were caught: what was accepted after is not in it."""
    dead_letters: int
    """Operations that their shard refused and that nobody has replayed or dropped: they are not in the backup."""
    missing_blobs: list[str]
    """Bytes that were gone when they were to be read: their files were deleted meanwhile, or had been lost before."""
    pieces: list[Piece]
    counts: dict[str, int]
    """Rows by table, and ``blobs``."""


class PieceWriter:
    """Collects rows of one table and writes them as pieces of a bounded size."""

    def __init__(self, archive: Archive, database: str, table: str, columns: list[str], limit: int) -> None:
        self._archive = archive
        self._database, self._table, self._columns = database, table, columns
        self._limit = limit
        self._lines: list[bytes] = []
        self._size = 0
        self.pieces: list[Piece] = []

    async def add(self, row: Values) -> None:
        line = msgspec.json.encode(row)
        if self._size and self._size + len(line) > self._limit:
            await self.flush()
        self._lines.append(line)
        self._size += len(line)

    async def flush(self) -> None:
        if not self._lines:
            return
        data = gzip.compress(b"\n".join(self._lines), 4, mtime=0)
        name = f"{self._database}/{self._table}-{len(self.pieces) + 1:05}.jsonl.gz"
        await self._archive.put(name, data)
        digest = hashlib.sha256(data).hexdigest()
        rows = len(self._lines)
        piece = Piece(name, self._database, self._table, self._columns, rows, len(data), digest)
        self.pieces.append(piece)
        self._lines, self._size = [], 0


def dashed(digits: str) -> FileId:
    """An id as it is written, from its hexadecimal digits."""
    return FileId("-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))


def blob_piece(blob_id: str, number: int) -> str:
    return f"{BLOBS}/{blob_id}/{number:05}"


def require_blob_id(text: str) -> None:
    """Raises ``BackupDamaged`` for what is no id and could be the path of another file."""
    if not _BLOB_ID.fullmatch(text):
        raise BackupDamaged(f"{BLOBS} has a row with an id that is none")


async def read_manifest(archive: Archive) -> Manifest:
    """Raises ``BackupDamaged`` and ``StoreUnavailable``."""
    raw = await archive.get(NAME)
    if raw is None:
        raise BackupDamaged("There is no backup, or one that did not end: it has no manifest.json")
    try:
        head = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        if msgspec.json.decode(head.get("format", msgspec.Raw(b"0")), type=int) > FORMAT:
            raise BackupDamaged("This backup was made by a newer Parlor: restore it with that one")
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupDamaged("manifest.json cannot be read", debug=str(error)) from error
    for piece in manifest.pieces:
        if not _PIECE.fullmatch(piece.name):
            raise BackupDamaged("manifest.json names a piece that no backup has")
    return manifest


async def read_bytes(archive: Archive, name: str, sha256: str) -> bytes:
    """A piece that is what the manifest says. Raises ``BackupDamaged``."""
    data = await archive.get(name)
    if data is None:
        raise BackupDamaged(f"{name} is missing")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BackupDamaged(f"{name} has changed since the backup was made")
    return data


async def read_rows(archive: Archive, piece: Piece) -> list[Values]:
    """Raises ``BackupDamaged``."""
    data = await read_bytes(archive, piece.name, piece.sha256)
    try:
        rows = [msgspec.json.decode(line, type=Values) for line in gzip.decompress(data).split(b"\n")]
    except (OSError, EOFError, msgspec.DecodeError) as error:
        raise BackupDamaged(f"{piece.name} cannot be read", debug=str(error)) from error
    if len(rows) != piece.rows or any(len(row) != len(piece.columns) for row in rows):
        raise BackupDamaged(f"{piece.name} has other rows than the manifest says")
    return rows
