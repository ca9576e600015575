-- 0013_shard_search: what the messages of this shard are found by
-- Database: shard
-- Design: as sql/0017; the full-text index is a table of its own here, whose rowid is message_search's search_id. It
--   keeps no positions and no sizes: messages are looked for by all of their pairs, and not ranked.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS message_search (
  search_id  INTEGER PRIMARY KEY,
  room_id    BLOB    NOT NULL CHECK (length(room_id) = 16),
  seq        INTEGER NOT NULL,
  message_id BLOB    NOT NULL CHECK (length(message_id) = 16),
  version    INTEGER NOT NULL,
  UNIQUE (room_id, seq)
) STRICT;

CREATE VIRTUAL TABLE IF NOT EXISTS message_search_tokens
USING fts5(tokens, detail = none, columnsize = 0, tokenize = 'ascii');

CREATE TABLE IF NOT EXISTS search_backlog (
  partition_id INTEGER NOT NULL,
  room_id      BLOB    NOT NULL CHECK (length(room_id) = 16),
  seq          INTEGER NOT NULL,
  mark         INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (partition_id, room_id, seq)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO search_backlog (partition_id, room_id, seq)
SELECT r.partition_id, m.room_id, m.seq
  FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
 WHERE m.deleted_at IS NULL AND m.content <> '' AND r.deleted_at IS NULL;
