"""What a batch changes while a partition leaves its shard, on a SQLite connection (see ``sqlite_procedures``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from parlor.store.message_rows import MessageSaveRow
from parlor.store.rows import Args, BatchRows, Row
from parlor.store.sqlite_values import decode_rows, id_bytes

Procedure: TypeAlias = Callable[[sqlite3.Connection, Args], list[Row]]

_LEAVING = "SELECT 1 FROM partition_homes WHERE state = 'leaving' LIMIT 1"
_CHANGE = "INSERT INTO partition_changes (room_id, account_db_key, seq) VALUES (?, ?, ?)"


def is_leaving(connection: sqlite3.Connection) -> bool:
    """Whether a partition is copied to another shard."""
    return bool(connection.execute(_LEAVING).fetchall())


def note_changes(connection: sqlite3.Connection, batch: BatchRows, saves: Sequence[MessageSaveRow]) -> None:
    """Does what ``fp_partition_changes_note`` does."""
    rooms = [
        *(row.room_id for row in batch.room_creates),
        *(row.room_id for row in batch.room_touches),
        *(row.room_id for row in batch.room_updates),
        *(row.room_id for row in batch.summary_saves),
        *(row.room_id for row in batch.room_deletes),
    ]
    messages = [
        *((row.room_id, row.seq) for row in saves),
        *((row.room_id, row.seq) for row in batch.version_saves),
        *((row.room_id, row.seq) for row in batch.message_deletes),
        *((row.room_id, row.seq) for row in batch.call_notes),
    ]
    changes = {*messages, *((room_id, 0) for room_id in rooms)}
    connection.executemany(_CHANGE, [(id_bytes(room_id), None, seq) for room_id, seq in sorted(changes)])
    connection.executemany(_CHANGE, [(None, use.account_db_key, use.quarter) for use in batch.uses])


def _note(connection: sqlite3.Connection, args: Args) -> list[Row]:
    parts, saves = args
    note_changes(connection, decode_rows(parts, BatchRows), decode_rows(saves, list[MessageSaveRow]))
    return []


HOME_WRITES: Mapping[str, Procedure] = {"fp_partition_changes_note": _note}
