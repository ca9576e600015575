"""The SQL of messages for SQLite, written from the table of columns."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from parlor.store.columns import DOC_COLUMNS, KEY, Columns

_NOT_GONE = "NOT EXISTS (SELECT 1 FROM rooms AS r WHERE r.room_id = m.room_id AND r.deleted_at IS NOT NULL)"


class MessageStatements(msgspec.Struct, frozen=True):
    """Each statement does what the procedure of its name in ``sql/procedures`` does."""

    get: str
    get_newest: str
    find: str
    save: str
    version_save: str
    versions_get: str
    delete: str
    versions_delete: str = "DELETE FROM message_versions WHERE room_id = :room_id AND seq = :seq"
    at: str = "SELECT message_id FROM messages WHERE room_id = :room_id AND seq = :seq"


def message_statements(columns: Columns = DOC_COLUMNS) -> MessageStatements:
    names = [column.name for column in columns]
    of_message = _list(["m.seq", *(f"m.{name}" for name in names), "m.deleted_at"])
    of_version = _list(["v.seq", *(f"v.{name}" for name in names), "m.deleted_at"])
    fields = [column.name for column in (*KEY, *columns)]
    values = _list(f":{name}" for name in fields)
    replaced = _list(f"{name} = excluded.{name}" for name in names if name != "message_id")
    erased = _list(f"{column.name} = {column.erased}" for column in columns if column.erased)
    page = f"FROM messages AS m WHERE m.room_id = :room_id AND m.seq > :above AND m.seq < :below AND {_NOT_GONE}"
    return MessageStatements(
        get=f"SELECT {of_message} {page} ORDER BY m.seq LIMIT :limit",  # of constants, as all here
        get_newest=f"SELECT * FROM (SELECT {of_message} {page} ORDER BY m.seq DESC LIMIT :limit) ORDER BY seq",  # noqa: S608
        find=f"""
            SELECT {of_message} FROM messages AS m
             WHERE m.message_id = :message_id AND m.room_id = :room_id AND {_NOT_GONE} LIMIT 1""",  # noqa: S608
        save=f"""
            INSERT INTO messages ({_list(fields)}) VALUES ({values})
            ON CONFLICT (room_id, seq) DO UPDATE SET {replaced}
             WHERE messages.deleted_at IS NULL AND messages.message_id = excluded.message_id
               AND excluded.version > messages.version""",  # noqa: S608
        version_save=f"""
            INSERT INTO message_versions ({_list(fields)}) SELECT {values}
             WHERE EXISTS (SELECT 1 FROM messages WHERE room_id = :room_id AND seq = :seq AND deleted_at IS NULL)
            ON CONFLICT (room_id, seq, version) DO NOTHING""",  # noqa: S608
        versions_get=f"""
            SELECT {of_version} FROM messages AS m
              JOIN message_versions AS v ON v.room_id = m.room_id AND v.seq = m.seq AND v.version < m.version
             WHERE m.room_id = :room_id AND m.seq = :seq AND m.deleted_at IS NULL AND {_NOT_GONE}
               AND v.version > :above
             ORDER BY v.version LIMIT :limit""",  # noqa: S608
        # A message that was never stored gets its tombstone all the same: only columns of the first release are set.
        delete=f"""
            INSERT INTO messages
              (room_id, seq, message_id, sender_type, content, sent_at, version, attempt, metadata, deleted_at)
            VALUES
              (:room_id, :seq, :message_id, :sender_type, '', COALESCE(:sent_at, :deleted_at), 0, 0, '{{}}',
               :deleted_at)
            ON CONFLICT (room_id, seq) DO UPDATE SET
              {erased}, deleted_at = COALESCE(messages.deleted_at, excluded.deleted_at)
             WHERE messages.message_id = excluded.message_id""",  # noqa: S608
    )


def _list(items: Iterable[str]) -> str:
    return ", ".join(items)


MESSAGES = message_statements()
