"""The demo model as a program::

    python -m demo_model --port 0 --behave "first=80ms delay=15ms"

It prints one line of JSON, ``{"url": "http://127.0.0.1:41234/v1"}``, when it is ready, and stops on SIGTERM or SIGINT.
The URL is the ``base_url`` for a client; any API key will do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable

import msgspec

from demo_model.script import Behaviour, DirectiveError, parse_directives
from demo_model.server import running_demo_model

PARENT_CHECK = 1.0
"""Seconds between two checks of the parent. PR_SET_PDEATHSIG would fire when the *thread* that started this process
ends, and end a demo model that was started from a thread pool."""


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo_model", description="Parlor's demo model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--behave", default="", metavar="DIRECTIVES", help='for example "first=80ms delay=15ms"')
    parser.add_argument("--die-with-parent", action="store_true", help="stop when the process that started this ends")
    options = parser.parse_args(argv)
    parent = os.getppid()
    try:
        parse_directives(options.behave, Behaviour())
    except DirectiveError as error:
        parser.error(f"--behave: {error}")
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(_serve(options.host, options.port, options.behave, parent if options.die_with_parent else 0))


async def _serve(host: str, port: int, behave: str, parent: int) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with running_demo_model(host=host, port=port, behave=behave) as url:
            sys.stdout.write(msgspec.json.encode({"url": url}).decode() + "\n")
            sys.stdout.flush()
            while not stop.is_set():
                if parent and os.getppid() != parent:
                    break
                try:
                    await asyncio.wait_for(stop.wait(), PARENT_CHECK)
                except TimeoutError:
                    continue
    except OSError as error:
        sys.stderr.write(f"the demo model on {host}:{port} stopped: {error}\n")
        return 1
    return 0


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
