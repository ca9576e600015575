"""The private MariaDB: durable, reachable by its socket alone, refused with advice when it is missing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from parlor.store.addresses import MySqlAddress, parse_address
from parlor_cli.refusal import Refusal
from parlor_cli.servers import mariadb

pytestmark = pytest.mark.unit


def test_a_commit_is_on_disk_and_only_the_socket_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mariadb, "binary", lambda: "mariadbd")
    plan = mariadb.plan(
        directory=tmp_path, socket_path=tmp_path / "m.sock", log=tmp_path / "log", init_file=tmp_path / "i"
    )
    # --no-defaults counts only as the first option: the machine's own configuration must not reach in.
    assert plan.command[:2] == ["mariadbd", "--no-defaults"]
    assert {"--skip-networking", "--innodb-flush-log-at-trx-commit=1", "--skip-log-bin"} <= set(plan.command)
    assert {"--local-infile=0", f"--init-file={tmp_path / 'i'}"} <= set(plan.command)


def test_one_for_a_benchmark_listens_on_loopback_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mariadb, "binary", lambda: "mariadbd")
    plan = partial(mariadb.plan, directory=tmp_path, socket_path=tmp_path / "s", log=tmp_path, init_file=tmp_path)
    private, own = plan(), plan(loopback_port=3333)
    assert set(private.command) - set(own.command) == {"--skip-networking"}
    assert set(own.command) - set(private.command) == {"--bind-address=127.0.0.1", "--port=3333"}


def test_the_url_is_one_that_the_store_reads() -> None:
    address = parse_address(mariadb.database_url(Path("/tmp/p/m.sock"), mariadb.database(2), "s3cret"))
    assert isinstance(address, MySqlAddress)
    assert (address.database, address.user, address.unix_socket) == ("parlor_2", "root", "/tmp/p/m.sock")
    assert address.password == "s3cret"


def test_a_missing_program_is_refused_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(Refusal, match="install the package mariadb-server"):
        mariadb.binary()


def test_the_password_is_set_before_anybody_can_connect() -> None:
    lines = mariadb.password_statements("5ec7e7").splitlines()
    assert lines[0] == "ALTER USER 'root'@'localhost' IDENTIFIED BY '5ec7e7';"
    assert lines[-1] == "FLUSH PRIVILEGES;"
    assert all(line.endswith(";") for line in lines)
