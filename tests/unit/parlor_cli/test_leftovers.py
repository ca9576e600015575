"""Processes that a dead installation left behind are found and ended, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from parlor_cli import leftovers, processes
from parlor_cli.installation import MARKER, Installation, RunFile

pytestmark = pytest.mark.unit


@contextmanager
def _running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def _pids(home: Installation) -> set[int]:
    return {ref.pid for ref in leftovers.find(home).values()}


def test_a_recorded_process_is_found_and_ended(home: Installation) -> None:
    with _running(["sleep", "60"]) as lost:
        ref = processes.reference(lost.pid)
        home.write_run(
            RunFile(boot_id=processes.boot_id(), launcher=ref, runtime_dir="", started_at=1, processes={"redis": ref})
        )
        assert leftovers.end(home, grace_s=2.0) == [f"sleep (pid {lost.pid})"]
        assert not processes.is_alive(ref)
        assert leftovers.find(home) == {}


def test_a_process_with_the_installations_marker_is_found(home: Installation) -> None:
    with _running(["sleep", "60"], **{MARKER: str(home.runtime_dir)}) as lost:
        assert _pids(home) == {lost.pid}


def test_a_process_of_another_installation_is_left_alone(home: Installation) -> None:
    with _running(["sleep", "60"], **{MARKER: f"{home.runtime_dir}0"}):
        assert _pids(home) == set()


def test_a_process_that_writes_into_the_runtime_directory_is_found(home: Installation) -> None:
    log = home.make_runtime_dir() / "worker.out"
    with log.open("wb") as output:
        lost = subprocess.Popen(["sleep", "60"], stdout=output)
    try:
        assert _pids(home) == {lost.pid}
    finally:
        lost.kill()
        lost.wait(30)


def test_a_known_server_on_the_data_directory_is_found(home: Installation) -> None:
    shell = shutil.which("bash")
    assert shell is not None
    # A shell under a server's name that waits for its input: only the command line counts.
    command = ["redis-server", "-c", "read -r", f"{home.data_dir}/redis"]
    with subprocess.Popen(command, executable=shell, stdin=subprocess.PIPE) as server:
        assert _pids(home) == {server.pid}
        server.kill()


def test_somebody_who_reads_a_log_of_the_installation_is_left_alone(home: Installation) -> None:
    home.logs_dir.mkdir()
    log = home.logs_dir / "launcher.log"
    log.touch()
    with _running(["tail", "-f", str(log)]):
        assert _pids(home) == set()
