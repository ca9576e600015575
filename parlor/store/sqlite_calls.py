"""The procedures of waiting calls on a SQLite connection (see ``sqlite_procedures``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from parlor.store.ports import CallNote, RoomDelete
from parlor.store.rows import Args, Row
from parlor.store.sqlite_values import decode_rows, id_bytes

Procedure: TypeAlias = Callable[[sqlite3.Connection, Args], list[Row]]

DROP_ROOMS = (
    "DELETE FROM waiting_replies WHERE room_id = :room_id",
    "DELETE FROM approved_calls WHERE room_id = :room_id",
)
_WAITS_NO_MORE = """
DELETE FROM waiting_replies WHERE room_id = :room_id AND seq = :seq AND EXISTS (
  SELECT 1 FROM messages AS m WHERE m.room_id = :room_id AND m.seq = :seq
     AND (m.deleted_at IS NOT NULL OR (m.version = :version AND :waits = 0)))
"""
_WAITS = """
INSERT INTO waiting_replies (room_id, seq, account_db_key, message_id)
SELECT m.room_id, m.seq, r.account_db_key, m.message_id FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
 WHERE m.room_id = :room_id AND m.seq = :seq AND m.version = :version AND m.deleted_at IS NULL
   AND r.deleted_at IS NULL AND :waits = 1
ON CONFLICT (room_id, seq) DO UPDATE SET message_id = excluded.message_id
"""
_APPROVED = """
INSERT INTO approved_calls (room_id, digest) SELECT room_id, ? FROM rooms WHERE room_id = ? AND deleted_at IS NULL
ON CONFLICT (room_id, digest) DO NOTHING
"""
_GET = """
SELECT room_id, message_id FROM waiting_replies WHERE account_db_key = ? AND message_id >= ?
 ORDER BY message_id LIMIT ?
"""
_ROOM_CALLS = (
    "SELECT room_id, seq, message_id, account_db_key, NULL FROM waiting_replies WHERE room_id = ?",
    "SELECT room_id, NULL, NULL, NULL, digest FROM approved_calls WHERE room_id = ?",
)
_ROOMS_SCAN = """
SELECT room_id FROM waiting_replies WHERE room_id >= :from
 UNION
SELECT room_id FROM approved_calls WHERE room_id >= :from
 ORDER BY room_id LIMIT :limit
"""
_MEND = (
    """
DELETE FROM waiting_replies WHERE room_id = :room_id AND NOT EXISTS (
  SELECT 1 FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
   WHERE m.room_id = waiting_replies.room_id AND m.seq = waiting_replies.seq
     AND m.message_id = waiting_replies.message_id AND m.deleted_at IS NULL
     AND r.account_db_key = waiting_replies.account_db_key AND r.deleted_at IS NULL)
""",
    """
DELETE FROM approved_calls WHERE room_id = :room_id AND NOT EXISTS (
  SELECT 1 FROM rooms WHERE room_id = :room_id AND deleted_at IS NULL)
""",
)
_APPROVED_DROP = "DELETE FROM approved_calls WHERE room_id = ? AND digest = ?"
_APPROVED_GET = "SELECT digest FROM approved_calls WHERE room_id = ? AND digest = ?"


class _Room(msgspec.Struct, frozen=True):
    room_id: str


def note_calls(connection: sqlite3.Connection, notes: Iterable[CallNote]) -> None:
    for note in notes:
        room_id = id_bytes(note.room_id)
        values = {"room_id": room_id, "seq": note.seq, "version": note.version, "waits": note.waits}
        connection.execute(_WAITS_NO_MORE, values)
        connection.execute(_WAITS, values)
        connection.executemany(_APPROVED, [(digest, room_id) for digest in note.approved])


def drop_calls(connection: sqlite3.Connection, rooms: Iterable[RoomDelete | _Room]) -> None:
    for room in rooms:
        for statement in DROP_ROOMS:
            connection.execute(statement, {"room_id": id_bytes(room.room_id)})


def _note(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (text,) = args
    note_calls(connection, decode_rows(text, list[CallNote]))
    return []


def _drop_rooms(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (text,) = args
    drop_calls(connection, decode_rows(text, list[_Room]))
    return []


def _get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_db_key, start, limit = args
    return connection.execute(_GET, (account_db_key, id_bytes(start) or b"", limit)).fetchall()


def _approved_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    room_id, digest = args
    return connection.execute(_APPROVED_GET, (id_bytes(room_id), digest)).fetchall()


def _room_calls(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (text,) = args
    rooms = [id_bytes(room) for room in decode_rows(text, list[str])]
    return [row for select in _ROOM_CALLS for room in rooms for row in connection.execute(select, (room,)).fetchall()]


def _rooms_scan(connection: sqlite3.Connection, args: Args) -> list[Row]:
    start, limit = args
    return connection.execute(_ROOMS_SCAN, {"from": id_bytes(start) or b"", "limit": limit}).fetchall()


def _mend(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (room_id,) = args
    for statement in _MEND:
        connection.execute(statement, {"room_id": id_bytes(room_id)})
    return []


def _approved_drop(connection: sqlite3.Connection, args: Args) -> list[Row]:
    room_id, digest = args
    return connection.execute(_APPROVED_DROP, (id_bytes(room_id), digest)).fetchall()


CALL_READS: Mapping[str, Procedure] = {
    "fp_waiting_replies_get": _get,
    "fp_approved_call_get": _approved_get,
    "fp_room_calls_get": _room_calls,
    "fp_call_rooms_scan": _rooms_scan,
}
CALL_WRITES: Mapping[str, Procedure] = {
    "fp_calls_note": _note,
    "fp_calls_drop_rooms": _drop_rooms,
    "fp_calls_mend": _mend,
    "fp_approved_call_drop": _approved_drop,
}
