"""`parlor up` with servers of one's own that cannot be used: refused within two seconds, and it says which one."""

from __future__ import annotations

import resource
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from redis import Redis

from tests.broken_configurations import scrubbed
from tests.integration.test_broken_configurations import PARLOR
from tests.integration.waiting import patience
from tests.servers import running_redis, valkey_program

pytestmark = pytest.mark.integration

SECONDS = 2.0
"""Of the processor, for the whole command: a clock would measure what else the machine does. More on a busy machine,
whose processor does less in a second."""


class Case(msgspec.Struct, frozen=True):
    """Options, in which `{web}`, `{closed}` and `{redis}` stand for addresses; and what the refusal says."""

    options: list[str]
    said: list[str]


def redis(url: str, *said: str) -> Case:
    return Case(["--redis-url", url], ["Redis at", *said])


def database(url: str, *said: str) -> Case:
    return Case(["--mysql-url", url], ["a database cannot be used", *said])


def ray(address: str, *said: str) -> Case:
    return Case(["--ray-address", address], [f"--ray-address is '{address}'", *said])


CASES = {
    "redis-closed": redis(
        "redis://:hunter2@127.0.0.1:{closed}/0", "redis://:***@127.0.0.1:{closed}/0", "Connect call failed"
    ),
    "redis-no-host": redis("redis://no-such-host.invalid/0", "redis://no-such-host.invalid/0"),
    "redis-no-socket": redis("unix:///no/such.sock", "unix:///no/such.sock", "No such file"),
    "redis-is-a-web-server": redis("redis://127.0.0.1:{web}/0", "127.0.0.1:{web}", "Protocol error"),
    "redis-without-tls": redis("rediss://127.0.0.1:{web}/0", "rediss://127.0.0.1:{web}/0"),
    "redis-password-missing": redis("unix://{redis}", "refuses the user or the password"),
    "redis-password-wrong": redis("unix://:hunter2@{redis}", "refuses the user or the password"),
    "redis-no-such-database": redis("unix://:let-me-in@{redis}?db=99", "out of range"),
    "mysql-closed": database(
        "mysql://ada:hunter2@127.0.0.1:{closed}/d", "127.0.0.1:{closed}/d_global", "Can't connect"
    ),
    "mysql-no-host": database("mysql://ada:hunter2@no-such-host.invalid/d", "no-such-host.invalid:3306/d_global"),
    "mysql-no-socket": database("mysql://ada:hunter2@/d?unix_socket=/no/such.sock", "/no/such.sock"),
    "mysql-is-a-web-server": database("mysql://ada:hunter2@127.0.0.1:{web}/d", "127.0.0.1:{web}/d_global"),
    "ray-closed": ray("127.0.0.1:{closed}", "no Ray answers there: Connection refused"),
    "ray-no-host": ray("no-such-host.invalid:6379", "no Ray answers there"),
    "ray-is-a-web-server": ray("127.0.0.1:{web}", "what answers there is no Ray"),
    "ray-of-its-client": ray("ray://127.0.0.1:{closed}", "the host:port of Ray's GCS"),
    "sqlite-no-folder": database("sqlite:////dev/null/d.db", "/dev/null/d_global.db", "File exists"),
}


@contextmanager
def web_server() -> Iterator[int]:
    """Answers everything as a web server answers what it does not understand."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listening.accept()
                except OSError:
                    return
                with accepted:
                    accepted.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, object]]:
    """Ports and a socket; behind the socket is a Redis that asks for a password."""
    with web_server() as web, socket.socket() as bound, running_redis(valkey_program) as server:
        bound.bind(("127.0.0.1", 0))  # and nobody listens
        with Redis.from_url(server.url, protocol=2) as admin:
            admin.config_set("requirepass", "let-me-in")
        where = server.url.removeprefix("unix://")
        yield {"web": web, "closed": bound.getsockname()[1], "redis": where}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_refused_within_two_seconds(case: Case, places: dict[str, object], tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [PARLOR, "up", "--detach", "--port", "0", *(option.format_map(places) for option in case.options)],
        cwd=tmp_path,
        env={**scrubbed(), "NO_COLOR": "1", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert [said for said in case.said if said.format_map(places) not in output] == [], output
    assert "Traceback" not in output
    assert "hunter2" not in output
    assert not (tmp_path / ".parlor" / "run.json").exists()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < patience(SECONDS)
