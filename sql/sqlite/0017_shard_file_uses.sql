-- 0017_shard_file_uses: which messages name a file
-- Database: shard
-- Design: as sql/0021_shard_file_uses.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: every statement says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS file_uses (
  file_id    BLOB NOT NULL CHECK (length(file_id) = 16),
  message_id BLOB NOT NULL CHECK (length(message_id) = 16),
  room_id    BLOB NOT NULL CHECK (length(room_id) = 16),
  PRIMARY KEY (file_id, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS file_uses_by_message ON file_uses (message_id);

CREATE INDEX IF NOT EXISTS file_uses_by_room ON file_uses (room_id);

CREATE TABLE IF NOT EXISTS file_releases (
  file_id     BLOB    NOT NULL PRIMARY KEY CHECK (length(file_id) = 16),
  released_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
