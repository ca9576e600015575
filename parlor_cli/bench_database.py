"""A MariaDB that listens on loopback, for a service that cannot use the socket of the private one."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from parlor_cli.servers import mariadb
from parlor_cli.servers.process import Server

if TYPE_CHECKING:
    from parlor_bench.peers.ejabberd import TcpServer


@contextmanager
def database_over_tcp() -> Iterator[TcpServer]:
    """A server of its own with all options of a private one but this; removed at the end. Raises ``Refusal``."""
    from parlor_bench.peers.ejabberd import TcpServer
    from parlor_bench.peers.running import free_port

    password, port = secrets.token_hex(16), free_port()
    with tempfile.TemporaryDirectory(prefix="parlor-bench-") as home:
        place, log = Path(home), Path(home, "mariadb.log")
        mariadb.install(place / "data", log)
        statements = place / "init.sql"
        statements.touch(mode=0o600)
        statements.write_text(mariadb.password_statements(password), encoding="utf-8")
        plan = mariadb.plan(
            directory=place / "data", socket_path=place / "s", log=log, init_file=statements, loopback_port=port
        )
        server = Server.start(plan)
        try:
            yield TcpServer({"unix_socket": str(place / "s"), "user": "root", "password": password}, port)
        finally:
            server.stop()
