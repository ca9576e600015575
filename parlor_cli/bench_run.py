"""`parlor bench run`: takes measures on an installation, by default on one that is started for it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from parlor_cli import leftovers, processes
from parlor_cli.bearer import sign
from parlor_cli.bench_database import database_over_tcp
from parlor_cli.configuration import restore
from parlor_cli.installation import Installation as DataDirectory
from parlor_cli.installation import RunFile
from parlor_cli.refusal import Refusal
from parlor_cli.running import joined, running

if TYPE_CHECKING:
    from parlor_bench.installation import Installation
    from parlor_bench.results import Machine, Result

NOOP, PREFIX = "noop", "/bench"
UP_SECONDS, DOWN_SECONDS = 240, 200


def run(
    names: Sequence[str],
    data_dir: Path | None,
    *,
    seconds: float,
    rounds: int,
    duration: float,
    results: Path | None,
    as_json: bool,
) -> int:
    """Takes the measures; each result is written to ``results`` as soon as it is there. Returns 1 when an answer was an
    error. Raises ``Refusal``."""
    from parlor_bench.catalogue import MEASURES, ON_DEMAND
    from parlor_bench.installation import Bench

    if unknown := [name for name in names if name not in MEASURES]:
        raise Refusal(f"no measure {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    say = (lambda line: None) if as_json else print
    found: list[Result] = []

    async def measured() -> None:
        place = nullcontext(installation_in(data_dir)) if data_dir is not None else started({})
        async with place as on:
            bench = Bench(on, started, database_over_tcp, rounds, seconds, duration, say)
            for name in names or [name for name in MEASURES if name not in ON_DEMAND]:
                say(f"\n{name}")
                result = await MEASURES[name](bench)
                found.append(result)
                if results is not None:
                    await asyncio.to_thread(keep, results, result)
                for line in lines(result):
                    say(line)

    asyncio.run(measured())
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    return 1 if any(result.errors for result in found) else 0


def keep(folder: Path, result: Result) -> None:
    """Writes the result, with where and when it was found, into a file named after its measure."""
    from parlor_bench.results import Kept

    folder.mkdir(parents=True, exist_ok=True)
    kept = msgspec.json.format(msgspec.json.encode(Kept(_machine(), result)))
    (folder / f"{result.measure}.json").write_bytes(kept + b"\n")


def lines(result: Result) -> Iterator[str]:
    """What a person reads of a result."""
    for one in result.criteria:
        target = f"at least {one.at_least:g}" if one.at_least is not None else f"at most {one.at_most:g}"
        yield (
            f"{result.measure} {one.name}: {one.median:g} {one.unit} ({min(one.values):g} to {max(one.values):g}),"
            f" {target}: {'met' if one.met else 'missed'}"
        )
    for reason in result.left_out:
        yield f"{result.measure}: left out: {reason}"


def installation_in(data_dir: Path) -> Installation:
    """What runs in the directory. Raises ``Refusal`` when nothing is ready there, or when its model is not the demo
    model."""
    from parlor_bench.installation import Installation

    found = running(data_dir)
    if found is None or not found[1].ready:
        raise Refusal(f"nothing runs in {data_dir}: start it with `parlor up --servers private --detach`")
    directory, run_file = found
    if "demo-model" not in run_file.processes:
        raise Refusal("this needs the demo model, which answers as it is told: configure no other model")
    text = directory.read_settings()
    if text is None:
        raise Refusal(f"{data_dir}/settings.json is gone although the installation runs")
    settings, where = restore(text), urlsplit(run_file.url)

    def server(name: str) -> int:
        now = directory.read_run()
        return (now or run_file).processes[name].pid

    return Installation(
        where.hostname or "",
        where.port or 80,
        settings,
        lambda account: sign(settings, data_dir, account),
        lambda mark: _processes(directory, mark),
        lambda pid: Path((processes.command_line(pid) or ["ended"])[0].split()[0]).name,
        server,
        lambda: _noop(directory, run_file),
    )


@asynccontextmanager
async def started(settings: Mapping[str, str], *, servers: str = "private") -> AsyncIterator[Installation]:
    """An installation of its own, with nothing but these settings and those of benchmarks; removed at the end."""
    from parlor_bench.installation import SETTINGS

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PARLOR_", "OPENAI_"))}
    with tempfile.TemporaryDirectory(prefix="parlor-bench-") as home:
        command = str(Path(sys.executable).with_name("parlor"))
        up = [command, "up", "--detach", "--port", "0", "--servers", servers, "--data-dir", f"{home}/d"]
        down = [command, "down", "--data-dir", f"{home}/d"]
        environment = {**clean, **SETTINGS, **settings}
        try:
            done = await asyncio.to_thread(
                subprocess.run, up, cwd=home, env=environment, capture_output=True, text=True, timeout=UP_SECONDS
            )
            if done.returncode != 0:
                raise Refusal(f"parlor up failed:\n{done.stdout}\n{done.stderr}")
            yield installation_in(Path(home, "d"))
        finally:
            await asyncio.to_thread(
                subprocess.run, down, cwd=home, env=environment, capture_output=True, timeout=DOWN_SECONDS
            )


def _processes(directory: DataDirectory, mark: str) -> list[int]:
    found = (ref.pid for ref in leftovers.find(directory).values())
    return [pid for pid in found if mark in " ".join(processes.command_line(pid))]


@contextmanager
def _noop(directory: DataDirectory, run_file: RunFile) -> Iterator[str]:
    with joined(directory, run_file):
        from ray import serve

        from parlor_bench.noop import build_noop_app

        serve.run(build_noop_app(), name=NOOP, route_prefix=PREFIX)
        try:
            yield f"{PREFIX}/v1/noop"
        finally:
            serve.delete(NOOP)


def _machine() -> Machine:
    from parlor_bench.results import Machine

    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown",
    )
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    return Machine(os.cpu_count() or 1, model, commit.stdout.strip() or "unknown", now, round(os.getloadavg()[0], 1))
