"""A private MariaDB on a unix socket."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from parlor.store.sql_files import split_statements, sql_root
from parlor_cli.refusal import Refusal
from parlor_cli.servers.process import ServerPlan, log_tail

PROBE_TIMEOUT_S = 1.0
_INSTALL_TIMEOUT_S = 120.0
_GREETING_VERSION = 10
"""The first byte of a handshake packet; an error packet begins with 0xff."""


def binary() -> str:
    """The path of mariadbd, from PATH or Debian's directories. Raises ``Refusal``."""
    return _find("mariadbd")


def database(shard: int) -> str:
    return f"parlor_{shard}"


GLOBAL_DATABASE = "parlor_global"


def database_url(socket_path: Path, name: str, password: str) -> str:
    return f"mysql://root:{password}@localhost/{name}?unix_socket={socket_path}"


def password_statements(password: str) -> str:
    """``sql/private_mariadb.sql`` with this password, which has no quotes."""
    text = (sql_root() / "private_mariadb.sql").read_text(encoding="utf-8").replace("{{password}}", password)
    return "".join(f"{statement};\n" for statement in split_statements(text))


def install(directory: Path, log: Path) -> None:
    """Creates the system tables on first use; replaces an incomplete directory. Raises ``Refusal``."""
    done = directory / ".installed"
    if done.exists():
        return
    if directory.exists():
        # Left by an interrupted first start: without the mark no server has used it.
        shutil.rmtree(directory)
    directory.mkdir(mode=0o700, parents=True)
    command = [
        _find("mariadb-install-db"),
        "--no-defaults",
        f"--datadir={directory}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        *_as_root(),
    ]
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as output:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=_INSTALL_TIMEOUT_S, check=True
            )
    except subprocess.SubprocessError as error:
        raise Refusal(f"mariadb-install-db failed. Its log {log} ends with:\n{log_tail(log)}") from error
    done.touch()


def plan(
    *, directory: Path, socket_path: Path, log: Path, init_file: Path, loopback_port: int | None = None
) -> ServerPlan:
    """How to run it. ``directory`` must be installed; ``socket_path`` must be shorter than 100 bytes; ``init_file`` has
    the ``password_statements``. Without ``loopback_port`` it has no TCP at all."""
    tcp = ["--bind-address=127.0.0.1", f"--port={loopback_port}"] if loopback_port else ["--skip-networking"]
    command = [
        binary(),
        "--no-defaults",
        f"--datadir={directory}",
        f"--socket={socket_path}",
        f"--pid-file={socket_path.with_suffix('.pid')}",
        f"--init-file={init_file}",
        *tcp,
        # Nobody makes the server, or a client of it, read files.
        "--local-infile=0",
        "--skip-name-resolve",
        # A commit is on disk before it is answered; without a binlog that is one fsync.
        "--skip-log-bin",
        "--innodb-flush-log-at-trx-commit=1",
        "--innodb-buffer-pool-size=512M",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_bin",
        "--max-connections=500",
        *_as_root(),
    ]
    return ServerPlan(
        name="mariadb",
        command=command,
        log=log,
        answers=lambda: answers(socket_path),
        ready_timeout_s=120.0,
        stop_timeout_s=60.0,
    )


def answers(socket_path: Path) -> bool:
    """Whether it sends its handshake; it opens the socket only after crash recovery. Takes the socket from everybody
    else: the server always makes it for the whole machine."""
    try:
        socket_path.chmod(0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.connect(str(socket_path))
            greeting = connection.recv(64)
            return len(greeting) > 4 and greeting[4] == _GREETING_VERSION
    except OSError:
        return False


def _find(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/libexec")
    if found is None:
        raise Refusal(f"{name} was not found: install the package mariadb-server, or give --mysql-url")
    return found


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []
