-- 0002_shard_rooms: the rooms of this shard's partitions
-- Database: shard
-- Design: 1. room_id is a UUIDv8: 16 bytes, sorted by time.
--   2. activity is what the list of rooms is sorted by. A deleted room has none, so it is not in the index's range: the
--      list is one range scan however many rooms were deleted.
--   3. Times are unix milliseconds. The primary key is the only unique key.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS rooms (
  room_id         BINARY(16)   NOT NULL,
  partition_id    INT          NOT NULL,
  account_id      VARCHAR(255) NOT NULL,
  account_db_key  BIGINT       NOT NULL,
  title           MEDIUMTEXT   NOT NULL,
  ai_persona      VARCHAR(255) NOT NULL,
  created_at      BIGINT       NOT NULL,
  last_message_at BIGINT       NULL,
  message_count   BIGINT       NOT NULL,
  version         BIGINT       NOT NULL,
  last_seq        BIGINT       NOT NULL,
  deleted_at      BIGINT       NULL,
  activity        BIGINT AS (CASE WHEN deleted_at IS NULL THEN COALESCE(last_message_at, created_at) END) STORED,
  PRIMARY KEY (room_id),
  KEY rooms_by_activity (account_db_key, activity, room_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
