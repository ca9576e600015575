"""`parlor up` with a broken configuration, as a command: refused within a second, before anything starts. What is said
of each is tried in the tests' own process (tests/unit/parlor_cli/test_broken_configurations.py)."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.broken_configurations import CASES, PERSONA, scrubbed

pytestmark = pytest.mark.integration

PARLOR = Path(sys.executable).with_name("parlor")
SECONDS = 1.0
"""Of the processor, for the whole command: a clock would measure what else the machine does."""
TYPED = ("persona-out-of-bounds", "provider", "toml-key", "redis-database")
"""One of a personas file, a variable, parlor.toml and an option."""


@pytest.mark.parametrize("name", TYPED)
def test_it_is_refused_within_a_second_and_nothing_has_started(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    case.lay_out(tmp_path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [PARLOR, "up", "--detach", *case.options],
        cwd=tmp_path,
        env={**scrubbed(), **case.variables, "NO_COLOR": "1", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    case.check_refusal(done.stdout, done.stderr)
    assert not (tmp_path / ".parlor").exists()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS


def test_a_good_one_is_not_refused(tmp_path: Path) -> None:
    good = {
        "PARLOR_LLM__BASE_URL": "http://h/v1?api-version=1",
        "OPENAI_API_KEY": "sk-1\n",
        "PARLOR_LLM__IDLE_TIMEOUT": "7s",
        "PARLOR_LLM__PERSONAS_FILE": "mine.toml",
    }
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + PERSONA.replace("\n", "\r\n").encode())
    done = subprocess.run(
        [PARLOR, "config"],
        cwd=tmp_path,
        env={**scrubbed(), **good},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert 'idle_timeout = "PT7S"' in done.stdout
