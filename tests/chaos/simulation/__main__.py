"""``python -m tests.chaos.simulation --seeds 0-999``: runs seeds, prints those that fail and keeps them in
``tests/chaos/seeds.txt``; exit code 1 if any fails. ``--seeds 7 --log --history /tmp/7.jsonl`` looks at one."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from tests.chaos.simulation.run import Report
from tests.chaos.simulation.worker import run_all

KEPT = Path(__file__).parents[1] / "seeds.txt"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0-99", help="7, 0-99, 3,5,8")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--users", type=int, default=3)
    parser.add_argument("--operations", type=int, default=8, help="of each user")
    parser.add_argument("--log", action="store_true", help="what the processes log, with virtual times")
    parser.add_argument("--history", help="a file for the operations of the one seed")
    parser.add_argument("--verbose", action="store_true", help="a line for each seed, not only for those that fail")
    given = parser.parse_args()
    options = ["--users", str(given.users), "--operations", str(given.operations)]
    options += ["--log"] if given.log else []
    options += ["--history", given.history] if given.history else []
    count, failed = 0, 0
    refused, faults, calls = Counter[str](), Counter[str](), Counter[str]()
    for report in run_all(seeds_of(given.seeds), given.jobs, *options):
        count += 1
        refused.update(report.stale)
        faults.update(report.faults)
        calls.update(report.calls)
        if report.violations:
            failed += 1
            keep(report)
        if report.violations or given.verbose:
            tell(report)
    print(f"{count} seeds, {failed} failed; stale writes refused: {counted(refused)}")
    print(f"faults: {counted(faults)}")
    print(f"calls of tools: {counted(calls)}")
    return 1 if failed else 0


def seeds_of(text: str) -> list[int]:
    """``0-9,12`` as numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def kept_seeds() -> list[int]:
    """Those that ever failed."""
    return [int(line.split()[0]) for line in KEPT.read_text(encoding="utf-8").splitlines() if line[:1].isdigit()]


def keep(report: Report) -> None:
    if report.seed not in kept_seeds():
        what = report.violations[0]
        with KEPT.open("a", encoding="utf-8") as kept:
            kept.write(f"{report.seed} {what.rule}: {what.what}\n")


def tell(report: Report) -> None:
    print(
        f"seed {report.seed}: {report.operations} operations, {report.acknowledged} ok, "
        f"{sum(report.stale.values())} stale writes refused, {report.seconds:.0f} s, {report.digest}",
        flush=True,
    )
    for violation in report.violations:
        print(f"  {violation.rule} {violation.room} {violation.what} {violation.operations}", flush=True)


def counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counter.items())) or "none"


if __name__ == "__main__":
    sys.exit(main())
