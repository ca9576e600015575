"""The chat server of the trade: ejabberd, rooms (mod_muc) with an archive (mod_mam) in MariaDB.

An installation of its own in a temporary directory, of the programs of Debian's packages: one Erlang node that is not
distributed (hence no epmd and no cookie), plain TCP on loopback, no traffic shapers. Everything else is as it comes,
the tables with all their indexes too.

What an answer means: in 23.01 the room's process runs one INSERT, committed by itself, before it sends the message to
the occupants, its sender among them. So a message that came back is in the archive as a rule. The promise is weaker
than Parlor's: nobody looks at what the INSERT returned (``mod_mam:store_mam_message/7``), so a message that the
database refused comes back all the same; and one that is sent again is stored again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from parlor.store.sql_files import split_statements
from parlor_bench.peers.running import execute, free_port, process

DOMAIN, ROOMS_DOMAIN = "localhost", "conference.localhost"
DATABASE = "ejabberd"
_SCHEMA = Path("/usr/share/ejabberd/sql/mysql.sql")
_CONFIGURATION = """\
hosts: ["{domain}"]
loglevel: warning
listen:
  - {{module: ejabberd_c2s, ip: "127.0.0.1", port: {port}, shaper: none, max_stanza_size: 262144}}
auth_method: [sql]
auth_password_format: plain
default_db: sql
sql_type: mysql
sql_server: "127.0.0.1"
sql_port: {sql_port}
sql_database: "{database}"
sql_username: "{database}"
sql_password: "{password}"
modules:
  mod_muc: {{db_type: sql, max_users: 1000, default_room_options: {{persistent: true, mam: true}}}}
  mod_mam: {{db_type: sql, default: always}}
"""


class TcpServer(msgspec.Struct, frozen=True):
    """A MariaDB that listens on loopback: ejabberd 23.01 cannot use a unix socket."""

    mysql: dict[str, Any]
    """Arguments of ``asyncmy.connect`` as root."""
    port: int


class Account(msgspec.Struct, frozen=True):
    """Who may sign in."""

    user: str
    password: str


def missing() -> str | None:
    """Why it cannot run here; None when it can."""
    if shutil.which("erl") and _SCHEMA.exists() and _libraries() and _driver():
        return None
    return "ejabberd is not installed (Debian: apt install ejabberd erlang-p1-mysql)"


@asynccontextmanager
async def running_ejabberd(server: TcpServer, accounts: Sequence[Account]) -> AsyncIterator[int]:
    """Its port on loopback. It gets a database, which the server must not have yet and which is dropped at the end."""
    password, port = secrets.token_hex(16), free_port()
    user = f"{DATABASE}@'127.0.0.1'"
    schema = split_statements(await asyncio.to_thread(_SCHEMA.read_text, encoding="utf-8"))
    await execute(server.mysql, f"CREATE DATABASE {DATABASE}")
    try:
        await execute(
            server.mysql,
            f"CREATE USER {user} IDENTIFIED BY '{password}'",
            f"GRANT ALL ON {DATABASE}.* TO {user}",
            f"USE {DATABASE}",
            *schema,
            *(f"INSERT INTO users (username, password) VALUES ('{one.user}', '{one.password}')" for one in accounts),  # noqa: S608 - the benchmark's own words
        )
        names = {"domain": DOMAIN, "port": port, "sql_port": server.port, "database": DATABASE, "password": password}
        with tempfile.TemporaryDirectory(prefix="parlor-ejabberd-") as home:
            async with _node(Path(home), _CONFIGURATION.format(**names), port):
                yield port
    finally:
        await execute(server.mysql, f"DROP DATABASE {DATABASE}", f"DROP USER IF EXISTS {user}")


@asynccontextmanager
async def _node(home: Path, configuration: str, port: int) -> AsyncIterator[None]:
    """A ``RuntimeError``, for example that it does not start, gets the end of its log."""
    config, log = home / "ejabberd.yml", home / "ejabberd.log"
    config.touch(mode=0o600)
    config.write_text(configuration, encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ERL_LIBS": str(_libraries()),
        "ERL_CRASH_DUMP_BYTES": "0",
        "EJABBERD_CONFIG_PATH": str(config),
        "EJABBERD_LOG_PATH": str(log),
    }
    # As ejabberdctl starts it.
    command = ["erl", "+K", "true", "+P", "250000", "-mnesia", "dir", f'"{home}/spool"', "-s", "ejabberd", "-noinput"]
    output = await asyncio.to_thread(log.open, "ab")
    try:
        async with process(command, port, environment, errors=output):
            yield
    except RuntimeError as error:
        text = await asyncio.to_thread(log.read_text, encoding="utf-8", errors="replace")
        raise RuntimeError(f"{error}. The log of ejabberd ends with:\n{text[-2000:]}") from error
    finally:
        output.close()


def _libraries() -> Path | None:
    """The directory of ejabberd's own code: another one on each kind of processor."""
    found = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))
    return found[-1].parents[2] if found else None


def _driver() -> bool:
    """Whether Erlang has its client for MySQL."""
    return any(Path("/usr/lib/erlang/lib").glob("p1_mysql-*"))
