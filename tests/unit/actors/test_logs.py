"""Log lines of an actor: one JSON object each, with the actor's name whichever task writes it."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import io
import json
import sys

import pytest
import structlog

from actors.logs import configure_logs
from parlor.settings import LogSettings

pytestmark = pytest.mark.unit


async def test_every_line_names_the_actor(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # As Serve does it in a replica, whose lines would be elsewhere, and late.
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(builtins, "print", lambda *_: None)
    configure_logs(LogSettings(), "rooms-000")

    async def work() -> None:
        structlog.get_logger("a module").warning("llm_failed", room_id="r")

    # As Ray runs a method: not in the context of the constructor.
    await asyncio.create_task(work(), context=contextvars.Context())
    await work()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["event"], line["actor"], line["level"], line["room_id"]) for line in lines] == [
        ("llm_failed", "rooms-000", "warning", "r")
    ] * 2
