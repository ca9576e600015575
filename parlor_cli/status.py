"""`parlor status`: shows what runs, and how far the shards are behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from parlor_cli import processes
from parlor_cli.configuration import restore
from parlor_cli.installation import Installation, RunFile
from parlor_cli.readiness import Readiness, readiness
from parlor_cli.refusal import Refusal
from parlor_cli.running import joined, running
from parlor_cli.summary import page_rows
from parlor_cli.tables import Plain, write, write_json

if TYPE_CHECKING:
    # Slow to import, and not needed when nothing runs.
    from actors.contracts import InstallationStatus, QueueStatus

NOTHING_RUNS = 3


def show(data_dir: Path, *, as_json: bool, wide: bool) -> int:
    """Prints the status; returns the exit code: 3 when nothing runs, 1 when the actors do not answer."""
    found = running(data_dir)
    if found is None:
        return nothing_runs(data_dir, as_json=as_json)
    installation, run = found
    report = _services(installation, run)
    if not as_json and run.ready:
        # Not for programs, whose output ends up in other places: it contains a sign-in code.
        report["sign_in"] = sign_in(installation, run)
    code = 0
    if run.ready:
        try:
            report |= with_lag(ask_actors(installation, run))
        except Refusal as refusal:
            report["actors"] = refusal.message
            code = 1
    write(report, as_json=as_json, wide=wide)
    return code


def sign_in(installation: Installation, run: RunFile) -> str:
    """The page with a code that signs the first account in, or why there is none; and what prints another."""
    settings_json = installation.read_settings()
    if settings_json is None:
        return "-"
    rows = page_rows(restore(settings_json), run.url, installation.data_dir)
    return "  ".join(value for _, value in rows)


def nothing_runs(data_dir: Path, *, as_json: bool) -> int:
    """Prints that nothing runs; returns the exit code."""
    if as_json:
        write_json({"running": False, "data_dir": str(data_dir.absolute())})
    else:
        print(f"nothing runs in {data_dir}")
    return NOTHING_RUNS


def _services(installation: Installation, run: RunFile) -> dict[str, Plain]:
    now = readiness(run.url) if run.ready else Readiness(False, "it is starting")
    return {
        "running": True,
        "ready": now.ready,
        "not_ready": now.reason,
        "url": run.url,
        "health_url": run.health_url,
        "dashboard_url": run.dashboard_url,
        "metrics_url": run.metrics_url,
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
    """The report, how many processes run which version, the clusters where there are several, and for each shard: its
    partitions, queued entries, age of the oldest in seconds, dead letters, and operations that it has stored."""
    found: dict[str, Plain] = msgspec.to_builtins(status)
    if len(status.clusters) < 2:
        del found["clusters"]
    versions = Counter(one.version or "an earlier version" for one in status.actors if one.alive)
    running: dict[str, Plain] = {
        version: f"{count} process{'' if count == 1 else 'es'}" for version, count in sorted(versions.items())
    }
    return {"versions": running} | found | {"shards": _by_shard(status.queues)}


def _by_shard(queues: list[QueueStatus]) -> list[Plain]:
    shards: list[Plain] = []
    for shard in sorted({queue.shard for queue in queues}):
        its = [queue for queue in queues if queue.shard == shard]
        shards.append(
            {
                "shard": shard,
                "partitions": len(its),
                "lag_entries": sum(queue.depth for queue in its),
                "lag_seconds": max(queue.lag_seconds for queue in its),
                "dead_letters": sum(queue.dead_letters for queue in its),
                "stored": sum(queue.stored or 0 for queue in its),
            }
        )
    return shards
