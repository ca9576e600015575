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


CALL_READS: Mapping[str, Procedure] = {"fp_waiting_replies_get": _get, "fp_approved_call_get": _approved_get}
CALL_WRITES: Mapping[str, Procedure] = {"fp_calls_note": _note, "fp_calls_drop_rooms": _drop_rooms}
