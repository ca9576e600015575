-- 0001_global_accounts: who there is, and where they live
-- Database: global
-- Design: 1. An account gets its number and its partition when first seen and keeps both.
--   2. account_id is bytes: a collation that ignores trailing blanks or case would make two owners one.
--   3. shard_map is the mapping table: moving a partition is an UPDATE here, no id changes.
--   4. meta has one row: what was fixed when the installation was created, and the schema's compatibility number.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: every statement says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS accounts (
  account_db_key BIGINT          NOT NULL AUTO_INCREMENT,
  account_id     VARBINARY(1020) NOT NULL,
  partition_id   INT             NOT NULL,
  PRIMARY KEY (account_db_key),
  UNIQUE KEY accounts_by_name (account_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS shard_map (
  partition_id INT NOT NULL,
  shard_id     INT NOT NULL,
  PRIMARY KEY (partition_id),
  KEY shard_map_by_shard (shard_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS meta (
  id            INT NOT NULL,
  partitions    INT NOT NULL,
  schema_compat INT NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
