"""`parlor status`: what runs, and how far behind it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TypeAlias

import msgspec
from rich.console import Console
from rich.table import Table

from cli import processes, ray_cluster
from cli.configuration import restore
from cli.installation import Installation, RunFile
from cli.refusal import Refusal

NOTHING_RUNS = 3
Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None
"""What JSON can hold."""


def show(data_dir: Path, *, as_json: bool) -> int:
    """Prints it; returns the exit code: 0, or 3 when nothing runs. Raises ``Refusal`` when it does not answer."""
    installation = Installation.find(data_dir)
    run = installation.running() if installation else None
    if installation is None or run is None:
        if as_json:
            write_json({"running": False, "data_dir": str(data_dir.absolute())})
        else:
            print(f"nothing runs in {data_dir}")
        return NOTHING_RUNS
    report = _services(installation, run)
    if run.ready:
        report |= _inside(installation, run)
    if as_json:
        write_json(report)
    else:
        print_report(report)
    return 0


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
            for name, ref in {"steward": run.steward, **run.processes}.items()
        ],
    }


def _inside(installation: Installation, run: RunFile) -> dict[str, Plain]:
    """What the actors tell."""
    settings_json = installation.read_settings()
    if settings_json is None:
        raise Refusal(f"{installation.data_dir}/settings.json is gone although the installation runs")
    settings = restore(settings_json)
    if run.private_ray:
        os.environ.update(ray_cluster.client_environment(installation.ray_token_path))
    ray_cluster.join(run.ray_address, settings.ray.namespace)
    try:
        from ray.exceptions import RayError

        from actors import bootstrap

        found: dict[str, Plain] = msgspec.to_builtins(bootstrap.status(settings))
    except (ValueError, RayError) as error:
        raise Refusal(f"the actors do not answer: {error}") from error
    finally:
        ray_cluster.leave()
    return found


def write_json(report: dict[str, Plain]) -> None:
    """One line on standard output."""
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.flush()


def print_report(report: dict[str, Plain]) -> None:
    """Every list of records as a table, everything else as a line."""
    # Not cut to a width when it goes into a pipe.
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
