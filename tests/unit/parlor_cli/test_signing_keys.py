"""`parlor keys`: signing keys as files here and rows there."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner

from parlor.store.migrations import migrate
from parlor_cli import signing_keys
from parlor_cli.commands import app
from parlor_cli.installation import Installation
from parlor_cli.options import present
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

run = CliRunner()


def parlor(home: Installation, *words: str) -> str:
    result = run.invoke(app, [*words, "--data-dir", str(home.data_dir)])
    if isinstance(result.exception, Refusal):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


@pytest.fixture
def running(home: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installation:
    """Its stores answer; SQLite files stand in for them."""
    monkeypatch.setenv("PARLOR_REDIS__URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("PARLOR_STORE__URLS", f"sqlite:///{tmp_path}/shard.db")
    asyncio.run(migrate(present(home).store))
    return home


def known(home: Installation) -> dict[str, tuple[str, str]]:
    rows = json.loads(parlor(home, "keys", "list", "--json"))["keys"]
    return {row["kid"]: (row["algorithm"], row["state"]) for row in rows}


def test_a_key_is_a_file_for_its_owner_alone(home: Installation) -> None:
    kid = parlor(home, "keys", "add")
    file = home.data_dir / "keys" / f"{kid}.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_newest_key_signs(home: Installation) -> None:
    assert "kid" not in jwt.get_unverified_header(parlor(home, "token", "alice"))
    first = parlor(home, "keys", "add")
    assert jwt.get_unverified_header(parlor(home, "token", "alice"))["kid"] == first
    (home.data_dir / "keys" / f"{first}.pem").rename(home.data_dir / "keys" / "20200101T000000-aaaaaa.pem")
    second = parlor(home, "keys", "add")
    header = jwt.get_unverified_header(parlor(home, "token", "alice"))
    assert (header["kid"], header["alg"], header["typ"]) == (second, "EdDSA", "JWT")


def test_keys_are_known_while_it_runs(running: Installation) -> None:
    assert known(running) == {"secret": ("HS256", "signs")}
    kid = parlor(running, "keys", "add")
    assert known(running) == {"secret": ("HS256", "verifies"), kid: ("EdDSA", "signs")}
    parlor(running, "keys", "retire", "secret")
    assert known(running)["secret"][1] == "retired"
    other = parlor(running, "keys", "add")
    parlor(running, "keys", "retire", kid)
    assert known(running)[kid][1] == "retired"
    assert [path.stem for path in (running.data_dir / "keys").iterdir()] == [other]


def test_the_last_key_is_not_retired(running: Installation) -> None:
    with pytest.raises(Refusal, match="only key"):
        parlor(running, "keys", "retire", "secret")
    kid = parlor(running, "keys", "add")
    parlor(running, "keys", "retire", "secret")
    with pytest.raises(Refusal, match="only key"):
        parlor(running, "keys", "retire", kid)
    assert known(running)[kid][1] == "signs"


def test_a_key_that_is_not_there_is_not_retired(running: Installation) -> None:
    with pytest.raises(Refusal, match="no key nonsense"):
        parlor(running, "keys", "retire", "nonsense")


def test_a_key_that_was_made_while_it_stood_still_is_known_after_the_start(
    home: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kid = parlor(home, "keys", "add")
    with pytest.raises(Refusal, match="nothing runs"):
        parlor(home, "keys", "list")
    monkeypatch.setenv("PARLOR_REDIS__URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("PARLOR_STORE__URLS", f"sqlite:///{tmp_path}/shard.db")
    settings = present(home)
    asyncio.run(migrate(settings.store))
    for _ in range(2):
        assert signing_keys.publish(settings, home.data_dir) == 1
    assert known(home)[kid] == ("EdDSA", "signs")


def test_a_file_that_is_no_key_is_refused_by_name(running: Installation) -> None:
    folder = running.data_dir / "keys"
    folder.mkdir()
    (folder / "20260101T000000-abcdef.pem").write_text("nonsense")
    with pytest.raises(Refusal, match="20260101T000000-abcdef"):
        signing_keys.publish(present(running), running.data_dir)


def test_without_an_installation_no_folder_is_made(tmp_path: Path) -> None:
    result = run.invoke(app, ["keys", "add", "--data-dir", str(tmp_path / "typo")])
    assert isinstance(result.exception, Refusal)
    assert not (tmp_path / "typo").exists()


def test_a_cluster_keeps_its_keys_where_the_setting_says(
    running: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PARLOR_AUTH__KEYS_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("PARLOR_AUTH__SECRET", "x" * 32)
    result = run.invoke(app, ["keys", "add", "--data-dir", str(tmp_path / "none")])
    kid = result.stdout.strip()
    assert (tmp_path / "kept" / f"{kid}.pem").is_file()
    token = run.invoke(app, ["token", "alice", "--data-dir", str(tmp_path / "none")]).stdout.strip()
    assert jwt.get_unverified_header(token)["kid"] == kid


def test_an_accounts_key_is_all_that_is_printed_and_can_be_retired(running: Installation) -> None:
    key = parlor(running, "keys", "add", "--account", "ada", "--name", "backups", "--scope", "read", "--ttl", "60")
    (line,) = json.loads(parlor(running, "keys", "list", "--account", "ada", "--json"))["keys"]
    assert key.startswith(line["prefix"] + "_")
    assert (line["name"], line["scopes"], line["last_used_at"]) == ("backups", "read", "-")
    assert key not in parlor(running, "keys", "list", "--account", "ada")
    assert json.loads(parlor(running, "keys", "list", "--account", "bob", "--json")) == {"keys": []}
    with pytest.raises(Refusal, match="bob has no API key"):
        parlor(running, "keys", "retire", line["prefix"], "--account", "bob")
    parlor(running, "keys", "retire", line["prefix"], "--account", "ada")
    assert json.loads(parlor(running, "keys", "list", "--account", "ada", "--json")) == {"keys": []}


def test_a_scope_that_there_is_not_is_refused(running: Installation) -> None:
    with pytest.raises(Refusal, match="read or write"):
        parlor(running, "keys", "add", "--account", "ada", "--scope", "admin")
