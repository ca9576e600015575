"""Where a database is: the URLs of ``StoreSettings``, taken apart.

mysql://user:password@host:3306/database            also ?unix_socket=/path, ?ssl=true, ?ssl_ca=/path
sqlite:///path                                      always absolute: processes of a cluster start in many homes
"""

from __future__ import annotations

from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from parlor.errors import InvalidRequest
from parlor.model.ids import ShardId
from parlor.settings import StoreSettings

_MYSQL_OPTIONS = {"unix_socket", "ssl", "ssl_ca"}


class MySqlAddress(msgspec.Struct, frozen=True):
    """One database of a MySQL or MariaDB server."""

    database: str
    user: str
    password: str
    host: str = "localhost"
    port: int = 3306
    unix_socket: str | None = None
    ssl: bool = False
    ssl_ca: str | None = None

    @property
    def label(self) -> str:
        """For logs: where it is, without the password."""
        return f"{self.unix_socket or f'{self.host}:{self.port}'}/{self.database}"

    def ssl_context(self) -> SSLContext | None:
        return create_default_context(cafile=self.ssl_ca) if self.ssl or self.ssl_ca else None


class SqliteAddress(msgspec.Struct, frozen=True):
    """One SQLite file."""

    path: Path

    @property
    def label(self) -> str:
        return str(self.path)


Address: TypeAlias = MySqlAddress | SqliteAddress


class StoreAddresses(msgspec.Struct, frozen=True):
    """All databases of an installation, of one kind."""

    shards: dict[ShardId, Address]
    global_: Address


def parse_address(url: str) -> Address:
    """Raises ``InvalidRequest``; the URL itself is not in the message, because it may hold a password."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise InvalidRequest("A SQLite database is sqlite:///path")
        return SqliteAddress(Path("/" + unquote(parts.path).lstrip("/")))
    if parts.scheme != "mysql":
        raise InvalidRequest("A database URL begins with mysql:// or sqlite://")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    database = unquote(parts.path.strip("/"))
    if unknown := options.keys() - _MYSQL_OPTIONS:
        raise InvalidRequest(f"Unknown options in a MySQL URL: {', '.join(sorted(unknown))}")
    if not database or "/" in database or "`" in database:
        raise InvalidRequest("A MySQL database is mysql://user:password@host:3306/database")
    try:
        port = parts.port or 3306
    except ValueError as error:
        raise InvalidRequest("The port of a MySQL URL is not a number") from error
    return MySqlAddress(
        database=database,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        host=parts.hostname or "localhost",
        port=port,
        unix_socket=options.get("unix_socket"),
        ssl=options.get("ssl", "false").lower() in {"true", "1", "yes"},
        ssl_ca=options.get("ssl_ca"),
    )


def store_addresses(settings: StoreSettings) -> StoreAddresses:
    """The databases that the settings name: shard 1 is the first URL. Raises ``InvalidRequest``."""
    shards = [parse_address(url.get_secret_value()) for url in settings.urls]
    if not shards:
        raise InvalidRequest("No database is configured: store.urls is empty")
    given = settings.global_url.get_secret_value()
    global_ = parse_address(given) if given else _beside(shards[0])
    if len({type(address) for address in [*shards, global_]}) > 1:
        raise InvalidRequest("All databases of an installation are of one kind, MySQL or SQLite")
    if len({address.label for address in [*shards, global_]}) <= len(shards):
        raise InvalidRequest("Two of the databases are the same one")
    return StoreAddresses({ShardId(number): address for number, address in enumerate(shards, 1)}, global_)


def _beside(first: Address) -> Address:
    if isinstance(first, SqliteAddress):
        return SqliteAddress(first.path.with_name(f"{first.path.stem}_global{first.path.suffix}"))
    return msgspec.structs.replace(first, database=first.database + "_global")
