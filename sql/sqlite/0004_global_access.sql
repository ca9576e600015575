-- 0004_global_access: which keys sign tokens, and what ended early
-- Database: global
-- Design: as sql/0008_global_access.sql; the limits that MySQL's types set are CHECKs here, so that both refuse the
--   same rows.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

ALTER TABLE accounts ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;

CREATE TABLE IF NOT EXISTS signing_keys (
  kid        TEXT    PRIMARY KEY CHECK (length(kid) <= 64),
  algorithm  TEXT    NOT NULL CHECK (length(algorithm) <= 16),
  jwk        TEXT    NOT NULL CHECK (length(jwk) <= 2048),
  created_at INTEGER NOT NULL,
  retired_at INTEGER NULL
) STRICT;

CREATE TABLE IF NOT EXISTS access_changes (
  revision   INTEGER PRIMARY KEY,
  kind       TEXT    NOT NULL CHECK (length(kind) <= 32),
  subject    TEXT    NOT NULL CHECK (length(subject) <= 255),
  changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS access_head (
  id       INTEGER PRIMARY KEY,
  revision INTEGER NOT NULL
) STRICT;

INSERT INTO access_head (id, revision) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;
