"""Restarts of servers that die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from parlor_cli import processes
from parlor_cli.servers.managed import ManagedServer
from parlor_cli.servers.process import ServerPlan

pytestmark = pytest.mark.unit


def test_a_server_that_died_is_started_again_and_reported(tmp_path: Path) -> None:
    plan = ServerPlan(name="it", command=["sleep", "60"], log=tmp_path / "log", answers=lambda: True)
    managed = ManagedServer(plan)
    first = managed.server.ref
    try:
        assert managed.check() is None
        os.kill(first.pid, signal.SIGKILL)
        assert processes.wait_until_gone([first], 10) == []
        message = managed.check()
        assert message is not None
        assert "it ended; starting it again in 0 s" in message
        message = managed.check()
        assert message is not None
        assert message.startswith("it is back")
        assert managed.server.ref != first
        assert managed.check() is None
    finally:
        managed.server.stop()


def test_a_server_that_dies_again_and_again_is_started_less_and_less_often(tmp_path: Path) -> None:
    plan = ServerPlan(name="it", command=["sleep", "60"], log=tmp_path / "log", answers=lambda: True)
    managed = ManagedServer(plan)
    try:
        for _ in range(2):
            managed.server.stop()
            message = managed.check()
            if message is not None and "in 0 s" in message:
                managed.check()
        assert message is not None
        assert "in 0.5 s" in message
        # Not due yet.
        assert managed.check() is None
    finally:
        managed.server.stop()
