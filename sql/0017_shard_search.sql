-- 0017_shard_search: what the messages of this shard are found by
-- Database: shard
-- Design: 1. message_search has a row for each message that can be found. tokens are made by the program (pairs of
--      characters, in ASCII, parlor/reading/terms.py), because MariaDB has no parser for languages that write no
--      blanks, and InnoDB leaves out words of fewer than three characters. Each pair is there once: a message is a
--      candidate when it has all pairs of the query, and whoever asks compares the text itself.
--   2. tokens begin with one of the account and one of the room, so that the index itself leaves out all others.
--   3. search_backlog names the messages that are to be read (again). The writer's transaction fills it, so that no
--      crash loses one; an indexer takes out what it has written, unless mark says that the message has changed since.
--   4. What was stored before this table waits in the backlog from the start.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS and INSERT IGNORE.

CREATE TABLE IF NOT EXISTS message_search (
  room_id    BINARY(16) NOT NULL,
  seq        BIGINT     NOT NULL,
  message_id BINARY(16) NOT NULL,
  version    BIGINT     NOT NULL,
  tokens     MEDIUMTEXT NOT NULL,
  PRIMARY KEY (room_id, seq),
  FULLTEXT KEY message_search_tokens (tokens)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS search_backlog (
  partition_id INT        NOT NULL,
  room_id      BINARY(16) NOT NULL,
  seq          BIGINT     NOT NULL,
  mark         BIGINT     NOT NULL DEFAULT 1,
  PRIMARY KEY (partition_id, room_id, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO search_backlog (partition_id, room_id, seq)
SELECT r.partition_id, m.room_id, m.seq
  FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
 WHERE m.deleted_at IS NULL AND m.content <> '' AND r.deleted_at IS NULL;
