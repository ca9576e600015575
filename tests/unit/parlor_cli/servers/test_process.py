"""A server's process: its start is checked, and it ends with the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from parlor_cli import processes
from parlor_cli.refusal import Refusal
from parlor_cli.servers.process import Server, ServerPlan

pytestmark = pytest.mark.unit


def _plan(tmp_path: Path, *command: str, ready: bool = True, timeout: float = 30.0) -> ServerPlan:
    return ServerPlan(
        name="it",
        command=list(command),
        log=tmp_path / "logs/it.log",
        answers=lambda: ready,
        ready_timeout_s=timeout,
        stop_timeout_s=0.3,
    )


def test_a_server_that_ends_at_its_start_is_refused_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"exit code 3(.|\n)*no such option"):
        Server.start(_plan(tmp_path, "sh", "-c", "echo no such option >&2; exit 3", ready=False))


def test_a_server_that_does_not_answer_in_time_is_stopped(tmp_path: Path) -> None:
    found: list[processes.ProcessRef] = []
    others = set(processes.children(os.getpid()))  # of other tests in this process

    def never() -> bool:
        found.extend(map(processes.reference, set(processes.children(os.getpid())) - others))
        return False

    plan = msgspec.structs.replace(_plan(tmp_path, "sleep", "60", timeout=0.1), answers=never)
    with pytest.raises(Refusal, match=r"did not answer within 0.1 s"):
        Server.start(plan)
    assert found
    assert not any(map(processes.is_alive, found))


def test_a_deaf_server_is_killed(tmp_path: Path) -> None:
    up = tmp_path / "up"
    deaf = f"trap '' TERM; touch {up}; while :; do sleep 0.05; done"
    plan = ServerPlan(
        name="it",
        command=["sh", "-c", deaf],
        log=tmp_path / "log",
        answers=up.exists,
        stop_timeout_s=0.3,
    )
    server = Server.start(plan)
    assert server.is_alive()
    server.stop()
    assert not processes.is_alive(server.ref)


def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from parlor_cli.servers.process import Server, ServerPlan\n"
        f"plan = ServerPlan(name='it', command=['sleep', '60'], log=Path({str(tmp_path / 'log')!r}),"
        " answers=lambda: True)\n"
        "server = Server.start(plan)\n"
        "print(server.ref.pid, server.ref.started, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, started = (int(word) for word in parent.stdout.readline().split())
        server = processes.ProcessRef(pid=pid, started=started)
        assert processes.is_alive(server)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(10)
        assert processes.wait_until_gone([server], 10) == []
