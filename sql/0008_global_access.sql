-- 0008_global_access: which keys sign tokens, and what ended early
-- Database: global
-- Design: 1. A signing key's public half is here, as a JWK (RFC 7517); the private half never is, so that who reads
--      this database cannot sign tokens. A retired key keeps its row: its id is never used again.
--   2. accounts.not_before ends whatever was issued to the account before that time (Unix milliseconds).
--   3. access_changes tells every replica what to forget. The revision is minted under access_head's row lock, so that
--      changes become visible in the order of their revisions: who has read up to one has missed nothing before it.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: tables say IF NOT EXISTS, the column is added once, and the row stays.

ALTER TABLE accounts ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;

CREATE TABLE IF NOT EXISTS signing_keys (
  kid        VARCHAR(64)   NOT NULL,
  algorithm  VARCHAR(16)   NOT NULL,
  jwk        VARCHAR(2048) NOT NULL,
  created_at BIGINT        NOT NULL,
  retired_at BIGINT        NULL,
  PRIMARY KEY (kid)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS access_changes (
  revision   BIGINT          NOT NULL,
  kind       VARCHAR(32)     NOT NULL,
  subject    VARBINARY(1020) NOT NULL,
  changed_at BIGINT          NOT NULL,
  PRIMARY KEY (revision)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS access_head (
  id       INT    NOT NULL,
  revision BIGINT NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO access_head (id, revision) VALUES (1, 0) ON DUPLICATE KEY UPDATE id = access_head.id;
