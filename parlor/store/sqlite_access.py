"""The procedures of keys and revocations on a SQLite connection (see ``sqlite_procedures``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeAlias

from parlor.store.rows import Args, Row

Procedure: TypeAlias = Callable[[sqlite3.Connection, Args], list[Row]]

CHANGES_KEPT = 10_000
ACCOUNTS_COUNT = "SELECT COUNT(*) FROM accounts WHERE standing <> 'deleted'"
ACCOUNT_GET = """
SELECT account_id, account_db_key, partition_id, not_before, standing, standing_at FROM accounts WHERE account_id = ?
"""
ACCOUNTS_GET = """
SELECT account_id, account_db_key, partition_id, not_before, standing, standing_at FROM accounts
 WHERE account_db_key > ? ORDER BY account_db_key LIMIT ?
"""
ACCOUNT_STANDING_SET = """
UPDATE accounts SET standing_at = MAX(standing_at + 1, :changed_at), standing = :standing
 WHERE account_id = :account_id AND standing NOT IN ('deleted', :standing)
"""
ACCOUNT_LIMITS_CHANGE = """
INSERT INTO account_limits (account_id, limits, revision)
SELECT :account_id, json_patch('{}', :changes), revision FROM access_head WHERE id = 1
ON CONFLICT (account_id) DO UPDATE SET limits = json_patch(limits, :changes), revision = excluded.revision
"""
ACCOUNT_LIMITS_FIND = "SELECT account_id, limits, revision FROM account_limits WHERE account_id = ?"
ACCOUNT_LIMITS_GET = """
SELECT h.revision, l.account_id, l.limits, l.revision
  FROM access_head AS h LEFT JOIN account_limits AS l ON l.revision > ?
 WHERE h.id = 1 ORDER BY l.revision LIMIT ?
"""
ACCOUNT_REVOKE = "UPDATE accounts SET not_before = MAX(not_before, ?) WHERE account_id = ? RETURNING not_before"
CHANGE_ADD = """
INSERT INTO access_changes (revision, kind, subject, changed_at)
SELECT revision, ?, ?, ? FROM access_head WHERE id = 1
"""
CHANGES_GET = """
SELECT h.revision, c.revision, c.kind, c.subject, c.changed_at
  FROM access_head AS h LEFT JOIN access_changes AS c ON c.revision > ?
 WHERE h.id = 1 ORDER BY c.revision LIMIT ?
