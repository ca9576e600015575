"""SQLite's SQL for everything but messages (``sqlite_messages``): each statement does what its procedure does."""

from __future__ import annotations

from parlor.store.columns import LISTED_ROOM

ROOM_COLUMNS = ", ".join(LISTED_ROOM)
ROOM_COLUMNS_V1 = ", ".join(name for name in LISTED_ROOM if name != "external_id")
_SUMMARY_V2 = "COALESCE(summary, ''), summary_through, summary_at, summary_version"
_SUMMARY = f"{_SUMMARY_V2}, metadata"
PROGRESS_COLUMNS = "partition_id, epoch, incarnation, applied_incarnation, applied_number"

ROOMS_GET = f"""
SELECT {ROOM_COLUMNS} FROM rooms
 WHERE account_db_key = :account_db_key AND activity <= :activity AND (activity < :activity OR room_id < :room_id)
 ORDER BY activity DESC, room_id DESC LIMIT :limit
"""  # noqa: S608  # of constants
ROOMS_COUNT = "SELECT COUNT(*) FROM rooms WHERE account_db_key = :account_db_key AND activity IS NOT NULL"
ROOM_GET = f"SELECT {ROOM_COLUMNS}, {_SUMMARY} FROM rooms WHERE room_id = :room_id AND deleted_at IS NULL"  # noqa: S608
ROOM_FIND = """
SELECT room_id FROM rooms
 WHERE account_db_key = :account_db_key AND external_id = :external_id AND deleted_at IS NULL
 ORDER BY room_id DESC LIMIT 1
"""
MESSAGE_ROOM = """
SELECT m.room_id FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
 WHERE m.message_id = :message_id AND r.account_db_key = :account_db_key AND r.deleted_at IS NULL
 LIMIT 1
"""
ROOMS_GET_V1 = ROOMS_GET.replace(ROOM_COLUMNS, ROOM_COLUMNS_V1)
ROOM_GET_V2 = ROOM_GET.replace(_SUMMARY, _SUMMARY_V2)
ROOM_GET_V1 = ROOM_GET_V2.replace(ROOM_COLUMNS, ROOM_COLUMNS_V1)
ROOMS_SCAN = """
SELECT room_id, partition_id, account_id, account_db_key, title, message_count, version, last_seq, deleted_at FROM rooms
 WHERE room_id >= :from ORDER BY room_id LIMIT :limit
"""
OPEN_REPLIES = """
SELECT m.room_id, m.message_id FROM messages AS m CROSS JOIN rooms AS r ON r.room_id = m.room_id
 WHERE m.message_id > :above AND m.sender_type = 'AI' AND m.version % 2 = 0 AND m.deleted_at IS NULL
   AND r.deleted_at IS NULL
 ORDER BY m.message_id LIMIT :limit
"""
ROOM_CREATE = """
INSERT INTO rooms (room_id, partition_id, account_id, account_db_key, title, ai_persona, created_at, message_count,
                   version, last_seq, external_id, metadata)
VALUES (:room_id, :partition, :account_id, :account_db_key, :title, :ai_persona, :created_at, 0, :version, 0,
        :external_id, :metadata)
ON CONFLICT (room_id) DO NOTHING
"""
ROOM_TOUCH = """
UPDATE rooms SET last_seq = :last_seq, message_count = :message_count, last_message_at = :last_message_at
 WHERE room_id = :room_id AND last_seq <= :last_seq AND deleted_at IS NULL
"""
ROOM_UPDATE = """
UPDATE rooms SET title = :title, ai_persona = COALESCE(:ai_persona, ai_persona),
                 metadata = COALESCE(:metadata, metadata), version = :version
 WHERE room_id = :room_id AND version < :version AND deleted_at IS NULL
"""
SUMMARY_SAVE = """
UPDATE rooms SET summary = :summary, summary_through = :through_seq, summary_at = :updated_at,
                 summary_version = :version
 WHERE room_id = :room_id AND summary_version < :version AND deleted_at IS NULL
"""
ROOM_DELETE = """
INSERT INTO rooms (room_id, partition_id, account_id, account_db_key, title, ai_persona, created_at, message_count,
                   version, last_seq, deleted_at)
VALUES (:room_id, :partition, :account_id, :account_db_key, '', '', :deleted_at, 0, 0, 0, :deleted_at)
ON CONFLICT (room_id) DO UPDATE SET deleted_at = COALESCE(rooms.deleted_at, excluded.deleted_at)
"""
DAILY_ADD = """
INSERT INTO account_daily (account_db_key, day, messages, input_tokens, output_tokens)
VALUES (:account_db_key, :day, :messages, :input_tokens, :output_tokens)
ON CONFLICT (account_db_key, day) DO UPDATE SET
  messages = messages + excluded.messages, input_tokens = input_tokens + excluded.input_tokens,
  output_tokens = output_tokens + excluded.output_tokens
"""
DAILY_GET = """
SELECT account_db_key, day, messages, input_tokens, output_tokens FROM account_daily
 WHERE account_db_key = :account_db_key AND day BETWEEN :first AND :last ORDER BY day
"""
USE_ADD = """
INSERT INTO account_use (account_db_key, quarter, messages, input_tokens, output_tokens, cost)
VALUES (:account_db_key, :quarter, :messages, :input_tokens, :output_tokens, :cost)
ON CONFLICT (account_db_key, quarter) DO UPDATE SET
  messages = messages + excluded.messages, input_tokens = input_tokens + excluded.input_tokens,
  output_tokens = output_tokens + excluded.output_tokens, cost = cost + excluded.cost
"""
USE_GET = """
WITH days AS (SELECT json_extract(value, '$.day') AS day, json_extract(value, '$.first') AS first,
                     json_extract(value, '$.beyond') AS beyond
                FROM json_each(:days))
SELECT :account_db_key, day, SUM(messages), SUM(input_tokens), SUM(output_tokens), SUM(cost)
  FROM (SELECT days.day, messages, input_tokens, output_tokens, cost
          FROM days CROSS JOIN account_use
         WHERE account_db_key = :account_db_key AND quarter >= first AND quarter < beyond
         UNION ALL
        SELECT days.day, messages, input_tokens, output_tokens, 0
          FROM days CROSS JOIN account_daily AS daily
         WHERE account_db_key = :account_db_key AND daily.day = days.day)
 GROUP BY day ORDER BY day
"""
ACCOUNT_GET = "SELECT account_id, account_db_key, partition_id FROM accounts WHERE account_id = :account_id"
ACCOUNT_ADD = "INSERT INTO accounts (account_id, partition_id) VALUES (:account_id, :partition_id)"
ACCOUNT_RESTORE = """
INSERT INTO accounts (account_db_key, account_id, partition_id)
SELECT :account_db_key, :account_id, :partition_id FROM meta WHERE true
ON CONFLICT DO NOTHING
"""
ACCOUNTS_LIKE = """
SELECT account_id, account_db_key, partition_id FROM accounts
 WHERE account_id = :account_id OR account_db_key = :account_db_key ORDER BY account_db_key
"""
PARTITION_OPEN = """
INSERT INTO partition_progress (partition_id, incarnation) VALUES (:partition_id, :above + 1)
ON CONFLICT (partition_id) DO UPDATE SET
  epoch = epoch + (incarnation > 0), incarnation = max(incarnation, :above) + 1
"""
PARTITION_ACQUIRE = """
INSERT INTO partition_progress (partition_id, epoch) VALUES (:partition_id, 1)
ON CONFLICT (partition_id) DO UPDATE SET epoch = epoch + 1
"""
PARTITION_GET = f"SELECT {PROGRESS_COLUMNS} FROM partition_progress WHERE partition_id = :partition_id"  # noqa: S608
PARTITION_PROGRESS = f"SELECT {PROGRESS_COLUMNS} FROM partition_progress ORDER BY partition_id"  # noqa: S608
FENCE = """
UPDATE partition_progress SET applied_incarnation = :incarnation, applied_number = :number
 WHERE partition_id = :partition AND epoch = :epoch AND incarnation >= :incarnation
   AND (applied_incarnation, applied_number) < (:incarnation, :number)
"""
META = "SELECT partitions, schema_compat FROM meta"
RAISE_COMPATIBILITY = "UPDATE meta SET schema_compat = ? WHERE schema_compat < ?"
SHARD_MAP = "SELECT partition_id, shard_id, generation FROM shard_map ORDER BY partition_id"
