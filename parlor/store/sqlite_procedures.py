"""What ``sql/procedures`` does, as functions on a SQLite connection: same names, arguments, results and errors.

``SqliteDatabase`` runs a function that writes in a transaction of its own, and rolls back when it raises. A function
raises ``ValueError`` for another number of arguments than it takes.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from parlor.model.access import DailyUse
from parlor.store import sqlite_statements as sql
from parlor.store.message_rows import MessageSaveRow
from parlor.store.ports import (
    MessageDelete,
    RoomCreate,
    RoomDelete,
    RoomUpdate,
    RowRefused,
    SeqConflict,
    SummarySave,
    Use,
)
from parlor.store.rows import IDS, Args, BatchRows, FenceRow, RoomTouchRow, Row
from parlor.store.sql_files import base_name, procedure_names, version_of
from parlor.store.sqlite_access import ACCESS_READS, ACCESS_WRITES, ACCOUNT_GET, ACCOUNTS_COUNT
from parlor.store.sqlite_audit import AUDIT_READS, AUDIT_WRITES
from parlor.store.sqlite_calls import CALL_READS, CALL_WRITES, drop_calls, note_calls
from parlor.store.sqlite_deletions import DELETION_READS, DELETION_WRITES
from parlor.store.sqlite_files import FILE_READS, FILE_WRITES, RELEASE_MESSAGES, RELEASE_ROOMS
from parlor.store.sqlite_homes import HOME_WRITES, is_leaving, note_changes
from parlor.store.sqlite_messages import MESSAGES
from parlor.store.sqlite_search import SEARCH_READS, SEARCH_WRITES, add_notes
from parlor.store.sqlite_values import decode_rows, id_bytes

Procedure: TypeAlias = Callable[[sqlite3.Connection, Args], list[Row]]
Values: TypeAlias = dict[str, str | int | bytes | None]

_MAX = 2**63 - 1
_T = TypeVar("_T")


class FenceRefused(Exception):
    """Partitions whose fence failed: the transaction is rolled back and they are the answer."""

    def __init__(self, partitions: list[int]) -> None:
        super().__init__(partitions)
        self.partitions = partitions


def _rooms_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _rooms_page(connection, args, sql.ROOMS_GET_V1)


def _rooms_get_v2(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _rooms_page(connection, args, sql.ROOMS_GET)


def _rooms_page(connection: sqlite3.Connection, args: Args, statement: str) -> list[Row]:
    account_db_key, limit, activity, room_id = args
    values: Values = {
        "account_db_key": account_db_key,
        "limit": limit,
        "activity": _MAX if activity is None else activity,
        "room_id": b"\xff" * 16 if room_id is None else id_bytes(room_id),
    }
    return connection.execute(statement, values).fetchall()


def _rooms_count(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.ROOMS_COUNT, args, "account_db_key")


def _room_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.ROOM_GET_V1, args, "room_id")


def _room_get_v2(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.ROOM_GET_V2, args, "room_id")


def _room_get_v3(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.ROOM_GET, args, "room_id")


def _room_find(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.ROOM_FIND, args, "account_db_key", "external_id")


def _message_room(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.MESSAGE_ROOM, args, "account_db_key", "message_id")


def _rooms_scan(connection: sqlite3.Connection, args: Args) -> list[Row]:
    start, limit = args
    return connection.execute(sql.ROOMS_SCAN, {"from": id_bytes(start) or b"", "limit": limit}).fetchall()


def _open_replies_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    above, limit = args
    return connection.execute(sql.OPEN_REPLIES, {"above": id_bytes(above), "limit": limit}).fetchall()


def _messages_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    room_id, above, below, limit, newest = args
    values: Values = {
        "room_id": id_bytes(room_id),
        "above": above,
        "below": _MAX if below is None else below,
        "limit": limit,
    }
    return connection.execute(MESSAGES.get_newest if newest else MESSAGES.get, values).fetchall()


def _message_find(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, MESSAGES.find, args, "room_id", "message_id")


def _message_versions_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _message_versions_get_v2(connection, (*args, -1, _MAX))


def _message_versions_get_v2(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, MESSAGES.versions_get, args, "room_id", "seq", "above", "limit")


def _account_daily_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.DAILY_GET, args, "account_db_key", "first", "last")


def _partition_progress(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.PARTITION_PROGRESS, args)


def _account_open(connection: sqlite3.Connection, args: Args) -> list[Row]:
    found = _select(connection, sql.ACCOUNT_GET, args, "account_id")
    meta = connection.execute(sql.META).fetchone()
    if found or meta is None:
        return found
    (account_id,) = args
    # The same partition that MySQL's CRC32 gives.
    partition = zlib.crc32(str(account_id).encode()) % int(meta[0])
    connection.execute(sql.ACCOUNT_ADD, {"account_id": account_id, "partition_id": partition})
    return _select(connection, sql.ACCOUNT_GET, args, "account_id")


def _account_open_v2(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return [row[:4] for row in _account_open_v3(connection, args)]


def _account_open_v3(connection: sqlite3.Connection, args: Args) -> list[Row]:
    if not _account_open(connection, args):
        return []
    return connection.execute(ACCOUNT_GET, args).fetchall()


def _account_open_v4(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_id, most = args
    known = connection.execute(ACCOUNT_GET, (account_id,)).fetchall()
    if known or most is None:
        return known or _account_open_v3(connection, (account_id,))
    ((count,),) = connection.execute(ACCOUNTS_COUNT).fetchall()
    return [(None,) * 6] if count >= int(str(most)) else _account_open_v3(connection, (account_id,))


def _account_restore(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_id, account_db_key, partition_id = args
    values: Values = {"account_id": account_id, "account_db_key": account_db_key, "partition_id": partition_id}
    connection.execute(sql.ACCOUNT_RESTORE, values)
    return _select(connection, sql.ACCOUNTS_LIKE, args[:2], "account_id", "account_db_key")


def _partition_open(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (partition_id,) = args
    return _partition_open_above(connection, (partition_id, 0))


def _partition_open_above(connection: sqlite3.Connection, args: Args) -> list[Row]:
    partition_id, above = args
    connection.execute(sql.PARTITION_OPEN, {"partition_id": partition_id, "above": above})
    return _select(connection, sql.PARTITION_GET, args[:1], "partition_id")


def _partition_acquire(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (partition_id,) = args
    connection.execute(sql.PARTITION_ACQUIRE, {"partition_id": partition_id})
    return _select(connection, sql.PARTITION_GET, args, "partition_id")


def _room_create(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _write(connection, sql.ROOM_CREATE, _batch(args, RoomCreate))


def _message_save(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _save_messages(connection, _batch(args, MessageSaveRow))


def _message_version_save(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _save_versions(connection, _batch(args, MessageSaveRow))


def _room_touch(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _write(connection, sql.ROOM_TOUCH, _batch(args, RoomTouchRow))


def _room_update(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _write(connection, sql.ROOM_UPDATE, _batch(args, RoomUpdate))


def _room_summary_save(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _write(connection, sql.SUMMARY_SAVE, _batch(args, SummarySave))


def _message_delete(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _delete_messages(connection, _batch(args, MessageDelete))


def _room_delete(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _write(connection, sql.ROOM_DELETE, _batch(args, RoomDelete))


def _release_messages(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _release(connection, RELEASE_MESSAGES, _batch(args, MessageDelete))


def _release_rooms(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _release(connection, RELEASE_ROOMS, _batch(args, RoomDelete))


def _account_daily_add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _write(connection, sql.DAILY_ADD, _batch(args, DailyUse))


def _account_use_add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _write(connection, sql.USE_ADD, _batch(args, Use))


def _account_use_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    return _select(connection, sql.USE_GET, args, "account_db_key", "days")


def _writer_apply(connection: sqlite3.Connection, args: Args) -> list[Row]:
    fences, parts, messages = args
    refused = [
        fence.partition
        for fence in decode_rows(fences, list[FenceRow])
        if connection.execute(sql.FENCE, msgspec.structs.asdict(fence)).rowcount != 1
    ]
    if refused:
        raise FenceRefused(refused)
    batch, saves = decode_rows(parts, BatchRows), decode_rows(messages, list[MessageSaveRow])
    _write(connection, sql.ROOM_CREATE, batch.room_creates)
    _save_messages(connection, saves)
    _save_versions(connection, batch.version_saves)
    _write(connection, sql.ROOM_TOUCH, batch.room_touches)
    _write(connection, sql.ROOM_UPDATE, batch.room_updates)
    _write(connection, sql.SUMMARY_SAVE, batch.summary_saves)
    _delete_messages(connection, batch.message_deletes)
    _release(connection, RELEASE_MESSAGES, batch.message_deletes)
    _write(connection, sql.ROOM_DELETE, batch.room_deletes)
    _release(connection, RELEASE_ROOMS, batch.room_deletes)
    drop_calls(connection, batch.room_deletes)
    _write(connection, sql.USE_ADD, batch.uses)
    add_notes(connection, batch.search_notes)
    note_calls(connection, batch.call_notes)
    if is_leaving(connection):
        note_changes(connection, batch, saves)
    return [("[]",)]


READS: Mapping[str, Procedure] = {
    "fp_chat_rooms_get": _rooms_get,
    "fp_chat_rooms_get_v2": _rooms_get_v2,
    "fp_chat_rooms_count": _rooms_count,
    "fp_chat_room_get": _room_get,
    "fp_chat_room_get_v2": _room_get_v2,
    "fp_chat_room_get_v3": _room_get_v3,
    "fp_chat_room_find": _room_find,
    "fp_chat_rooms_scan": _rooms_scan,
    "fp_chat_message_room": _message_room,
    "fp_open_replies_get": _open_replies_get,
    "fp_chat_messages_get": _messages_get,
    "fp_chat_message_find": _message_find,
    "fp_chat_message_versions_get": _message_versions_get,
    "fp_chat_message_versions_get_v2": _message_versions_get_v2,
    "fp_account_daily_get": _account_daily_get,
    "fp_account_use_get": _account_use_get,
    "fp_partition_progress": _partition_progress,
    **ACCESS_READS,
    **AUDIT_READS,
    **CALL_READS,
    **DELETION_READS,
    **FILE_READS,
    **SEARCH_READS,
}
WRITES: Mapping[str, Procedure] = {
    "fp_chat_room_create": _room_create,
    "fp_chat_message_save": _message_save,
    "fp_chat_message_version_save": _message_version_save,
    "fp_chat_room_touch": _room_touch,
    "fp_chat_room_update": _room_update,
    "fp_chat_room_summary_save": _room_summary_save,
    "fp_chat_message_delete": _message_delete,
    "fp_chat_room_delete": _room_delete,
    "fp_file_uses_release_messages": _release_messages,
    "fp_file_uses_release_rooms": _release_rooms,
    "fp_account_daily_add": _account_daily_add,
    "fp_account_use_add": _account_use_add,
    "fp_account_open": _account_open,
    "fp_account_open_v2": _account_open_v2,
    "fp_account_open_v3": _account_open_v3,
    "fp_account_open_v4": _account_open_v4,
    "fp_account_restore": _account_restore,
    "fp_partition_open": _partition_open,
    "fp_partition_open_v2": _partition_open_above,
    "fp_partition_acquire": _partition_acquire,
    "fp_writer_apply": _writer_apply,
    **ACCESS_WRITES,
    **AUDIT_WRITES,
    **CALL_WRITES,
    **DELETION_WRITES,
    **FILE_WRITES,
    **HOME_WRITES,
    **SEARCH_WRITES,
}


def every_version(procedures: Mapping[str, Procedure]) -> dict[str, Procedure]:
    """Returns a function for every name in ``sql/procedures``: a version without an entry of its own does what the
    version before it does."""
    found: dict[str, Procedure] = {}
    latest: dict[str, Procedure] = {}
    for name in sorted(procedure_names(), key=version_of):
        base = base_name(name)
        procedure = procedures.get(name, latest.get(base))
        if procedure is not None:
            found[name] = latest[base] = procedure
    return found


def _select(connection: sqlite3.Connection, statement: str, args: Args, *names: str) -> list[Row]:
    values: Values = {name: id_bytes(arg) if name in IDS else arg for name, arg in zip(names, args, strict=True)}
    return connection.execute(statement, values).fetchall()


def _write(connection: sqlite3.Connection, statement: str, rows: Iterable[msgspec.Struct]) -> list[Row]:
    connection.executemany(statement, [_values(row) for row in rows])
    return []


def _release(connection: sqlite3.Connection, statements: Iterable[str], rows: Sequence[msgspec.Struct]) -> list[Row]:
    for statement in statements:
        _write(connection, statement, rows)
    return []


def _save_messages(connection: sqlite3.Connection, saves: list[MessageSaveRow]) -> list[Row]:
    _write(connection, MESSAGES.save, saves)
    return _check_slots(connection, saves)


def _save_versions(connection: sqlite3.Connection, saves: list[MessageSaveRow]) -> list[Row]:
    _check_slots(connection, saves)
    return _write(connection, MESSAGES.version_save, saves)


def _delete_messages(connection: sqlite3.Connection, deletes: list[MessageDelete]) -> list[Row]:
    _write(connection, MESSAGES.delete, deletes)
    _check_slots(connection, deletes)
    return _write(connection, MESSAGES.versions_delete, deletes)


def _check_slots(connection: sqlite3.Connection, rows: Iterable[MessageSaveRow | MessageDelete]) -> list[Row]:
    for row in rows:
        values = _values(row)
        found = connection.execute(MESSAGES.at, values).fetchone()
        if found is None:
            raise RowRefused(debug=f"row-refused: {row.room_id} seq {row.seq} is not there")
        if found[0] != values["message_id"]:
            raise SeqConflict(debug=f"seq-conflict: {row.room_id} seq {row.seq}")
    return []


def _values(row: msgspec.Struct) -> Values:
    values: Values = msgspec.structs.asdict(row)
    for name in IDS & values.keys():
        values[name] = id_bytes(values[name])
    return values


def _batch(args: Args, kind: type[_T]) -> list[_T]:
    (text,) = args
    return decode_rows(text, list[kind])  # type: ignore[valid-type]  # a type built at run time
