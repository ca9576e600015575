"""A server as a child process: start, wait until it answers, stop."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from parlor_cli import processes
from parlor_cli.processes import ProcessRef
from parlor_cli.refusal import Refusal

_TETHER = Path(__file__).with_name("tether.py")
_PROBE_PAUSE_S = 0.05
_KILL_WAIT_S = 5.0


class ServerPlan(msgspec.Struct, frozen=True):
    """How to run a server, and how to check whether it is ready."""

    name: str
    command: list[str]
    log: Path
    answers: Callable[[], bool]
    """Whether the server answers."""
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 20.0
    environment: Mapping[str, str] = {}
    """Variables besides those of this process."""


class Server:
    """A running server. Start it from the main thread only, because it ends with the thread that started it."""

    def __init__(self, plan: ServerPlan, process: subprocess.Popen[bytes]) -> None:
        self.plan = plan
        self._process = process
        self.ref: ProcessRef = processes.reference(process.pid)

    @classmethod
    def start(cls, plan: ServerPlan) -> Server:
        """Starts the server and waits until it answers. Raises ``Refusal`` with the end of its log."""
        plan.log.parent.mkdir(parents=True, exist_ok=True)
        with plan.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", str(_TETHER), str(os.getpid()), *plan.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **plan.environment},
                # A session of its own: Ctrl-C must reach only the launcher, which stops the servers in order.
                start_new_session=True,
            )
        server = cls(plan, process)
        try:
            server._wait_until_ready()
        except BaseException:
            server.stop()
            raise
        return server

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """Sends SIGTERM, waits for the stop timeout, then sends SIGKILL."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(self.plan.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_KILL_WAIT_S)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.plan.ready_timeout_s
        while not self.plan.answers():
            if not self.is_alive():
                raise Refusal(
                    f"{self.plan.name} ended at its start (exit code {self._process.returncode}). "
                    f"Its log {self.plan.log} ends with:\n{log_tail(self.plan.log)}"
                )
            if time.monotonic() > deadline:
                raise Refusal(
                    f"{self.plan.name} did not answer within {self.plan.ready_timeout_s:g} s. "
                    f"Its log {self.plan.log} ends with:\n{log_tail(self.plan.log)}"
                )
            # A pause that ends early when the server dies.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PROBE_PAUSE_S)


def log_tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log, indented for an error message."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return "    (no log)"
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (empty)"
