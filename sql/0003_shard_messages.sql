-- 0003_shard_messages: the messages of this shard's rooms
-- Database: shard
-- Design: 1. The primary key (room_id, seq) keeps a room's history together: a page is one range scan. It is the only
--      unique key: a second one would bring next-key locks, and deadlocks, to every upsert.
--   2. metadata is JSON as text, not a JSON column: what a client sent comes back byte for byte.
--   3. A deleted message stays as a tombstone: deleted_at is set, content is empty. seq has no holes.
--   4. Long texts are MEDIUMTEXT, never TEXT: MariaDB 10.11 stores a MEDIUMTEXT of JSON_TABLE in a TEXT with its length
--      modulo 65,536, without an error.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS messages (
  room_id           BINARY(16)   NOT NULL,
  seq               BIGINT       NOT NULL,
  message_id        BINARY(16)   NOT NULL,
  sender_type       VARCHAR(8)   NOT NULL,
  content           MEDIUMTEXT   NOT NULL,
  sent_at           BIGINT       NOT NULL,
  version           BIGINT       NOT NULL,
  attempt           BIGINT       NOT NULL,
  ai_persona        VARCHAR(255) NULL,
  parent_message_id BINARY(16)   NULL,
  finish_reason     VARCHAR(16)  NULL,
  input_tokens      BIGINT       NULL,
  output_tokens     BIGINT       NULL,
  error_code        VARCHAR(255) NULL,
  error_detail      MEDIUMTEXT   NULL,
  metadata          MEDIUMTEXT   NOT NULL,
  deleted_at        BIGINT       NULL,
  PRIMARY KEY (room_id, seq),
  KEY messages_by_id (message_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