"""
SIGNING_KEYS_GET = "SELECT kid, algorithm, jwk, created_at, retired_at FROM signing_keys ORDER BY created_at, kid"
SIGNING_KEY_ADD = """
INSERT INTO signing_keys (kid, algorithm, jwk, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (kid) DO NOTHING
"""
SIGNING_KEY_RETIRE = """
INSERT INTO signing_keys (kid, algorithm, jwk, created_at, retired_at) VALUES (:kid, '', '', :at, :at)
ON CONFLICT (kid) DO UPDATE SET retired_at = COALESCE(signing_keys.retired_at, excluded.retired_at)
"""
API_KEY_ADD = """
INSERT INTO api_keys (key_id, account_db_key, name, digest, scopes, created_at, expires_at)
SELECT :key_id, account_db_key, :name, :digest, :scopes, :created_at, :expires_at FROM accounts
 WHERE account_db_key = :account_db_key
   AND (SELECT COUNT(*) FROM api_keys WHERE account_db_key = :account_db_key) < :most
ON CONFLICT (key_id) DO NOTHING
"""
API_KEY_THERE = "SELECT COUNT(*) FROM api_keys WHERE key_id = ? AND account_db_key = ?"
API_KEYS_GET = """
SELECT key_id, name, scopes, created_at, expires_at, used_at FROM api_keys
 WHERE account_db_key = ? AND key_id > ? ORDER BY key_id LIMIT ?
"""
API_KEY_FIND = """
SELECT k.key_id, a.account_id, k.digest, k.scopes, k.created_at, k.expires_at, k.used_at
  FROM api_keys AS k JOIN accounts AS a ON a.account_db_key = k.account_db_key WHERE k.key_id = ?
"""
API_KEY_DELETE = "DELETE FROM api_keys WHERE key_id = ? AND account_db_key = ?"
API_KEY_USED = "UPDATE api_keys SET used_at = MAX(COALESCE(used_at, 0), ?) WHERE key_id = ?"


def _change_add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    kind, subject, changed_at = args
    connection.execute("UPDATE access_head SET revision = revision + 1 WHERE id = 1")
    connection.execute(CHANGE_ADD, (kind, subject, changed_at))
    connection.execute(
        "DELETE FROM access_changes WHERE revision <= (SELECT revision FROM access_head WHERE id = 1) - ?",
        (CHANGES_KEPT,),
    )
    return []


def _account_revoke(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_id, not_before = args
    found = connection.execute(ACCOUNT_REVOKE, (not_before, account_id)).fetchall()
    _change_add(connection, ("account-revoked", account_id, not_before))
    return found


def _account_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (account_id,) = args
    return connection.execute(ACCOUNT_GET, (account_id,)).fetchall()


def _accounts_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    after, limit = args
    return connection.execute(ACCOUNTS_GET, (after, limit)).fetchall()


def _account_standing_set(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_id, standing, changed_at = args
    values = {"account_id": account_id, "standing": standing, "changed_at": changed_at}
    if connection.execute(ACCOUNT_STANDING_SET, values).rowcount:
        _change_add(connection, (f"account-{standing}", account_id, changed_at))
    return connection.execute(ACCOUNT_GET, (account_id,)).fetchall()


def _account_limits_change(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_id, changes, changed_at = args
    there = "SELECT 1 FROM accounts WHERE account_id = ? AND standing <> 'deleted'"
    if not connection.execute(there, (account_id,)).fetchall():
        return []
    _change_add(connection, ("account-limits", account_id, changed_at))
    connection.execute(ACCOUNT_LIMITS_CHANGE, {"account_id": account_id, "changes": changes})
    return connection.execute(ACCOUNT_LIMITS_FIND, (account_id,)).fetchall()


def _account_limits_find(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (account_id,) = args
    return connection.execute(ACCOUNT_LIMITS_FIND, (account_id,)).fetchall()


def _account_limits_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    after, limit = args
    return connection.execute(ACCOUNT_LIMITS_GET, (after, limit)).fetchall()


def _changes_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    after, limit = args
    return connection.execute(CHANGES_GET, (after, limit)).fetchall()


def _signing_keys_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    () = args
    return connection.execute(SIGNING_KEYS_GET).fetchall()


def _signing_key_add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    kid, algorithm, jwk, created_at = args
    if connection.execute(SIGNING_KEY_ADD, (kid, algorithm, jwk, created_at)).rowcount:
        _change_add(connection, ("signing-keys", kid, created_at))
    return []


def _signing_key_retire(connection: sqlite3.Connection, args: Args) -> list[Row]:
    kid, retired_at = args
    connection.execute(SIGNING_KEY_RETIRE, {"kid": kid, "at": retired_at})
    return _change_add(connection, ("signing-keys", kid, retired_at))


def _api_key_add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    names = ("key_id", "account_db_key", "name", "digest", "scopes", "created_at", "expires_at", "most")
    values = dict(zip(names, args, strict=True))
    connection.execute(API_KEY_ADD, values)
    return connection.execute(API_KEY_THERE, (values["key_id"], values["account_db_key"])).fetchall()


def _api_keys_get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_db_key, after, limit = args
    return connection.execute(API_KEYS_GET, (account_db_key, after, limit)).fetchall()


def _api_key_find(connection: sqlite3.Connection, args: Args) -> list[Row]:
    (key_id,) = args
    return connection.execute(API_KEY_FIND, (key_id,)).fetchall()


def _api_key_delete(connection: sqlite3.Connection, args: Args) -> list[Row]:
    account_db_key, key_id, deleted_at = args
    gone = connection.execute(API_KEY_DELETE, (key_id, account_db_key)).rowcount
    if gone:
        _change_add(connection, ("api-key-ended", key_id, deleted_at))
    return [(gone,)]


def _api_key_used(connection: sqlite3.Connection, args: Args) -> list[Row]:
    key_id, used_at = args
    return connection.execute(API_KEY_USED, (used_at, key_id)).fetchall()


ACCESS_READS: Mapping[str, Procedure] = {
    "fp_access_changes_get": _changes_get,
    "fp_account_get": _account_get,
    "fp_account_limits_find": _account_limits_find,
    "fp_account_limits_get": _account_limits_get,
    "fp_accounts_get": _accounts_get,
    "fp_api_key_find": _api_key_find,
    "fp_api_keys_get": _api_keys_get,
    "fp_signing_keys_get": _signing_keys_get,
}
ACCESS_WRITES: Mapping[str, Procedure] = {
    "fp_access_change_add": _change_add,
    "fp_account_limits_change": _account_limits_change,
    "fp_account_revoke": _account_revoke,
    "fp_account_standing_set": _account_standing_set,
    "fp_api_key_add": _api_key_add,
    "fp_api_key_delete": _api_key_delete,
    "fp_api_key_used": _api_key_used,
    "fp_signing_key_add": _signing_key_add,
    "fp_signing_key_retire": _signing_key_retire,
}
