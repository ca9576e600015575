"""The demo model: an OpenAI-compatible endpoint on loopback that needs no key."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from parlor_cli.servers.process import ServerPlan

HOST = "127.0.0.1"
MODEL = "parlor-demo"
"""What it calls itself."""
PACE = "first=80ms delay=15ms"
"""Looks like a real model; directives in a message override it."""


def url(port: int) -> str:
    return f"http://{HOST}:{port}/v1"


def plan(port: int, log: Path) -> ServerPlan:
    command = [
        sys.executable,
        "-m",
        "demo_model",
        "--host",
        HOST,
        "--port",
        str(port),
        "--die-with-parent",
        "--behave",
        PACE,
    ]
    return ServerPlan(name="demo-model", command=command, log=log, answers=lambda: answers(port), stop_timeout_s=5.0)


def answers(port: int) -> bool:
    """Whether it accepts connections."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False
