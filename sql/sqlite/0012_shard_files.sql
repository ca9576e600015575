-- 0012_shard_files: what is known of the files of this shard's accounts; their bytes are in the file store
-- Database: shard
-- Design: as sql/0016_shard_files.sql; the limits that MySQL's types set are CHECKs here, so that both refuse the same
--   rows. SQLite has one writer at a time, so nothing has to be locked.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: every statement says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS files (
  file_id        BLOB    NOT NULL PRIMARY KEY CHECK (length(file_id) = 16),
  account_db_key INTEGER NOT NULL,
  blob_id        BLOB    NOT NULL CHECK (length(blob_id) = 16),
  name           TEXT    NOT NULL CHECK (length(name) <= 255),
  media_type     TEXT    NOT NULL CHECK (length(media_type) <= 127),
  size           INTEGER NOT NULL,
  sha256         TEXT    NOT NULL CHECK (length(sha256) <= 64),
  created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS files_by_account ON files (account_db_key, file_id);

CREATE INDEX IF NOT EXISTS files_by_content ON files (account_db_key, sha256);

CREATE INDEX IF NOT EXISTS files_by_blob ON files (blob_id);

CREATE TABLE IF NOT EXISTS file_removals (
  blob_id    BLOB    NOT NULL PRIMARY KEY CHECK (length(blob_id) = 16),
  removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
