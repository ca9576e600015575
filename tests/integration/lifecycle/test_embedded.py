"""Ways in which a default installation ends, or does not start. Each test starts its own."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from parlor_cli import processes
from tests.integration.lifecycle.conftest import MakeParlor
from tests.starts import one_start_at_a_time

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def test_without_its_ray_it_stops_and_says_so(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    with parlor.foreground("Ready at") as front:
        assert front.stdout is not None
        os.kill(parlor.run.processes["gcs_server"].pid, signal.SIGKILL)
        rest = front.stdout.read()
        assert front.wait(120) == 1, rest
    assert "gcs_server" in rest
    assert parlor.remains() == {}


@pytest.mark.parametrize("step", ["secrets", "databases", "model", "ray", "actors"])
def test_a_start_that_is_interrupted_says_so_in_a_line_and_leaves_nothing(
    make_parlor: MakeParlor, step: str, tmp_path: Path
) -> None:
    parlor = make_parlor()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    parlor.environment["TMPDIR"] = str(temporary)
    with parlor.foreground(step) as front:
        assert front.stdout is not None
        os.killpg(front.pid, signal.SIGINT)
        rest = front.stdout.read()
        assert front.wait(120) == 130, rest
    # What had been shown when the signal came may be shown in between.
    *steps, last = rest.splitlines()
    assert [line for line in steps if not line.startswith("  ")] == []
    assert last == "parlor: interrupted; what had started is stopped"
    assert parlor.remains() == {}
    assert not parlor.installation.runtime_dir.exists()
    assert list(temporary.iterdir()) == []


def test_a_foreground_command_that_is_killed_takes_everything_with_it(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    with parlor.foreground("Ready at") as front:
        assert front.stdout is not None
        launcher = parlor.run.launcher
        os.killpg(front.pid, signal.SIGKILL)
    assert processes.wait_until_gone([launcher], 120) == []
    assert parlor.remains() == {}


def test_a_taken_port_is_refused_at_once(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", parlor.port))
        listener.listen(1)
        began = time.monotonic()
        done = parlor.up()
        assert time.monotonic() - began < 15
    assert done.returncode == 1
    assert "another program listens there" in done.stderr
    assert parlor.remains() == {}


def test_what_an_actor_raises_is_said_by_the_start_at_once(make_parlor: MakeParlor, tmp_path: Path) -> None:
    broken = "def make(settings, key, clock):\n    raise ValueError('the licence of the model has ended')\n"
    (tmp_path / "broken_provider.py").write_text(broken)
    parlor = make_parlor()
    parlor.environment |= {"PYTHONPATH": str(tmp_path), "PARLOR_LLM__PROVIDER": "broken_provider:make"}
    with one_start_at_a_time():
        began = time.monotonic()
        done = parlor.up()
    assert done.returncode == 1
    assert "the actors did not start: rooms-000: ValueError: the licence of the model has ended" in done.stderr
    assert "the licence of the model has ended" in parlor.log()
    # The limit of a start is 120 s.
    assert time.monotonic() - began < 100
    assert parlor.remains() == {}
    assert not parlor.installation.runtime_dir.exists()
