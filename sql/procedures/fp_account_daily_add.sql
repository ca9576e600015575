-- fp_account_daily_add: adds to accounts' statistics
-- Database: shard
-- Design: one row for an account and day. Does not commit.
-- Parameters: p_batch: [{account_db_key, day (YYYY-MM-DD, UTC), messages, input_tokens, output_tokens}], in that
--   order.
-- Result sets: none.
-- Errors: 22007 for a day that is none.
-- Safe to repeat because: it is not. Call it from fp_writer_apply only, where the watermark lets a batch in once.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_daily_add;

DELIMITER //
CREATE PROCEDURE fp_account_daily_add(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  INSERT INTO account_daily (account_db_key, day, messages, input_tokens, output_tokens)
  SELECT j.account_db_key, j.day, j.messages, j.input_tokens, j.output_tokens
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           account_db_key BIGINT PATH '$.account_db_key' ERROR ON EMPTY ERROR ON ERROR,
           day            VARCHAR(64) PATH '$.day' ERROR ON EMPTY ERROR ON ERROR,
           messages       BIGINT PATH '$.messages' ERROR ON EMPTY ERROR ON ERROR,
           input_tokens   BIGINT PATH '$.input_tokens' ERROR ON EMPTY ERROR ON ERROR,
           output_tokens  BIGINT PATH '$.output_tokens' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
  ON DUPLICATE KEY UPDATE
    messages      = account_daily.messages + VALUES(messages),
    input_tokens  = account_daily.input_tokens + VALUES(input_tokens),
    output_tokens = account_daily.output_tokens + VALUES(output_tokens);
END
//
DELIMITER ;
