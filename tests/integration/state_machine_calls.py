"""Calls of the running StateMachine actor by a process that owns no room, the way the specification reaches it.

As a program: reads a JSON list of ``[method, arguments, options]`` from standard input, makes each call through
``NodeStateMachine``, and prints one JSON list of ``["answer", value]`` or ``["error", code, extra]``::

    python -m tests.integration.state_machine_calls --data-dir DIR
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from parlor.errors import ParlorError
from parlor.settings import Settings
from tests.installation import Installation
from tests.integration.joined_ray import clean_environment, joined_ray

CALL_SECONDS = 120.0
_ROOT = Path(__file__).parents[2]

Call = tuple[str, list[str], dict[str, str]]
"""A method's name, its arguments, and its options."""


async def ask_state_machine(installation: Installation, calls: list[Call]) -> list[list[Any]]:
    """Makes the calls in a process of their own. Raises ``subprocess.CalledProcessError``."""
    command = [sys.executable, "-m", "tests.integration.state_machine_calls", "--data-dir", str(installation.data_dir)]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=_ROOT,
        env=clean_environment(),
        input=json.dumps(calls),
        capture_output=True,
        check=True,
        text=True,
        timeout=CALL_SECONDS,
    )
    # Ray writes to standard output too.
    found: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


async def _answers(settings: Settings, calls: list[Call]) -> list[list[object]]:
    # Imported here: it brings Ray, which the tests' own process does without.
    from actors.node_state_machine import NodeStateMachine

    machine = NodeStateMachine(settings.ray.namespace)
    found: list[list[object]] = []
    for method, arguments, options in calls:
        try:
            answer = await getattr(machine, method)(*arguments, **options)
        except ParlorError as error:
            found.append(["error", error.code, error.extra])
        else:
            found.append(["answer", msgspec.to_builtins(answer)])
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    calls = json.load(sys.stdin)
    with joined_ray(parser.parse_args(argv).data_dir) as settings:
        print(json.dumps(asyncio.run(_answers(settings, calls))), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
