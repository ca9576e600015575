"""A tool server that writes down every request that reaches it, in a process of its own.

    python -m tests.chaos.system.tool_server FILE

The first line on standard output is its port. Each request is a line of FILE before it is answered. Some answers are
late, and some connections are closed without one.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from aiohttp import web

from tests.chaos.call_rules import Run, ToolKind
from tests.sources import ROOT

TOOLS = {
    "pay": ToolKind("always", idempotent=False, timeout=3.0),
    "book": ToolKind("always", timeout=3.0),
    "launch": ToolKind(idempotent=False, timeout=3.0),
    "weather": ToolKind(timeout=3.0),
}
EDITABLE = frozenset({"pay", "book"})
LATE, CUT = 0.03, 0.03
"""Shares of the requests that are answered after the caller's time limit, and not at all."""
PERSONA = """
[[personas]]
name = "GPT4O"
title = "Assistant"
description = "Uses tools"
model = "demo"
system_prompt = "You use tools."
max_steps = 250
"""
TOOL = """
[[personas.tools]]
kind = "http"
name = "{name}"
description = "{name}"
url = "http://127.0.0.1:{port}/{name}"
allow_private = true
timeout = {timeout}
idempotent = {idempotent}
approval = "{approval}"
editable = {editable}
parameters = {{ type = "object", properties = {{ ask = {{ type = "string" }}, to = {{ type = "string" }} }} }}
"""


class ToolServer:
    """``runs`` reads what has reached it so far."""

    def __init__(self, path: Path, port: int) -> None:
        self._path = path
        self._port = port

    @property
    def runs(self) -> list[Run]:
        return [msgspec.json.decode(line, type=Run) for line in self._path.read_bytes().splitlines()]

    def personas(self) -> str:
        """A ``personas.toml`` whose one persona has all its tools."""
        tools = [
            TOOL.format(
                name=name,
                port=self._port,
                timeout=kind.timeout,
                idempotent=str(kind.idempotent).lower(),
                approval=kind.approval,
                editable=str(name in EDITABLE).lower(),
            )
            for name, kind in TOOLS.items()
        ]
        return PERSONA + "".join(tools)


@contextmanager
def tool_server(directory: Path) -> Iterator[ToolServer]:
    path = directory / "runs.jsonl"
    path.touch()
    command = [sys.executable, "-m", "tests.chaos.system.tool_server", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ToolServer(path, int(process.stdout.readline()))
        finally:
            process.terminate()


async def _serve(out: IO[bytes]) -> None:
    chance, count = random.Random(1), iter(range(sys.maxsize))

    async def called(request: web.Request) -> web.StreamResponse:
        name, arguments = request.match_info["name"], (await request.read()).decode()
        answer = f"{name} number {next(count)}"
        run = Run(time.monotonic(), name, arguments, request.headers.get("Idempotency-Key", ""), answer)
        out.write(msgspec.json.encode(run) + b"\n")
        lot = chance.random()
        await asyncio.sleep(TOOLS[name].timeout + 1 if lot < LATE else chance.uniform(0.0, 0.2))
        if lot > 1 - CUT and request.transport is not None:
            request.transport.abort()
        return web.Response(text=answer)

    application = web.Application()
    application.router.add_post("/{name}", called)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("ab", buffering=0) as file:
        asyncio.run(_serve(file))
