"""The process that runs seeds: ``python -m tests.chaos.simulation.worker 0,1,2``, a report in JSON for each on a line.

Seeds always run in a process of their own with a fixed ``PYTHONHASHSEED``: the order in sets of strings is a part of a
run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import msgspec
import structlog

from tests.chaos.simulation.loop import current_process
from tests.chaos.simulation.run import Report, run_seed
from tests.unit.memory_store import make_templates

ROOT = Path(__file__).parents[3]


def run_all(seeds: Sequence[int], jobs: int, *options: str) -> Iterator[Report]:
    """Reports as they come, from ``jobs`` processes side by side. Raises ``RuntimeError`` when one of them breaks."""
    reports: SimpleQueue[Report | str] = SimpleQueue()

    def work(share: Sequence[int]) -> None:
        command = [sys.executable, "-m", "tests.chaos.simulation.worker", ",".join(map(str, share)), *options]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in process.stdout:
                reports.put(msgspec.json.decode(line, type=Report))
        reports.put("" if process.returncode == 0 else f"a worker of seeds {share} ended with {process.returncode}")

    shares = [share for number in range(jobs) if (share := seeds[number::jobs])]
    with ThreadPoolExecutor(len(shares)) as pool:
        for share in shares:
            pool.submit(work, share)
        ended = 0
        while ended < len(shares):
            report = reports.get(timeout=600)
            if isinstance(report, Report):
                yield report
            elif report:
                raise RuntimeError(report)
            else:
                ended += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds")
    parser.add_argument("--users", type=int, default=3)
    parser.add_argument("--operations", type=int, default=8)
    parser.add_argument("--log", action="store_true")
    parser.add_argument("--history", type=Path)
    options = parser.parse_args()
    structlog.configure(
        processors=[_told if options.log else _drop], logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    with tempfile.TemporaryDirectory() as directory:
        templates = asyncio.run(make_templates(Path(directory)))
    for seed in map(int, options.seeds.split(",")):
        with options.history.open("w") if options.history else contextlib.nullcontext() as history:
            report = run_seed(seed, templates, users=options.users, operations=options.operations, history=history)
        print(msgspec.json.encode(report).decode(), flush=True)


def _told(_: object, level: str, event: MutableMapping[str, object]) -> str:
    process = current_process()
    at = asyncio.get_running_loop().time()
    return f"{at:8.3f} {process.name if process else ''} {level} {event}"


def _drop(*_: object) -> str:
    raise structlog.DropEvent


if __name__ == "__main__":
    main()
