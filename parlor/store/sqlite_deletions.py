"""The procedures that delete accounts on a SQLite connection (see ``sqlite_procedures``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from parlor.store.rows import Args, Row
from parlor.store.sqlite_access import Procedure, _change_add
from parlor.store.sqlite_values import id_bytes

DELETION = """
SELECT a.account_id, a.account_db_key, a.partition_id, d.receipt_id, d.requested_at, d.finished_at, d.rooms
  FROM account_deletions AS d JOIN accounts AS a ON a.account_db_key = d.account_db_key WHERE a.account_id = ?
"""
DELETIONS = """
SELECT a.account_id, a.account_db_key, a.partition_id, d.receipt_id, d.requested_at, d.finished_at, d.rooms
  FROM account_deletions AS d JOIN accounts AS a ON a.account_db_key = d.account_db_key
 WHERE (d.finished_at IS NOT NULL) = ? AND d.account_db_key > ? ORDER BY d.account_db_key LIMIT ?
"""
DELETE_ACCOUNT = """
UPDATE accounts SET standing_at = MAX(standing_at + 1, :at), standing = 'deleted'
 WHERE account_id = :account AND standing <> 'deleted'
"""
DELETE_KEYS = """
DELETE FROM api_keys WHERE account_db_key = (SELECT account_db_key FROM accounts WHERE account_id = :account)
"""
ADD = """
INSERT INTO account_deletions (account_db_key, receipt_id, requested_at, rooms)
SELECT account_db_key, :receipt, :at, 0 FROM accounts WHERE account_id = :account
"""
FINISH = """
UPDATE account_deletions SET rooms = ?, finished_at = ? WHERE account_db_key = ? AND finished_at IS NULL
"""
ROOMS_SCAN = """
SELECT room_id, deleted_at FROM rooms WHERE account_db_key = ? AND room_id > ? ORDER BY room_id LIMIT ?
"""
VERSIONS_PURGE = """
DELETE FROM message_versions WHERE rowid IN (SELECT rowid FROM message_versions WHERE room_id = ? LIMIT ?)
"""
MESSAGES_PURGE = "DELETE FROM messages WHERE rowid IN (SELECT rowid FROM messages WHERE room_id = ? LIMIT ?)"
SEARCH_PURGE = "DELETE FROM message_search WHERE room_id = ? RETURNING search_id"
TOKENS_PURGE = "DELETE FROM message_search_tokens WHERE rowid = ?"
ROOM_PURGE = "UPDATE rooms SET title = '', summary = NULL, external_id = NULL, metadata = NULL WHERE room_id = ?"
USE_PURGE = "DELETE FROM account_use WHERE account_db_key = ?"
DAILY_PURGE = "DELETE FROM account_daily WHERE account_db_key = ?"
REMAINS = """
SELECT
  (SELECT COUNT(*) FROM rooms WHERE account_db_key = :key AND deleted_at IS NULL),
  (SELECT COUNT(*) FROM rooms AS r JOIN messages AS m ON m.room_id = r.room_id WHERE r.account_db_key = :key)
  + (SELECT COUNT(*) FROM rooms AS r JOIN message_versions AS v ON v.room_id = r.room_id
      WHERE r.account_db_key = :key)
  + (SELECT COUNT(*) FROM rooms AS r JOIN message_search AS s ON s.room_id = r.room_id
      WHERE r.account_db_key = :key),
  (SELECT COUNT(*) FROM account_use WHERE account_db_key = :key)
  + (SELECT COUNT(*) FROM account_daily WHERE account_db_key = :key),
  (SELECT COUNT(*) FROM files WHERE account_db_key = :key)
"""


def _delete(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account, receipt, at = args
    values = {"account": account, "receipt": receipt, "at": at}
    if connection.execute(DELETE_ACCOUNT, values).rowcount:
        connection.execute(DELETE_KEYS, values)
        connection.execute(ADD, values)
        _change_add(connection, ("account-deleted", account, at))
    return connection.execute(DELETION, (account,)).fetchall()


def _deletion_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (account,) = args
    return connection.execute(DELETION, (account,)).fetchall()


def _deletions_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    finished, after, limit = args
    return connection.execute(DELETIONS, (finished, after, limit)).fetchall()


def _finish(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_db_key, rooms, finished_at = args
    return connection.execute(FINISH, (rooms, finished_at, account_db_key)).fetchall()


def _rooms_scan(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_db_key, after, limit = args
    return connection.execute(ROOMS_SCAN, (account_db_key, id_bytes(after) or b"", limit)).fetchall()


def _room_purge(connection: sqlite3.Connection, args: Args) -> list[Row]:
    room_id, limit = id_bytes(args[0]), args[1]
    (_, _) = args
    found = connection.execute("SELECT deleted_at FROM rooms WHERE room_id = ?", (room_id,)).fetchone()
    if found is None or found[0] is None:
        return [(0,)]
    for (entry,) in connection.execute(SEARCH_PURGE, (room_id,)).fetchall():
        connection.execute(TOKENS_PURGE, (entry,))
    gone = connection.execute(VERSIONS_PURGE, (room_id, limit)).rowcount
    gone += connection.execute(MESSAGES_PURGE, (room_id, limit)).rowcount
    connection.execute(ROOM_PURGE, (room_id,))
    return [(gone,)]


def _use_purge(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_db_key, _limit = args
    gone = connection.execute(USE_PURGE, (account_db_key,)).rowcount
    return [(gone + connection.execute(DAILY_PURGE, (account_db_key,)).rowcount,)]


def _remains(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (account_db_key,) = args
    return connection.execute(REMAINS, {"key": account_db_key}).fetchall()


DELETION_READS: Mapping[str, Procedure] = {
    "fp_account_deletion_get": _deletion_get,
    "fp_account_deletions_get": _deletions_get,
    "fp_account_remains": _remains,
    "fp_account_rooms_scan": _rooms_scan,
}
DELETION_WRITES: Mapping[str, Procedure] = {
    "fp_account_delete": _delete,
    "fp_account_deletion_finish": _finish,
    "fp_account_use_purge": _use_purge,
    "fp_chat_room_purge": _room_purge,
}
