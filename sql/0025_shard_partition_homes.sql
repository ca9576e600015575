-- 0025_shard_partition_homes: which partitions came to this shard or left it, and what changes while one is copied
-- Database: shard
-- Design: 1. A partition without a row has lived here since the installation was created. 2. state: leaving (it is
--      copied, and used as before), fenced (it is read, nobody writes), departed (it is elsewhere), arriving (it is
--      not used yet), home. generation is that of the partition map (sql/0024): whoever knows an older one is refused.
--   3. runner is the process that moves it: another one's statements change nothing. 4. partition_changes names what
--      writers changed while a partition leaves: a message, a room (seq 0), or an account's use of a quarter of an
--      hour (seq is the quarter). A row is taken out when what it names has been copied.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS partition_homes (
  partition_id INT         NOT NULL,
  generation   BIGINT      NOT NULL,
  state        VARCHAR(16) NOT NULL,
  runner       VARCHAR(64) NOT NULL,
  PRIMARY KEY (partition_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS partition_changes (
  change_id      BIGINT     NOT NULL AUTO_INCREMENT,
  room_id        BINARY(16) NULL,
  account_db_key BIGINT     NULL,
  seq            BIGINT     NOT NULL,
  PRIMARY KEY (change_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
