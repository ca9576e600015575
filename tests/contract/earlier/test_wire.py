"""What travels between processes of an earlier version and of this one, as it does while `parlor upgrade` goes on."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parlor.rooms.commands import Command, decode_commands, decode_outcomes, encode_commands, encode_outcomes
from parlor.settings import Settings
from tests import earlier
from tests.unit.rooms.test_commands import OUTCOMES, commands

pytestmark = pytest.mark.contract


class Earlier:
    """The earlier code in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def echo(self, kind: str, blob: bytes) -> bytes:
        assert self._process.stdin is not None
        print(kind, base64.b64encode(blob).decode(), file=self._process.stdin, flush=True)
        return base64.b64decode(self.line())

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the earlier program has ended"
        return line.strip()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Earlier]:
    folder = tmp_path_factory.mktemp("earlier")
    earlier.unpack(folder)
    with subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("echo.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(folder)},
    ) as process:  # fmt: skip
        found = Earlier(process)
        try:
            assert Path(found.line()).is_relative_to(folder)
            yield found
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(10) == 0
        finally:
            process.kill()


@given(batch=st.lists(commands, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_understands_our_commands_and_we_understand_its(program: Earlier, batch: list[Command]) -> None:
    assert decode_commands(program.echo("commands", encode_commands(batch))) == batch


def test_it_understands_our_outcomes_and_we_understand_its(program: Earlier) -> None:
    assert decode_outcomes(program.echo("outcomes", encode_outcomes(OUTCOMES))) == OUTCOMES


def test_its_settings_are_ours(program: Earlier) -> None:
    """An actor that Ray starts again has the settings of the version that made it."""
    ours = Settings()
    theirs = program.echo("settings", ours.dump_secrets().encode())
    assert Settings.model_validate_json(theirs) == ours
