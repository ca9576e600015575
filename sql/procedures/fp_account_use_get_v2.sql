-- fp_account_use_get_v2: what an account has used, a row for each day
-- Database: shard
-- Design: the caller says where the days of its time zone begin and end. What was counted before that was possible
--   (account_daily) is added to the day of the same date. STRAIGHT_JOIN and FORCE INDEX: each day is one range scan of
--   the primary key.
-- Parameters: p_account_db_key; p_days: [{day (YYYY-MM-DD), first, beyond}], the quarters of an hour (unix time / 900
--   s) with first <= quarter < beyond.
-- Result sets: one, ascending day: account_db_key, day, messages, input_tokens, output_tokens, cost (billionths); days
--   without any use are left out.
-- Errors: JSON_TABLE's own for days of another shape; 22007 for a day that is none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_use_get_v2;

DELIMITER //
CREATE PROCEDURE fp_account_use_get_v2(IN p_account_db_key BIGINT, IN p_days JSON)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT p_account_db_key, u.day, CAST(SUM(u.messages) AS SIGNED), CAST(SUM(u.input_tokens) AS SIGNED),
         CAST(SUM(u.output_tokens) AS SIGNED), CAST(SUM(u.cost) AS SIGNED)
    FROM (SELECT j.day, a.messages, a.input_tokens, a.output_tokens, a.cost
            FROM JSON_TABLE(p_days, '$[*]' COLUMNS (
                   day           VARCHAR(64) PATH '$.day' ERROR ON EMPTY ERROR ON ERROR,
                   first_quarter BIGINT PATH '$.first' ERROR ON EMPTY ERROR ON ERROR,
                   beyond        BIGINT PATH '$.beyond' ERROR ON EMPTY ERROR ON ERROR
                 )) AS j
            STRAIGHT_JOIN account_use AS a FORCE INDEX (PRIMARY)
              ON a.account_db_key = p_account_db_key AND a.quarter >= j.first_quarter AND a.quarter < j.beyond
           UNION ALL
          SELECT j.day, d.messages, d.input_tokens, d.output_tokens, 0
            FROM JSON_TABLE(p_days, '$[*]' COLUMNS (
                   day VARCHAR(64) PATH '$.day' ERROR ON EMPTY ERROR ON ERROR
                 )) AS j
            STRAIGHT_JOIN account_daily AS d FORCE INDEX (PRIMARY)
              ON d.account_db_key = p_account_db_key AND d.day = CAST(j.day AS DATE)
         ) AS u
   GROUP BY u.day
   ORDER BY u.day;
END
//
DELIMITER ;
