"""Another front door of a running installation: the same application in a process of its own, on a port of its own.

What a second replica is to the first: it shares nothing with it but Redis, the databases and the actors. As a program::

    python -m tests.integration.second_replica --data-dir DIR

prints ``{"url": ...}`` when it is ready, and stops when its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from api.app import build_app
from parlor.gateway import Gateway
from parlor.settings import Settings
from tests.installation import Installation
from tests.integration.joined_ray import clean_environment, joined_ray

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def second_replica(installation: Installation, *, files: str = "", **environment: str) -> Iterator[str]:
    """Runs one; its base URL. With ``files`` it has another place for files."""
    command = [sys.executable, "-m", "tests.integration.second_replica", "--data-dir", str(installation.data_dir)]
    command += ["--files", files]
    known = {**clean_environment(), **environment}
    with subprocess.Popen(
        command, cwd=_ROOT, env=known, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
            line = process.stdout.readline() if ready else ""
            if not line:
                process.kill()
                raise RuntimeError("the second replica did not start")
            # It logs there: a full pipe would stop it.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield json.loads(line)["url"]
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


async def _serve(settings: Settings) -> None:
    async def open_gateway() -> Gateway:
        # Imported here: it brings Ray, which the tests' own process does without.
        from actors import gateway

        return await gateway.open_gateway(settings)

    listener = socket.create_server(("127.0.0.1", 0))
    app = build_app(settings, open_gateway)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    # Connections wait in the listener's queue until the application has started.
    print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    ending = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--files", default="", help="another place for files")
    given = parser.parse_args(argv)
    with joined_ray(given.data_dir) as settings:
        files = settings.files.model_copy(update={"url": given.files or settings.files.url})
        asyncio.run(_serve(settings.model_copy(update={"files": files})))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
