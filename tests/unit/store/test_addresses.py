"""URLs of databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from parlor.errors import InvalidRequest
from parlor.settings import StoreSettings
from parlor.store.addresses import MySqlAddress, SqliteAddress, parse_address, store_addresses

pytestmark = pytest.mark.unit


def test_a_mysql_url_is_taken_apart() -> None:
    found = parse_address("mysql://us%40er:p%2Fw%3F@db.example:3307/chat?ssl=true")
    assert found == MySqlAddress("chat", "us@er", "p/w?", "db.example", 3307, None, ssl=True)
    assert "p/w" not in found.label


def test_a_socket_stands_for_host_and_port() -> None:
    found = parse_address("mysql://root@localhost/chat?unix_socket=/run/m.sock")
    assert found == MySqlAddress("chat", "root", "", "localhost", 3306, "/run/m.sock")
    assert found.label == "/run/m.sock/chat"


@pytest.mark.parametrize("url", ["sqlite:////var/a%20b.db", "sqlite:///var/a b.db"])
def test_a_sqlite_path_is_absolute(url: str) -> None:
    assert parse_address(url) == SqliteAddress(Path("/var/a b.db"))


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:secret@h/d",
        "mysql://u:secret@h",
        "mysql://u:secret@h/a/b",
        "mysql://u:secret@h/a`b",
        "mysql://u:secret@h:port/d",
        "mysql://u:secret@h/d?sslmode=on",
        "sqlite://host/secret",
        "sqlite:///",
        "",
    ],
)
def test_a_wrong_url_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


def settings(*urls: str, global_url: str = "") -> StoreSettings:
    return StoreSettings(urls=tuple(map(SecretStr, urls)), global_url=SecretStr(global_url))


def test_the_global_database_stands_beside_the_first_shard() -> None:
    found = store_addresses(settings("mysql://u@h/one", "mysql://u@i/two"))
    assert found.global_ == MySqlAddress("one_global", "u", "", "h")
    assert list(found.shards) == [1, 2]
    assert store_addresses(settings("sqlite:////d/s1.db")).global_ == SqliteAddress(Path("/d/s1_global.db"))


def test_a_global_url_is_used() -> None:
    assert store_addresses(settings("mysql://u@h/one", global_url="mysql://u@g/main")).global_.label == "g:3306/main"


@pytest.mark.parametrize(
    "wrong",
    [
        settings(),
        settings("mysql://u@h/one", "mysql://u@h/one"),
        settings("mysql://u@h/one", global_url="mysql://v@h/one"),
        settings("mysql://u@h/one", "sqlite:///x.db"),
    ],
)
def test_databases_that_do_not_make_an_installation_are_refused(wrong: StoreSettings) -> None:
    with pytest.raises(InvalidRequest):
        store_addresses(wrong)
