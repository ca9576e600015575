"""`parlor bench flood`: attacks a running installation, and measures what others notice of it."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from parlor_cli import processes
from parlor_cli.bearer import sign
from parlor_cli.configuration import restore
from parlor_cli.installation import MARKER, Installation
from parlor_cli.refusal import Refusal
from parlor_cli.running import running

if TYPE_CHECKING:
    from parlor_bench.flood import Report, Target


def flood(data_dir: Path, *, seconds: float, rounds: int, as_json: bool) -> int:
    """Returns 1 when the p99 of other accounts' sends has more than doubled, when one of these fails, or when a process
    has grown. Raises ``Refusal`` when nothing runs here."""
    from parlor_bench.flood import GROWTH_MAX_MIB, RATIO_MAX, measure

    installation, target = _target(data_dir)
    say = (lambda line: None) if as_json else print
    memory = partial(_memory, installation)
    report = asyncio.run(measure(target, seconds=seconds, rounds=rounds, memory=memory, say=say))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    else:
        _print(report)
    grown = any(each.after - each.before > GROWTH_MAX_MIB for each in report.memory)
    return 1 if report.errors or grown or max(report.ratios.values()) > RATIO_MAX else 0


def _target(data_dir: Path) -> tuple[Installation, Target]:
    from parlor_bench.flood import MEASURED, Target

    found = running(data_dir)
    settings_json = found[0].read_settings() if found is not None and found[1].ready else None
    if found is None or settings_json is None:
        raise Refusal(f"nothing runs in {data_dir}: start it with `parlor up --detach`")
    settings, where = restore(settings_json), urlsplit(found[1].url)
    attacker, *measured = (sign(settings, data_dir, f"bench-{number}") for number in range(1 + MEASURED))
    limit = settings.limits.sends_per_second or 0
    return found[0], Target(where.hostname or "", where.port or 80, measured, attacker, limit)


def _print(report: Report) -> None:
    from parlor_bench.flood import RATIO_MAX

    for kind, ratio in report.ratios.items():
        print(f"{kind}: p99 of other accounts' sends x {ratio:.2f} (median); at most x {RATIO_MAX:.0f}")
    for each in sorted(report.memory, key=lambda each: each.before - each.after)[:5]:
        print(f"memory of {each.name}: {each.before:.0f} MiB before, {each.after:.0f} MiB after")


def _memory(installation: Installation) -> dict[int, tuple[str, float]]:
    """The processes of the installation on this machine: names, and resident memory in MiB."""
    from parlor_bench.usage import resident_bytes

    mark, found = f"{MARKER}={installation.runtime_dir}", {}
    for pid in processes.own_pids():
        words = processes.command_line(pid)
        if words and mark in processes.environment(pid):
            found[pid] = (" ".join(words)[:60], resident_bytes([pid]) / 2**20)
    return found
