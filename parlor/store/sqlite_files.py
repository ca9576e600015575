"""The procedures of files on a SQLite connection (see ``sqlite_procedures``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeAlias

from parlor.store.rows import Args, Row, is_id

Procedure: TypeAlias = Callable[[sqlite3.Connection, Args], list[Row]]

FILE_KNOWN = """
SELECT MIN(file_id) FROM files
 WHERE account_db_key = :account_db_key AND sha256 = :sha256 AND name = :name AND media_type = :media_type
"""
FILE_ADD = """
INSERT INTO files (file_id, account_db_key, blob_id, name, media_type, size, sha256, created_at)
SELECT :file_id, :account_db_key, COALESCE(same.blob_id, :file_id), :name, :media_type, :size, :sha256, :created_at
  FROM (SELECT MIN(blob_id) AS blob_id FROM files WHERE account_db_key = :account_db_key AND sha256 = :sha256) AS same,
       (SELECT COALESCE(SUM(b.files), 0) AS files, COALESCE(SUM(b.size), 0) AS bytes
          FROM (SELECT COUNT(*) AS files, MAX(size) AS size FROM files
                 WHERE account_db_key = :account_db_key GROUP BY blob_id) AS b) AS used
 WHERE used.files < COALESCE(:files_most, used.files + 1)
   AND (same.blob_id IS NOT NULL OR used.bytes + :size <= COALESCE(:bytes_most, used.bytes + :size))
"""
FILES_COUNT = """
SELECT COALESCE(SUM(b.files), 0), COALESCE(SUM(b.size), 0)
  FROM (SELECT COUNT(*) AS files, MAX(size) AS size FROM files WHERE account_db_key = ? GROUP BY blob_id) AS b
"""
FILE_BY_ID = "SELECT file_id, blob_id, name, media_type, size, sha256, created_at FROM files WHERE file_id = ?"
FILE_GET = """
SELECT file_id, blob_id, name, media_type, size, sha256, created_at FROM files
 WHERE file_id = ? AND account_db_key = ?
"""
FILES_GET = """
SELECT file_id, blob_id, name, media_type, size, sha256, created_at FROM files
 WHERE account_db_key = ? AND file_id < COALESCE(?, x'ffffffffffffffffffffffffffffffffff')
 ORDER BY file_id DESC LIMIT ?
"""
FILES_SCAN = """
SELECT file_id, blob_id, name, media_type, size, sha256, created_at FROM files
 WHERE file_id > COALESCE(?, x'') ORDER BY file_id LIMIT ?
"""
FILE_DELETE = "DELETE FROM files WHERE file_id = ? AND account_db_key = ? RETURNING blob_id"
BLOB_NAMED = "SELECT 1 FROM files WHERE blob_id = ?"
REMOVAL_ADD = "INSERT INTO file_removals (blob_id, removed_at) VALUES (?, ?) ON CONFLICT (blob_id) DO NOTHING"
REMOVALS_GET = "SELECT blob_id FROM file_removals ORDER BY removed_at, blob_id LIMIT ?"
REMOVAL_DONE = "DELETE FROM file_removals WHERE blob_id = ?"


def _file_add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    names = (
        *("file_id", "account_db_key", "name", "media_type", "size", "sha256", "created_at"),
        *("bytes_most", "files_most"),
    )
    values = dict(zip(names, args, strict=True)) | {"file_id": _blob(args[0])}
    ((known,),) = connection.execute(FILE_KNOWN, values).fetchall()
    if known is None:
        connection.execute(FILE_ADD, values)
    return connection.execute(FILE_BY_ID, (known or values["file_id"],)).fetchall()


def _file_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    file_id, account_db_key = args
    return connection.execute(FILE_GET, (_blob(file_id), account_db_key)).fetchall()


def _files_count(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (account_db_key,) = args
    return connection.execute(FILES_COUNT, (account_db_key,)).fetchall()


def _files_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_db_key, before, limit = args
    return connection.execute(FILES_GET, (account_db_key, _blob(before), limit)).fetchall()


def _files_scan(connection: sqlite3.Connection, args: Args) -> list[Row]:
    after, limit = args
    return connection.execute(FILES_SCAN, (_blob(after), limit)).fetchall()


def _file_delete(connection: sqlite3.Connection, args: Args) -> list[Row]:
    file_id, account_db_key, deleted_at = args
    gone = connection.execute(FILE_DELETE, (_blob(file_id), account_db_key)).fetchall()
    if not gone:
        return [(0, None)]
    ((blob_id,),) = gone
    if connection.execute(BLOB_NAMED, (blob_id,)).fetchone():
        return [(1, None)]
    connection.execute(REMOVAL_ADD, (blob_id, deleted_at))
    return [(1, blob_id)]


def _file_removals_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (limit,) = args
    return connection.execute(REMOVALS_GET, (limit,)).fetchall()


def _file_removal_done(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (blob_id,) = args
    connection.execute(REMOVAL_DONE, (_blob(blob_id),))
    return []


def _blob(text: object) -> bytes | None:
    return bytes.fromhex(text.replace("-", "")) if isinstance(text, str) and is_id(text) else None


FILE_READS: Mapping[str, Procedure] = {
    "fp_file_get": _file_get,
    "fp_file_removals_get": _file_removals_get,
    "fp_files_count": _files_count,
    "fp_files_get": _files_get,
    "fp_files_scan": _files_scan,
}
FILE_WRITES: Mapping[str, Procedure] = {
    "fp_file_add": _file_add,
    "fp_file_delete": _file_delete,
    "fp_file_removal_done": _file_removal_done,
}
