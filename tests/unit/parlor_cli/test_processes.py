"""Processes of this machine: alive or not, the same or not, and how they are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from parlor_cli import processes
from parlor_cli.processes import ProcessRef

pytestmark = pytest.mark.unit

_HEADLESS = (
    "import ctypes, threading, time\n"
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    "print('up', flush=True)\n"
    "ctypes.CDLL(None).pthread_exit(None)\n"
)
"""Its first thread ends by itself, another one goes on: a zombie by name, with open files."""
_DEAF = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait(30)


def test_a_process_is_alive_until_it_ends(sleeper: subprocess.Popen[bytes]) -> None:
    ref = processes.reference(sleeper.pid)
    assert processes.is_alive(ref)
    sleeper.kill()
    # Not reaped yet: a zombie is not alive.
    assert processes.wait_until_gone([ref], 10) == []
    assert not processes.is_alive(ref)


def test_a_process_is_alive_while_one_of_its_threads_is() -> None:
    with subprocess.Popen([sys.executable, "-c", _HEADLESS], stdout=subprocess.PIPE) as headless:
        ref = processes.reference(headless.pid)
        deadline = time.monotonic() + 30
        while (stat := processes.read_stat(headless.pid)) is not None and stat.state != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert stat is not None
        assert processes.command_line(headless.pid) == []
        assert processes.is_alive(ref)
        headless.kill()
        assert processes.wait_until_gone([ref], 10) == []


def test_another_process_with_the_same_pid_is_not_it(sleeper: subprocess.Popen[bytes]) -> None:
    ref = processes.reference(sleeper.pid)
    other = ProcessRef(pid=ref.pid, started=ref.started + 1)
    assert not processes.is_alive(other)
    processes.send(other, signal.SIGKILL)
    assert processes.is_alive(ref)


def test_a_stubborn_process_is_killed_after_its_grace() -> None:
    deaf = subprocess.Popen([sys.executable, "-c", _DEAF], stdout=subprocess.PIPE)
    with deaf:
        assert deaf.stdout is not None
        assert deaf.stdout.readline() == b"up\n"
        assert processes.end([processes.reference(deaf.pid)], grace_s=0.2) == []
    assert deaf.returncode == -signal.SIGKILL


def test_the_children_of_a_process_are_found(sleeper: subprocess.Popen[bytes]) -> None:
    assert sleeper.pid in processes.children(os.getpid())
    assert processes.command_line(sleeper.pid) == ["sleep", "60"]


def test_neither_this_process_nor_its_ancestors_are_among_those_to_end(sleeper: subprocess.Popen[bytes]) -> None:
    own = set(processes.own_pids())
    assert sleeper.pid in own
    assert not own & {os.getpid(), os.getppid()}
