-- 0002_shard: rooms, messages, progress and statistics of a shard
-- Database: shard
-- Design: as sql/0002 to sql/0005; the limits that MySQL's types set are CHECKs here, so that both refuse the same
--   rows.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: every statement says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS rooms (
  room_id         BLOB    NOT NULL PRIMARY KEY CHECK (length(room_id) = 16),
  partition_id    INTEGER NOT NULL,
  account_id      TEXT    NOT NULL CHECK (length(account_id) <= 255),
  account_db_key  INTEGER NOT NULL,
  title           TEXT    NOT NULL CHECK (length(CAST(title AS BLOB)) <= 16777215),
  ai_persona      TEXT    NOT NULL CHECK (length(ai_persona) <= 255),
  created_at      INTEGER NOT NULL,
  last_message_at INTEGER NULL,
  message_count   INTEGER NOT NULL,
  version         INTEGER NOT NULL,
  last_seq        INTEGER NOT NULL,
  deleted_at      INTEGER NULL,
  activity        INTEGER AS (CASE WHEN deleted_at IS NULL THEN COALESCE(last_message_at, created_at) END) STORED
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS rooms_by_activity ON rooms (account_db_key, activity, room_id);

CREATE TABLE IF NOT EXISTS messages (
  room_id           BLOB    NOT NULL CHECK (length(room_id) = 16),
  seq               INTEGER NOT NULL,
  message_id        BLOB    NOT NULL CHECK (length(message_id) = 16),
  sender_type       TEXT    NOT NULL CHECK (length(sender_type) <= 8),
  content           TEXT    NOT NULL CHECK (length(CAST(content AS BLOB)) <= 16777215),
  sent_at           INTEGER NOT NULL,
  version           INTEGER NOT NULL,
  attempt           INTEGER NOT NULL,
  ai_persona        TEXT    NULL CHECK (length(ai_persona) <= 255),
  parent_message_id BLOB    NULL CHECK (length(parent_message_id) = 16),
  finish_reason     TEXT    NULL CHECK (length(finish_reason) <= 16),
  input_tokens      INTEGER NULL,
  output_tokens     INTEGER NULL,
  error_code        TEXT    NULL CHECK (length(error_code) <= 255),
  error_detail      TEXT    NULL CHECK (length(CAST(error_detail AS BLOB)) <= 16777215),
  metadata          TEXT    NOT NULL CHECK (length(CAST(metadata AS BLOB)) <= 16777215),
  deleted_at        INTEGER NULL,
  PRIMARY KEY (room_id, seq)
) STRICT;

CREATE INDEX IF NOT EXISTS messages_by_id ON messages (message_id);

CREATE TABLE IF NOT EXISTS partition_progress (
  partition_id        INTEGER PRIMARY KEY,
  epoch               INTEGER NOT NULL DEFAULT 0,
  incarnation         INTEGER NOT NULL DEFAULT 0,
  applied_incarnation INTEGER NOT NULL DEFAULT 0,
  applied_number      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS account_daily (
  account_db_key INTEGER NOT NULL,
  day            TEXT    NOT NULL CHECK (day IS date(julianday(day))),
  messages       INTEGER NOT NULL,
  input_tokens   INTEGER NOT NULL,
  output_tokens  INTEGER NOT NULL,
  PRIMARY KEY (account_db_key, day)
) STRICT, WITHOUT ROWID;
