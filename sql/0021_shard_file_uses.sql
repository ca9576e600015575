-- 0021_shard_file_uses: which messages name a file
-- Database: shard
-- Design: 1. A row is there before its message is acknowledged, and goes in the transaction that deletes the message.
--   2. file_releases has the files that a deleted message named, until somebody has looked whether another message
--      names them too: the file goes with the last one.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS file_uses (
  file_id    BINARY(16) NOT NULL,
  message_id BINARY(16) NOT NULL,
  room_id    BINARY(16) NOT NULL,
  PRIMARY KEY (file_id, message_id),
  KEY file_uses_by_message (message_id),
  KEY file_uses_by_room (room_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS file_releases (
  file_id     BINARY(16) NOT NULL,
  released_at BIGINT     NOT NULL,
  PRIMARY KEY (file_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
