"""The private Redis: durable, reachable by its socket alone, refused with advice when it is missing."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from parlor_cli.refusal import Refusal
from parlor_cli.servers import redis

pytestmark = pytest.mark.unit


def _options(tmp_path: Path) -> dict[str, str]:
    plan = redis.plan(
        "valkey",
        directory=tmp_path / "data",
        socket_path=tmp_path / "s",
        log=tmp_path / "log",
        users_file=tmp_path / "users",
        password="secret",
    )
    words = plan.command[1:]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_an_acknowledged_write_is_on_disk(tmp_path: Path) -> None:
    options = _options(tmp_path)
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--dir"] == str(tmp_path / "data")


def test_it_listens_on_its_socket_only(tmp_path: Path) -> None:
    options = _options(tmp_path)
    assert options["--port"] == "0"
    assert options["--unixsocket"] == str(tmp_path / "s")
    assert options["--unixsocketperm"] == "700"
    assert options["--aclfile"] == str(tmp_path / "users")


def test_a_missing_program_is_refused_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Refusal, match="install the package redis-server or valkey"):
        redis.installed_binary()


def test_a_server_that_loads_is_not_ready_yet(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not redis.answers(path, "secret")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(2)
        loading = b"+OK\r\n-LOADING Redis is loading the dataset in memory\r\n"
        replies = [loading, b"-WRONGPASS\r\n-NOAUTH\r\n", b"+OK\r\n+PONG\r\n"]

        def serve() -> None:
            for reply in replies:
                connection, _ = listener.accept()
                with connection:
                    assert connection.recv(64) == b"AUTH parlor secret\r\nPING\r\n"
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        assert [redis.answers(path, "secret") for _ in replies] == [False, False, True]
        thread.join(10)
