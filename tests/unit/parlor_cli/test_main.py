"""The `parlor` command: output, exit codes and refusals."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import jwt
import pytest
import typer.main
from typer.testing import CliRunner

from parlor_cli.commands import app
from parlor_cli.installation import Founding, Installation
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

run = CliRunner()


def test_a_token_is_all_that_is_printed_and_is_signed_with_the_installations_secret(
    home: Installation,
) -> None:
    result = run.invoke(app, ["token", "alice", "--data-dir", str(home.data_dir), "--ttl", "60"])
    assert result.exit_code == 0
    token, nothing = result.stdout.split("\n")
    assert nothing == ""
    claims = jwt.decode(token, home.jwt_secret(), algorithms=["HS256"], audience="parlor-api")
    assert claims["sub"] == "alice"
    assert 60 <= claims["exp"] - claims["iat"] <= 61


def test_a_token_for_a_directory_without_an_installation_makes_none(tmp_path: Path) -> None:
    result = run.invoke(app, ["token", "alice", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, Refusal)
    assert list(tmp_path.iterdir()) == []


def test_a_token_for_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = run.invoke(app, ["token", "alice", "--data-dir", str(tmp_path / "typo")])
    assert isinstance(result.exception, Refusal)
    assert not (tmp_path / "typo").exists()


def test_status_says_that_nothing_runs(tmp_path: Path) -> None:
    result = run.invoke(app, ["status", "--data-dir", str(tmp_path)])
    assert result.exit_code == 3
    assert "nothing runs" in result.stdout


def test_status_as_json_says_that_nothing_runs(home: Installation) -> None:
    result = run.invoke(app, ["status", "--json", "--data-dir", str(home.data_dir)])
    assert result.exit_code == 3
    assert json.loads(result.stdout)["running"] is False


def test_down_is_harmless_when_nothing_runs(tmp_path: Path) -> None:
    result = run.invoke(app, ["down", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "nothing runs" in result.stdout


def test_config_prints_the_settings_of_the_installation(home: Installation) -> None:
    result = run.invoke(app, ["config", "--data-dir", str(home.data_dir)])
    assert result.exit_code == 0
    assert f'namespace = "{home.namespace}"' in result.stdout
    assert home.jwt_secret() not in result.stdout


@pytest.mark.parametrize("command", ["up", "down", "status", "token", "config", "migrate", "fsck", "rooms"])
def test_every_command_has_its_help(command: str) -> None:
    result = run.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "--data-dir" in result.stdout


@pytest.mark.parametrize("command", ["list", "add", "retire"])
def test_every_command_on_keys_has_its_help(command: str) -> None:
    result = run.invoke(app, ["keys", command, "--help"])
    assert result.exit_code == 0
    assert "--data-dir" in result.stdout


@pytest.mark.parametrize("command", ["list", "replay", "drop"])
def test_every_command_on_dead_letters_has_its_help(command: str) -> None:
    result = run.invoke(app, ["dead-letters", command, "--help"])
    assert result.exit_code == 0
    assert "--data-dir" in result.stdout


def test_fsck_says_that_it_could_not_look(home: Installation) -> None:
    result = run.invoke(app, ["fsck", "--data-dir", str(home.data_dir)])
    assert isinstance(result.exception, Refusal)
    assert result.exception.exit_code == 2
    assert "has never been started" in result.exception.message


def test_fsck_without_an_installation_could_not_look(tmp_path: Path) -> None:
    result = run.invoke(app, ["fsck", "--data-dir", str(tmp_path / "typo")])
    assert isinstance(result.exception, Refusal)
    assert result.exception.exit_code == 2
    assert "nothing runs" in result.exception.message


def test_fsck_of_a_stopped_installation_leaves_a_start_alone_that_comes_in_between(home: Installation) -> None:
    home.record(Founding(id=home.founding.id, redis="embedded", store="embedded", partitions=8, shards=1))
    with home.locked():
        result = run.invoke(app, ["fsck", "--data-dir", str(home.data_dir)])
    assert isinstance(result.exception, Refusal)
    assert (result.exception.exit_code, "is in use" in result.exception.message) == (2, True)
    assert not home.runtime_dir.exists()


def test_fsck_of_a_room_that_is_none_is_refused(home: Installation) -> None:
    result = run.invoke(app, ["fsck", "--room", "typo", "--data-dir", str(home.data_dir)])
    assert isinstance(result.exception, Refusal)
    assert result.exception.exit_code == 2


def test_rooms_says_that_nothing_runs(home: Installation) -> None:
    result = run.invoke(app, ["rooms", "--json", "--data-dir", str(home.data_dir)])
    assert result.exit_code == 3
    assert json.loads(result.stdout)["running"] is False


@pytest.mark.parametrize("arguments", [[], ["0:1-1", "--all"]])
def test_a_replay_is_of_some_dead_letters_or_of_all(home: Installation, arguments: list[str]) -> None:
    result = run.invoke(app, ["dead-letters", "replay", *arguments, "--data-dir", str(home.data_dir)])
    assert isinstance(result.exception, Refusal)
    assert "--all" in result.exception.message


def test_migrate_without_any_database_is_refused(tmp_path: Path) -> None:
    result = run.invoke(app, ["migrate", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, Refusal)


def test_the_version_is_that_of_the_package() -> None:
    result = run.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"parlor {version('parlor')}\n")


@pytest.mark.parametrize(
    ("command", "defaults"),
    [
        (["up"], ["127.0.0.1", "8000", "embedded", "64", "2", ".parlor"]),
        (["token"], ["30d"]),
        (["bench", "run"], ["one of its own", "3.0", "5"]),
    ],
)
def test_help_keeps_the_defaults(command: list[str], defaults: list[str]) -> None:
    result = run.invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    shown = " ".join(re.findall(r"\[default: ([^\]]+)\]", result.stdout))
    assert [default for default in defaults if default not in shown] == []


ABSURD = ["99999999999999", "-1", "nan", "inf", "1e400", "x", ""]


@pytest.mark.parametrize(
    "words",
    [
        ["token", "alice", "--ttl"],
        ["up", "--port"],
        ["up", "--partitions"],
        ["up", "--shards"],
        ["bench", "run", "--seconds"],
        ["bench", "run", "--rounds"],
        ["bench", "compare", "base", "--at-least"],
    ],
    ids=lambda words: "".join(words),
)
@pytest.mark.parametrize("value", ABSURD)
def test_a_number_that_cannot_be_meant_is_refused_by_its_option(
    home: Installation, words: list[str], value: str
) -> None:
    result = run.invoke(app, [*words, value, "--data-dir", str(home.data_dir)])
    assert result.exit_code == 2
    assert f"Invalid value for '{words[-1]}'" in result.stderr


def test_every_number_has_bounds() -> None:
    numbers = {
        (*path, parameter.name): (parameter.min, parameter.max)
        for path, command in _commands(typer.main.get_command(app), ())
        for parameter in command.params
        if {int, float} & {parameter.type_descriptor.annotation, *get_args(parameter.type_descriptor.annotation)}
    }
    assert len(numbers) >= 6
    assert [name for name, bounds in numbers.items() if None in bounds] == []


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


@pytest.mark.parametrize("ttl", ["60", "1h30m", "30d", "PT5M"])
def test_a_lifetime_is_written_as_people_write_it(home: Installation, ttl: str) -> None:
    result = run.invoke(app, ["token", "alice", "--data-dir", str(home.data_dir), "--ttl", ttl])
    assert result.exit_code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_complete_commands(shell: str) -> None:
    script = (
        f"from parlor_cli.main import main; import sys; sys.argv = ['parlor', '--show-completion', '{shell}']; main()"
    )
    variables = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, timeout=30, check=True
    )
    assert "_PARLOR_COMPLETE" in done.stdout
