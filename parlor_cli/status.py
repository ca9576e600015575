"""`parlor status`: shows what runs, and how far the shards are behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from rich.console import Console
from rich.table import Table

from parlor_cli import processes
from parlor_cli.installation import Installation, RunFile
from parlor_cli.refusal import Refusal
from parlor_cli.running import joined, running

if TYPE_CHECKING:
    # Slow to import, and not needed when nothing runs.
    from actors.contracts import InstallationStatus

NOTHING_RUNS = 3
Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None
"""A JSON value."""


def show(data_dir: Path, *, as_json: bool) -> int:
    """Prints the status; returns the exit code, 3 when nothing runs. Raises ``Refusal`` without an answer."""
    found = running(data_dir)
    if found is None:
        return nothing_runs(data_dir, as_json=as_json)
    report = _services(*found)
    if found[1].ready:
        report |= with_lag(ask_actors(*found))
    write(report, as_json=as_json)
    return 0


def nothing_runs(data_dir: Path, *, as_json: bool) -> int:
    """Prints that nothing runs; returns the exit code."""
    if as_json:
        write_json({"running": False, "data_dir": str(data_dir.absolute())})
    else:
        print(f"nothing runs in {data_dir}")
    return NOTHING_RUNS


def _services(installation: Installation, run: RunFile) -> dict[str, Plain]:
    return {
        "running": True,
        "ready": run.ready,
        "url": run.url,
        "dashboard_url": run.dashboard_url,
        "ingress": run.ingress,
        "data_dir": str(installation.data_dir),
        "processes": [
            {"name": name, "pid": ref.pid, "alive": processes.is_alive(ref)}
            for name, ref in {"launcher": run.launcher, **run.processes}.items()
        ],
    }


def ask_actors(installation: Installation, run: RunFile) -> InstallationStatus:
    """The report of the actors. Raises ``Refusal`` when they do not answer."""
    with joined(installation, run) as settings:
        from ray.exceptions import RayError

        from actors import bootstrap

        try:
            return bootstrap.status(settings)
        except (ValueError, RayError) as error:
            raise Refusal(f"the actors do not answer: {error}") from error


def with_lag(status: InstallationStatus) -> dict[str, Plain]:
    """The report, and for each shard: queued entries, age of the oldest in seconds, dead letters."""
    found: dict[str, Plain] = msgspec.to_builtins(status)
    shards: list[Plain] = []
    for shard in sorted({queue.shard for queue in status.queues}):
        queues = [queue for queue in status.queues if queue.shard == shard]
        shards.append(
            {
                "shard": shard,
                "lag_entries": sum(queue.depth for queue in queues),
                "lag_seconds": max(queue.lag_seconds for queue in queues),
                "dead_letters": sum(queue.dead_letters for queue in queues),
            }
        )
    return found | {"shards": shards}


def write(report: dict[str, Plain], *, as_json: bool) -> None:
    """Prints the report as one line of JSON, or as tables."""
    if as_json:
        write_json(report)
    else:
        print_report(report)


def write_json(report: dict[str, Plain]) -> None:
    """Prints one line."""
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.flush()


def print_report(report: dict[str, Plain]) -> None:
    """Prints every list of records as a table, everything else as a line."""
    # Rich would wrap tables to 80 columns in a pipe.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    for name, value in report.items():
        title = name.replace("_", " ")
        rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
        if name == "queues":
            waiting = [row for row in rows if row["depth"] or row["dead_letters"]]
            console.print(f"queues: {len(rows)} partitions, {len(rows) - len(waiting)} of them empty")
            rows = waiting
        elif not rows:
            console.print(f"{title}: {_text(value)}")
        if rows:
            console.print(_table(title, rows))


def _table(title: str, rows: list[dict[str, Plain]]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), no_wrap=True)
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in rows[0]))
    return table


def _text(value: Plain) -> str:
    match value:
        case None | [] | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.1f}"
        case list():
            return str(len(value))
        case dict():
            return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
        case _:
            return str(value)
