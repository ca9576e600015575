-- fp_file_find: a file that a message names, whoever's it is
-- Database: shard
-- Design: by primary key. That the file is the account's was checked when the message was sent.
-- Parameters: p_file_id, 36 characters.
-- Result sets: one row like fp_file_get's, or none.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_find;

DELIMITER //
CREATE PROCEDURE fp_file_find(IN p_file_id VARCHAR(64))
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT file_id, blob_id, name, media_type, size, sha256, created_at
    FROM files
   WHERE file_id = UNHEX(REPLACE(p_file_id, '-', ''));
END
//
DELIMITER ;
