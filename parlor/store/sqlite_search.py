"""The procedures of the search on a SQLite connection (see ``sqlite_procedures``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from parlor.store.ports import SearchNote
from parlor.store.rows import Args, Row
from parlor.store.sqlite_values import decode_rows, id_bytes

Procedure: TypeAlias = Callable[[sqlite3.Connection, Args], list[Row]]

_NOTE = """
INSERT INTO search_backlog (partition_id, room_id, seq) VALUES (:partition, :room_id, :seq)
ON CONFLICT (partition_id, room_id, seq) DO UPDATE SET mark = mark + 1
"""
_BACKLOG_GET = """
SELECT b.partition_id, b.room_id, b.seq, b.mark, m.message_id, m.version, r.account_db_key,
       iif(m.deleted_at IS NULL AND r.deleted_at IS NULL, coalesce(m.content, ''), '')
  FROM json_each(?) AS j CROSS JOIN search_backlog AS b ON b.partition_id = j.value
  LEFT JOIN messages AS m ON m.room_id = b.room_id AND m.seq = b.seq
  LEFT JOIN rooms AS r ON r.room_id = b.room_id
 LIMIT ?
"""
_UNCHANGED = """
SELECT 1 FROM messages WHERE room_id = :room_id AND seq = :seq AND version = :version AND deleted_at IS NULL
"""
_ENTRY_DELETE = "DELETE FROM message_search WHERE room_id = :room_id AND seq = :seq RETURNING search_id"
_TOKENS_DELETE = "DELETE FROM message_search_tokens WHERE rowid = ?"
_ENTRY_ADD = """
INSERT INTO message_search (room_id, seq, message_id, version)
SELECT room_id, seq, message_id, version FROM messages
 WHERE room_id = :room_id AND seq = :seq AND version = :version AND deleted_at IS NULL
RETURNING search_id
"""
_TOKENS_ADD = "INSERT INTO message_search_tokens (rowid, tokens) VALUES (?, ?)"
_BACKLOG_DELETE = """
DELETE FROM search_backlog WHERE partition_id = :partition AND room_id = :room_id AND seq = :seq AND mark = :mark
"""
_FIND = """
SELECT s.room_id, s.seq, s.message_id, m.sender_type, m.sent_at, m.content
  FROM message_search_tokens AS t
  JOIN message_search AS s ON s.search_id = t.rowid
  JOIN messages AS m ON m.room_id = s.room_id AND m.seq = s.seq AND m.deleted_at IS NULL
  JOIN rooms AS r ON r.room_id = s.room_id AND r.deleted_at IS NULL
 WHERE message_search_tokens MATCH :wanted AND s.message_id < :below
 ORDER BY s.message_id DESC LIMIT :limit
"""


class _Entry(msgspec.Struct, frozen=True):
    partition: int
    room_id: str
    seq: int
    mark: int
    version: int
    tokens: str


def _note(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (text,) = args
    add_notes(connection, decode_rows(text, list[SearchNote]))
    return []


def add_notes(connection: sqlite3.Connection, notes: Iterable[SearchNote]) -> None:
    connection.executemany(_NOTE, [{**msgspec.structs.asdict(it), "room_id": id_bytes(it.room_id)} for it in notes])


def _backlog_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    partitions, limit = args
    return connection.execute(_BACKLOG_GET, (partitions, limit)).fetchall()


def _save(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (text,) = args
    for entry in decode_rows(text, list[_Entry]):
        values = {**msgspec.structs.asdict(entry), "room_id": id_bytes(entry.room_id)}
        _keep(connection, entry.tokens, values)
        connection.execute(_BACKLOG_DELETE, values)
    return []


def _keep(connection: sqlite3.Connection, tokens: str, values: Mapping[str, str | int | bytes | None]) -> None:
    if tokens and connection.execute(_UNCHANGED, values).fetchone() is None:
        return
    for old in connection.execute(_ENTRY_DELETE, values).fetchall():
        connection.execute(_TOKENS_DELETE, old)
    if tokens:
        for (search_id,) in connection.execute(_ENTRY_ADD, values).fetchall():
            connection.execute(_TOKENS_ADD, (search_id, tokens))


def _find(connection: sqlite3.Connection, args: Args) -> list[Row]:
    query, below, limit = args
    # FTS5 has its own way to say that all are wanted, and "beginning*" is one token's.
    wanted = " AND ".join(_quoted(word.removeprefix("+")) for word in str(query).split())
    values = {"wanted": wanted, "below": b"\xff" * 16 if below is None else id_bytes(below), "limit": limit}
    return connection.execute(_FIND, values).fetchall()


def _quoted(word: str) -> str:
    beginning = word.endswith("*")
    return f'"{word.removesuffix("*")}"{"*" if beginning else ""}'


SEARCH_READS: Mapping[str, Procedure] = {"fp_search_backlog_get": _backlog_get, "fp_search_find": _find}
SEARCH_WRITES: Mapping[str, Procedure] = {"fp_search_note": _note, "fp_search_save": _save}
