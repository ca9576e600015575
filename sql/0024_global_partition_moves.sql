-- 0024_global_partition_moves: partitions that move from one shard to another
-- Database: global
-- Design: 1. shard_map.generation rises with each move of a partition. A shard knows it too, so that whoever goes by an
--      older map is refused there. 2. partition_moves has the last move of each partition: whoever goes on after a
--      death finds here how far it was. 3. runner names the process that works at it: a step of another one changes
--      nothing.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: the table says IF NOT EXISTS, and the runner takes error 1060 of an ADD COLUMN as done.

CREATE TABLE IF NOT EXISTS partition_moves (
  partition_id INT          NOT NULL,
  from_shard   INT          NOT NULL,
  to_shard     INT          NOT NULL,
  generation   BIGINT       NOT NULL COMMENT 'that the map has after it',
  step         VARCHAR(16)  NOT NULL,
  copied       VARCHAR(255) NOT NULL COMMENT 'how far rows were copied',
  runner       VARCHAR(64)  NOT NULL,
  started_at   BIGINT       NOT NULL,
  finished_at  BIGINT       NULL,
  PRIMARY KEY (partition_id),
  KEY moves_by_end (finished_at, partition_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE shard_map ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
