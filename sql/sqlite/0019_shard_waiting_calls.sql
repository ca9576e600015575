-- 0019_shard_waiting_calls: which replies wait for people, and what was approved once for its room
-- Database: shard
-- Design: as sql/0023.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS waiting_replies (
  room_id        BLOB    NOT NULL CHECK (length(room_id) = 16),
  seq            INTEGER NOT NULL,
  account_db_key INTEGER NOT NULL,
  message_id     BLOB    NOT NULL CHECK (length(message_id) = 16),
  PRIMARY KEY (room_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS waiting_replies_by_account ON waiting_replies (account_db_key, message_id);

CREATE TABLE IF NOT EXISTS approved_calls (
  room_id BLOB NOT NULL CHECK (length(room_id) = 16),
  digest  TEXT NOT NULL CHECK (length(digest) <= 80),
  PRIMARY KEY (room_id, digest)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO waiting_replies (room_id, seq, account_db_key, message_id)
SELECT m.room_id, m.seq, r.account_db_key, m.message_id
  FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
 WHERE m.parts LIKE '%"state":"waiting"%' AND m.version % 2 = 0 AND m.deleted_at IS NULL AND r.deleted_at IS NULL;
