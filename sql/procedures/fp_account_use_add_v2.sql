-- fp_account_use_add_v2: adds to what accounts have used
-- Database: shard
-- Design: one row for an account and quarter of an hour. Does not commit.
-- Parameters: p_batch: [{account_db_key, quarter (unix time / 900 s), messages, input_tokens, output_tokens, cost
--   (billionths)}], in that order.
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: it is not. Call it from fp_writer_apply only, where the watermark lets a batch in once.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_use_add_v2;

DELIMITER //
CREATE PROCEDURE fp_account_use_add_v2(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  INSERT INTO account_use (account_db_key, quarter, messages, input_tokens, output_tokens, cost)
  SELECT j.account_db_key, j.quarter, j.messages, j.input_tokens, j.output_tokens, j.cost
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           account_db_key BIGINT PATH '$.account_db_key' ERROR ON EMPTY ERROR ON ERROR,
           quarter        BIGINT PATH '$.quarter' ERROR ON EMPTY ERROR ON ERROR,
           messages       BIGINT PATH '$.messages' ERROR ON EMPTY ERROR ON ERROR,
           input_tokens   BIGINT PATH '$.input_tokens' ERROR ON EMPTY ERROR ON ERROR,
           output_tokens  BIGINT PATH '$.output_tokens' ERROR ON EMPTY ERROR ON ERROR,
           cost           BIGINT PATH '$.cost' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
  ON DUPLICATE KEY UPDATE
    messages      = account_use.messages + VALUES(messages),
    input_tokens  = account_use.input_tokens + VALUES(input_tokens),
    output_tokens = account_use.output_tokens + VALUES(output_tokens),
    cost          = account_use.cost + VALUES(cost);
END
//
DELIMITER ;
