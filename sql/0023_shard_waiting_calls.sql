-- 0023_shard_waiting_calls: which replies wait for people, and what was approved once for its room
-- Database: shard
-- Design: 1. waiting_replies has a row for each reply whose stored row says that a call of a tool waits for a decision.
--      The writer's transaction keeps it, with the message itself, so that an account's list needs no search through
--      its messages, and is there when Redis came back empty.
--   2. approved_calls has the digests of calls whose tool asks once in a room (approval = "first").
--   3. Replies that wait already are found by their row: what an earlier release left.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS and INSERT IGNORE.

CREATE TABLE IF NOT EXISTS waiting_replies (
  room_id        BINARY(16) NOT NULL,
  seq            BIGINT     NOT NULL,
  account_db_key BIGINT     NOT NULL,
  message_id     BINARY(16) NOT NULL,
  PRIMARY KEY (room_id, seq),
  KEY waiting_replies_by_account (account_db_key, message_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS approved_calls (
  room_id BINARY(16)  NOT NULL,
  digest  VARCHAR(80) NOT NULL,
  PRIMARY KEY (room_id, digest)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO waiting_replies (room_id, seq, account_db_key, message_id)
SELECT m.room_id, m.seq, r.account_db_key, m.message_id
  FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
 WHERE m.parts LIKE '%"state":"waiting"%' AND m.version % 2 = 0 AND m.deleted_at IS NULL AND r.deleted_at IS NULL;
