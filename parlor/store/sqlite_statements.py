"""The SQL of the SQLite shards, statement by statement the meaning of ``sql/procedures``."""

from __future__ import annotations

ROOM_COLUMNS = """room_id, account_id, account_db_key, title, ai_persona, created_at, last_message_at, message_count,
    version, last_seq"""
MESSAGE_COLUMNS = """m.seq, m.message_id, m.sender_type, m.content, m.sent_at, m.version, m.attempt, m.ai_persona,
    m.parent_message_id, m.finish_reason, m.input_tokens, m.output_tokens, m.error_code, m.error_detail, m.metadata,
    m.deleted_at"""
VERSION_COLUMNS = """v.seq, v.message_id, v.sender_type, v.content, v.sent_at, v.version, v.attempt, v.ai_persona,
    v.parent_message_id, v.finish_reason, v.input_tokens, v.output_tokens, v.error_code, v.error_detail, v.metadata,
    m.deleted_at"""
PROGRESS_COLUMNS = "partition_id, epoch, incarnation, applied_incarnation, applied_number"
NOT_GONE = "NOT EXISTS (SELECT 1 FROM rooms AS r WHERE r.room_id = m.room_id AND r.deleted_at IS NOT NULL)"

ROOMS_GET = f"""
SELECT {ROOM_COLUMNS} FROM rooms
 WHERE account_db_key = :account_db_key AND activity <= :activity AND (activity < :activity OR room_id < :room_id)
 ORDER BY activity DESC, room_id DESC LIMIT :limit
"""  # noqa: S608  # of constants
ROOMS_COUNT = "SELECT COUNT(*) FROM rooms WHERE account_db_key = :account_db_key AND activity IS NOT NULL"
ROOM_GET = f"""
SELECT {ROOM_COLUMNS}, COALESCE(summary, ''), summary_through, summary_at, summary_version FROM rooms
 WHERE room_id = :room_id AND deleted_at IS NULL
"""  # noqa: S608  # of constants
ROOMS_SCAN = """
SELECT room_id, partition_id, account_id, account_db_key, title, message_count, version, last_seq, deleted_at FROM rooms
 WHERE room_id >= :from ORDER BY room_id LIMIT :limit
"""
MESSAGES_GET = f"""
SELECT {MESSAGE_COLUMNS} FROM messages AS m
 WHERE m.room_id = :room_id AND m.seq > :above AND m.seq < :below AND {NOT_GONE}
 ORDER BY m.seq LIMIT :limit
"""  # noqa: S608  # of constants
MESSAGES_GET_NEWEST = f"""
SELECT * FROM (SELECT {MESSAGE_COLUMNS} FROM messages AS m
                WHERE m.room_id = :room_id AND m.seq > :above AND m.seq < :below AND {NOT_GONE}
                ORDER BY m.seq DESC LIMIT :limit)
 ORDER BY seq
"""  # noqa: S608  # of constants
MESSAGE_FIND = f"""
SELECT {MESSAGE_COLUMNS} FROM messages AS m
 WHERE m.message_id = :message_id AND m.room_id = :room_id AND {NOT_GONE} LIMIT 1
"""  # noqa: S608  # of constants
ROOM_CREATE = """
INSERT INTO rooms (room_id, partition_id, account_id, account_db_key, title, ai_persona, created_at, message_count,
                   version, last_seq)
VALUES (:room_id, :partition, :account_id, :account_db_key, :title, :ai_persona, :created_at, 0, :version, 0)
ON CONFLICT (room_id) DO NOTHING
"""
MESSAGE_FIELDS = """room_id, seq, version, message_id, sender_type, content, sent_at, attempt, ai_persona,
    parent_message_id, finish_reason, input_tokens, output_tokens, error_code, error_detail, metadata"""
MESSAGE_VALUES = """:room_id, :seq, :version, :message_id, :sender_type, :content, :sent_at, :attempt, :ai_persona,
    :parent_message_id, :finish_reason, :input_tokens, :output_tokens, :error_code, :error_detail, :metadata"""
MESSAGE_SAVE = f"""
INSERT INTO messages ({MESSAGE_FIELDS}) VALUES ({MESSAGE_VALUES})
ON CONFLICT (room_id, seq) DO UPDATE SET
  sender_type = excluded.sender_type, content = excluded.content, sent_at = excluded.sent_at,
  version = excluded.version, attempt = excluded.attempt, ai_persona = excluded.ai_persona,
  parent_message_id = excluded.parent_message_id, finish_reason = excluded.finish_reason,
  input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, error_code = excluded.error_code,
  error_detail = excluded.error_detail, metadata = excluded.metadata
WHERE messages.deleted_at IS NULL AND messages.message_id = excluded.message_id AND excluded.version > messages.version
"""  # noqa: S608  # of constants
VERSION_SAVE = f"""
INSERT INTO message_versions ({MESSAGE_FIELDS})
SELECT {MESSAGE_VALUES}
 WHERE EXISTS (SELECT 1 FROM messages WHERE room_id = :room_id AND seq = :seq AND deleted_at IS NULL)
ON CONFLICT (room_id, seq, version) DO NOTHING
"""  # noqa: S608  # of constants
VERSIONS_GET = f"""
SELECT {VERSION_COLUMNS} FROM messages AS m
  JOIN message_versions AS v ON v.room_id = m.room_id AND v.seq = m.seq AND v.version < m.version
 WHERE m.room_id = :room_id AND m.seq = :seq AND m.deleted_at IS NULL AND {NOT_GONE}
 ORDER BY v.version
"""  # noqa: S608  # of constants
MESSAGE_DELETE = """
INSERT INTO messages (room_id, seq, message_id, sender_type, content, sent_at, version, attempt, metadata, deleted_at)
VALUES (:room_id, :seq, :message_id, :sender_type, '', COALESCE(:sent_at, :deleted_at), 0, 0, '{}', :deleted_at)
ON CONFLICT (room_id, seq) DO UPDATE SET
  content = '', metadata = '{}', error_detail = NULL, deleted_at = COALESCE(messages.deleted_at, excluded.deleted_at)
WHERE messages.message_id = excluded.message_id
"""
VERSIONS_DELETE = "DELETE FROM message_versions WHERE room_id = :room_id AND seq = :seq"
MESSAGE_AT = "SELECT message_id FROM messages WHERE room_id = :room_id AND seq = :seq"
ROOM_TOUCH = """
UPDATE rooms SET last_seq = :last_seq, message_count = :message_count, last_message_at = :last_message_at
 WHERE room_id = :room_id AND last_seq <= :last_seq AND deleted_at IS NULL
"""
ROOM_UPDATE = """
UPDATE rooms SET title = :title, version = :version
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
ACCOUNT_GET = "SELECT account_id, account_db_key, partition_id FROM accounts WHERE account_id = :account_id"
ACCOUNT_ADD = "INSERT INTO accounts (account_id, partition_id) VALUES (:account_id, :partition_id)"
PARTITION_OPEN = """
INSERT INTO partition_progress (partition_id, incarnation) VALUES (:partition_id, 1)
ON CONFLICT (partition_id) DO UPDATE SET epoch = epoch + (incarnation > 0), incarnation = incarnation + 1
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
SHARD_MAP = "SELECT partition_id, shard_id FROM shard_map ORDER BY partition_id"
