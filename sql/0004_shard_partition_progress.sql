-- 0004_shard_partition_progress: who may write for a partition, and how far its queue is applied
-- Database: shard
-- Design: the epoch (of the writer) and the incarnation (of the queue) are minted here and nowhere else, so that they
--   never go back, whatever Redis forgets. The watermark (applied_incarnation, applied_number) moves in the transaction
--   that writes the rows.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS partition_progress (
  partition_id        INT    NOT NULL,
  epoch               BIGINT NOT NULL DEFAULT 0,
  incarnation         BIGINT NOT NULL DEFAULT 0,
  applied_incarnation BIGINT NOT NULL DEFAULT 0,
  applied_number      BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (partition_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
