"""The image and its compose file, on a machine without Docker: the same commands, the same environment, no rights.

Docker's own build is not run here. `make image-steps` also executes the Dockerfile's build stage.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from parlor.cache.server_check import WANTED
from parlor_cli import leftovers, ports
from parlor_cli.installation import Installation
from parlor_cli.servers import mariadb
from tests import compose, image
from tests.servers import PrivateServer, skip_or_fail

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

GIVEN = {"REDIS_PASSWORD": "r3d1s", "MARIADB_PASSWORD": "mar1a", "PARLOR_AUTH__SECRET": "0123456789abcdef" * 2}


class RedisWithPassword(PrivateServer):
    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self._socket))
                probe.sendall(f"AUTH {GIVEN['REDIS_PASSWORD']}\r\nPING\r\n".encode())
                return b"+PONG" in probe.recv(64)
            except OSError:
                return False


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, for sockets, and open to the image's user."""
    path = Path(tempfile.mkdtemp(prefix="img", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def redis_port(directory: Path) -> Iterator[int]:
    """Redis as the compose file starts it."""
    if shutil.which("redis-server") is None:
        skip_or_fail("not installed: redis-server")
    port, path, folder = ports.one(), directory / "redis.sock", directory / "redis"
    folder.mkdir()
    words = compose.services(GIVEN)["redis"]["command"]
    here = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--unixsocket", str(path)]
    server = RedisWithPassword("redis", [*words, *here], path, directory / "redis.log", "")
    server.start()
    yield port
    server.stop()


@pytest.fixture
def mariadb_port(directory: Path) -> Iterator[int]:
    """MariaDB as the compose file starts it, with the user and the grants that its image makes."""
    if shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        skip_or_fail("not installed: mariadbd")
    port, path, folder, log = ports.one(), directory / "m.sock", directory / "mariadb", directory / "mariadb.log"
    mariadb.install(folder, log)
    words = compose.services(GIVEN)["mariadb"]["command"]
    here = [f"--datadir={folder}", f"--socket={path}", f"--port={port}", "--bind-address=127.0.0.1"]
    root = ["--user=root"] if os.geteuid() == 0 else []
    command = [mariadb.binary(), "--no-defaults", *here, f"--pid-file={directory / 'm.pid'}", *words, *root]
    server = PrivateServer("mariadb", command, path, log, "")
    server.start()
    user = f"CREATE USER 'parlor'@'%' IDENTIFIED BY '{GIVEN['MARIADB_PASSWORD']}';\n"
    grants = compose.load(GIVEN)["configs"]["grants"]["content"]
    subprocess.run(
        ["mariadb", "--no-defaults", f"--socket={path}", "--user=root"],
        input=user + grants,
        text=True,
        timeout=20,
        check=True,
    )
    yield port
    server.stop()


def test_the_image_starts_answers_its_health_check_and_stops_in_time(
    directory: Path, redis_port: int, mariadb_port: int
) -> None:
    built = image.Image(directory)
    built.borrow(Path(sysconfig.get_paths()["purelib"]))
    service = compose.services(GIVEN)["app"]
    given = {
        name: value.replace("@redis:6379", f"@127.0.0.1:{redis_port}").replace(
            "@mariadb:3306", f"@127.0.0.1:{mariadb_port}"
        )
        for name, value in service["environment"].items()
    }
    variables = built.variables(given, ports.one())
    process = built.start(variables)
    try:
        printed = "".join(image.read_until_ready(process))
        assert "external Redis" in printed
        # What `parlor up` warns about: servers that are not set as it wants them.
        assert [name for name in WANTED if f"{name} is " in printed] == []
        assert built.is_healthy(variables)
        assert not built.is_healthy({**variables, "PARLOR_CONNECTIONS__HEALTH_PORT": str(ports.one())})
        if os.geteuid() == 0:
            assert Path(f"/proc/{process.pid}").stat().st_uid == image.USER
    finally:
        number = signal.Signals[image.last(built.final, "STOPSIGNAL")]
        code = image.stop(process, number, float(service["stop_grace_period"].removesuffix("s")))
    assert code == 0
    installation = Installation.find(Path(variables["PARLOR_DATA_DIR"]))
    assert installation is not None
    assert leftovers.find(installation) == {}
