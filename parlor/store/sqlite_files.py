"""The procedures of files on a SQLite connection (see ``sqlite_procedures``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from parlor.store.ports import RowRefused
from parlor.store.rows import Args, Row
from parlor.store.sqlite_values import id_bytes

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
FILE_LOST = "DELETE FROM files WHERE file_id = ?"
BLOB_NAMED = "SELECT 1 FROM files WHERE blob_id = ?"
REMOVAL_ADD = "INSERT INTO file_removals (blob_id, removed_at) VALUES (?, ?) ON CONFLICT (blob_id) DO NOTHING"
IS_HERE = """
NOT EXISTS (SELECT 1 FROM partition_homes AS h
             WHERE hex(substr({}, 7, 2)) = printf('8%03X', h.partition_id) AND h.state NOT IN ('home', 'leaving'))
"""
"""Whether the partition of an id is at home here or leaves."""
REMOVALS_GET = f"""
SELECT blob_id FROM file_removals WHERE {IS_HERE.format("blob_id")} ORDER BY removed_at, blob_id LIMIT ?
"""  # noqa: S608  # texts of ours
REMOVAL_DONE = "DELETE FROM file_removals WHERE blob_id = ?"
FILE_FIND = """
SELECT file_id, blob_id, name, media_type, size, sha256, created_at FROM files WHERE file_id = ?
"""
USE_ADD = """
INSERT INTO file_uses (file_id, message_id, room_id) VALUES (?, ?, ?) ON CONFLICT (file_id, message_id) DO NOTHING
"""
USES_DROP = "DELETE FROM file_uses WHERE message_id = ?"
RELEASE_MESSAGES = (
    """
INSERT INTO file_releases (file_id, released_at) SELECT file_id, :deleted_at FROM file_uses
 WHERE message_id = :message_id ON CONFLICT (file_id) DO NOTHING
""",
    "DELETE FROM file_uses WHERE message_id = :message_id",
)
RELEASE_ROOMS = (
    """
INSERT INTO file_releases (file_id, released_at) SELECT file_id, :deleted_at FROM file_uses
 WHERE room_id = :room_id ON CONFLICT (file_id) DO NOTHING
""",
    "DELETE FROM file_uses WHERE room_id = :room_id",
)
RELEASE_NEXT = f"""
SELECT file_id FROM file_releases WHERE {IS_HERE.format("file_id")} ORDER BY released_at, file_id LIMIT 1
"""  # noqa: S608  # texts of ours
RELEASE_DONE = "DELETE FROM file_releases WHERE file_id = ?"
FILE_UNUSED_DELETE = """
DELETE FROM files WHERE file_id = :file_id AND NOT EXISTS (SELECT 1 FROM file_uses WHERE file_id = :file_id)
RETURNING blob_id
"""


def _file_add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    names = (
        *("file_id", "account_db_key", "name", "media_type", "size", "sha256", "created_at"),
        *("bytes_most", "files_most"),
    )
    values = dict(zip(names, args, strict=True)) | {"file_id": id_bytes(args[0])}
    ((known,),) = connection.execute(FILE_KNOWN, values).fetchall()
    if known is None:
        connection.execute(FILE_ADD, values)
    return connection.execute(FILE_BY_ID, (known or values["file_id"],)).fetchall()


def _file_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    file_id, account_db_key = args
    return connection.execute(FILE_GET, (id_bytes(file_id), account_db_key)).fetchall()


def _files_count(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (account_db_key,) = args
    return connection.execute(FILES_COUNT, (account_db_key,)).fetchall()


def _files_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_db_key, before, limit = args
    return connection.execute(FILES_GET, (account_db_key, id_bytes(before), limit)).fetchall()


def _files_scan(connection: sqlite3.Connection, args: Args) -> list[Row]:
    after, limit = args
    return connection.execute(FILES_SCAN, (id_bytes(after), limit)).fetchall()


def _file_delete(connection: sqlite3.Connection, args: Args) -> list[Row]:
    file_id, account_db_key, deleted_at = args
    gone = connection.execute(FILE_DELETE, (id_bytes(file_id), account_db_key)).fetchall()
    return [(len(gone), _unnamed(connection, gone, deleted_at))]


def _unnamed(connection: sqlite3.Connection, gone: list[Row], now: object) -> object:
    """Notes the bytes of a file that is gone, unless another file has them; returns what was noted."""
    if not gone or connection.execute(BLOB_NAMED, gone[0]).fetchone():
        return None
    connection.execute(REMOVAL_ADD, (gone[0][0], now))
    return gone[0][0]


def _file_find(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (file_id,) = args
    return connection.execute(FILE_FIND, (id_bytes(file_id),)).fetchall()


def _file_uses_add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    files, account_db_key, message_id, room_id = args
    asked = _strings(files)
    found = [row for each in asked for row in connection.execute(FILE_GET, (id_bytes(each), account_db_key)).fetchall()]
    if len(found) == len(asked):
        message, room = id_bytes(message_id), id_bytes(room_id)
        connection.executemany(USE_ADD, [(row[0], message, room) for row in found])
    return found


def _strings(text: object) -> list[str]:
    try:
        return msgspec.json.decode(str(text), type=list[str])
    except msgspec.DecodeError as error:
        raise RowRefused("The files are no array of ids", debug=str(error)) from error


def _file_uses_drop(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (message_id,) = args
    connection.execute(USES_DROP, (id_bytes(message_id),))
    return []


def _file_lost(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (file_id,) = args
    connection.execute(FILE_LOST, (id_bytes(file_id),))
    return []


def _file_release_next(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (now,) = args
    released = connection.execute(RELEASE_NEXT).fetchone()
    if released is None:
        return []
    gone = connection.execute(FILE_UNUSED_DELETE, {"file_id": released[0]}).fetchall()
    connection.execute(RELEASE_DONE, released)
    return [(released[0], _unnamed(connection, gone, now))]


def _file_removals_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (limit,) = args
    return connection.execute(REMOVALS_GET, (limit,)).fetchall()


def _file_removal_done(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (blob_id,) = args
    connection.execute(REMOVAL_DONE, (id_bytes(blob_id),))
    return []


FILE_READS: Mapping[str, Procedure] = {
    "fp_file_find": _file_find,
    "fp_file_get": _file_get,
    "fp_file_removals_get": _file_removals_get,
    "fp_files_count": _files_count,
    "fp_files_get": _files_get,
    "fp_files_scan": _files_scan,
}
FILE_WRITES: Mapping[str, Procedure] = {
    "fp_file_add": _file_add,
    "fp_file_delete": _file_delete,
    "fp_file_lost": _file_lost,
    "fp_file_release_next": _file_release_next,
    "fp_file_removal_done": _file_removal_done,
    "fp_file_uses_add": _file_uses_add,
    "fp_file_uses_drop": _file_uses_drop,
}
