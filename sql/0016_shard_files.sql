-- 0016_shard_files: what is known of the files of this shard's accounts; their bytes are in the file store
-- Database: shard
-- Design: 1. file_id is a UUIDv8 of the account's partition: 16 bytes, sorted by time. The shard is that of the
--      account's messages, so that a message and what it names change in one transaction.
--   2. An account's equal bytes are kept once: blob_id names them in the file store, and is the file_id of the upload
--      that brought them. It is never given again, so bytes whose last row is gone can be deleted without asking who
--      uploads.
--   3. files_of_accounts has a row for each account that ever had a file: whoever adds or removes one of its files
--      locks it.
--   4. file_removals has the bytes that no row names any more, until the file store has deleted them.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS files (
  file_id        BINARY(16)   NOT NULL,
  account_db_key BIGINT       NOT NULL,
  blob_id        BINARY(16)   NOT NULL,
  name           VARCHAR(255) NOT NULL,
  media_type     VARCHAR(127) NOT NULL,
  size           BIGINT       NOT NULL,
  sha256         CHAR(64)     NOT NULL,
  created_at     BIGINT       NOT NULL,
  PRIMARY KEY (file_id),
  KEY files_by_account (account_db_key, file_id),
  KEY files_by_content (account_db_key, sha256),
  KEY files_by_blob (blob_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS files_of_accounts (
  account_db_key BIGINT NOT NULL,
  PRIMARY KEY (account_db_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS file_removals (
  blob_id    BINARY(16) NOT NULL,
  removed_at BIGINT     NOT NULL,
  PRIMARY KEY (blob_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
