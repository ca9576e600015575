"""The tables of an installation as a backup has them: the same columns and values for every kind of database.

What is not here can be made from the rest, or belongs to a database and not to its content: the search's index (its
backlog is filled anew), the partition map, the installation's id, the books of migrations. A test compares this with
the tables that the migrations make, so that a new column cannot be forgotten.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, TypeAlias

import msgspec

from parlor.store.columns import DOC_COLUMNS
from parlor.store.columns import Kind as ColumnKind
from parlor.store.rows import Row
from parlor.store.sql_files import Role

Kind: TypeAlias = Literal["number", "text", "name", "id", "day"]
"""``name`` is a text that MySQL compares byte by byte (VARBINARY), ``id`` is 16 bytes, ``day`` a date."""
Home: TypeAlias = Literal["partition", "id", "account"]
"""What a row's first column says of its partition: its number, an id that carries it, or the account's number."""
Value: TypeAlias = str | int | None
Values: TypeAlias = list[Value]
"""A row as it is kept: ids as hexadecimal digits."""

MESSAGE = {
    column.name: {ColumnKind.ID: "id", ColumnKind.INTEGER: "number"}.get(column.kind, "text") for column in DOC_COLUMNS
}
"""The kinds of the columns of a message and of its earlier versions."""


class Table(msgspec.Struct, frozen=True):
    """A table, with its rows in the order of ``key``."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]
    home: Home = "id"
    """Of a shard's table."""

    def plain(self, row: Row) -> Values:
        """A row of any database, as it is kept."""
        return [_plain(kind, value) for kind, value in zip(self.columns.values(), row, strict=True)]

    def bound(self, values: Values, columns: list[str]) -> tuple[str | int | bytes | None, ...]:
        """A kept row, as databases take it."""
        kinds = [self.columns[column] for column in columns]
        return tuple(_bound(kind, value) for kind, value in zip(kinds, values, strict=True))


def _plain(kind: str, value: object) -> Value:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, bytes | bytearray):
        return value.hex() if kind == "id" else value.decode()
    return value.isoformat() if isinstance(value, date) else str(value)


def _bound(kind: str, value: Value) -> str | int | bytes | None:
    return bytes.fromhex(value) if kind == "id" and isinstance(value, str) else value


def _table(
    table: str, key: str, numbers: str = "", /, *, more: dict[str, str] | None = None, home: Home = "id", **kinds: str
) -> Table:
    """``key`` and ``numbers`` are names of columns; those of ``key`` are numbers too, unless they have a kind."""
    more = kinds | (more or {})
    columns = {column: more.get(column, "number") for column in key.split()} | more
    columns |= dict.fromkeys(numbers.split(), "number")
    return Table(table, tuple(key.split()), columns, home)


GLOBAL_TABLES = (
    _table("account_deletions", "account_db_key", "requested_at finished_at rooms", receipt_id="text"),
    _table("account_limits", "account_id", "revision", account_id="name", limits="text"),
    _table("access_head", "id", "revision"),
    _table("access_changes", "revision", "changed_at", kind="text", subject="name"),
    _table("signing_keys", "kid", "created_at retired_at", kid="text", algorithm="text", jwk="text"),
    _table(
        "api_keys",
        "key_id",
        "account_db_key created_at expires_at used_at",
        key_id="text",
        name="text",
        digest="text",
        scopes="text",
    ),
    _table("audit_log", "entry_id", "at", way="text", actor="name", action="text", subject="name", detail="name"),
    # Last: rooms beside a database without accounts are what no start accepts, so half a restore is refused.
    _table(
        "accounts",
        "account_db_key",
        "partition_id not_before standing_at",
        account_id="name",
        standing="text",
    ),
)
SHARD_TABLES = (
    _table(
        "partition_progress",
        "partition_id",
        "epoch incarnation applied_incarnation applied_number",
        home="partition",
    ),
    _table(
        "rooms",
        "room_id",
        "partition_id account_db_key created_at last_message_at message_count version last_seq deleted_at "
        "summary_through summary_at summary_version",
        room_id="id",
        account_id="text",
        title="text",
        ai_persona="text",
        summary="text",
        external_id="text",
        metadata="text",
    ),
    _table("messages", "room_id seq", "deleted_at", room_id="id", more=MESSAGE),
    _table("message_versions", "room_id seq version", room_id="id", more=MESSAGE),
    _table("account_daily", "account_db_key day", "messages input_tokens output_tokens", home="account", day="day"),
    _table("account_use", "account_db_key quarter", "messages input_tokens output_tokens cost", home="account"),
    _table(
        "files",
        "file_id",
        "account_db_key size created_at",
        file_id="id",
        blob_id="id",
        name="text",
        media_type="text",
        sha256="text",
    ),
    _table("file_removals", "blob_id", "removed_at", blob_id="id"),
    _table("file_uses", "file_id message_id", file_id="id", message_id="id", room_id="id"),
    _table("file_releases", "file_id", "released_at", file_id="id"),
    _table("waiting_replies", "room_id seq", "account_db_key", room_id="id", message_id="id"),
    _table("approved_calls", "room_id digest", room_id="id", digest="text"),
)
NOT_KEPT = frozenset(
    {
        "files_of_accounts",
        "installation",
        "message_search",
        "message_search_tokens",
        "meta",
        "partition_changes",
        "partition_homes",
        "partition_moves",
        "schema_migrations",
        "schema_procedures",
        "search_backlog",
        "shard_map",
    }
)
"""Tables that a backup does without."""
GENERATED = frozenset({("rooms", "activity")})
"""Columns that the database computes."""


def tables_of(role: Role) -> tuple[Table, ...]:
    return GLOBAL_TABLES if role == "global" else SHARD_TABLES
