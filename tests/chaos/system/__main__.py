"""Breaks an installed Parlor under load and checks what was promised.

    python -m tests.chaos.system --faults kill-room-actor,stop-writer --times 2 --rate 200 --json

Exit code 0: every fault healed, nothing was lost, doubled, reordered or revived. 1: something was.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import msgspec

from tests.chaos.system.campaign import Plan, run
from tests.chaos.system.catalogue import FAULTS, LOSSLESS
from tests.chaos.system.table import table
from tests.installation import missing_programs


def main() -> int:
    plan, as_json = _arguments()
    if missing := missing_programs(plan.kind):
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:7.1f}] {text}", file=sys.stderr, flush=True)

    report = asyncio.run(run(plan, say))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    else:
        print(table(report))
    return 1 if report.violations or report.troubles or report.lost_sends or report.dead_letters else 0


def _arguments() -> tuple[Plan, bool]:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.system", description=__doc__)
    parser.add_argument("--faults", default="lossless", help=f"with commas; all, lossless, or of: {', '.join(FAULTS)}")
    for name, default in (
        ("times", 1),
        ("accounts", 8),
        ("rooms", 5),
        ("users", 80),
        ("readers", 4),
        ("calm", 200),
        ("deciders", 0),
        ("approvals", 0),
        ("steps", 0),
        ("persisted", 4),
        ("fill", 0),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=200.0, help="things done a second")
    parser.add_argument("--pause", type=float, default=0.0, help="least seconds between two faults")
    parser.add_argument("--servers", choices=("embedded", "private"), default="private")
    parser.add_argument(
        "--redis", choices=("sentinel", "cluster"), default="sentinel", help="what a campaign of fail-overs stands on"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--history", default="", help="a directory to keep the history in")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = {"all": list(FAULTS), "lossless": LOSSLESS}.get(given.faults) or given.faults.split(",")
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"no such fault: {', '.join(unknown)}")
    plan = Plan(
        faults=names,
        times=given.times,
        rate=given.rate,
        accounts=given.accounts,
        rooms=given.rooms,
        users=given.users,
        readers=given.readers,
        calm=given.calm,
        deciders=given.deciders,
        approvals=given.approvals,
        steps=given.steps,
        persisted=given.persisted,
        fill=given.fill,
        pause=given.pause,
        kind=given.servers,
        redis=given.redis,
        seed=given.seed,
        history=given.history,
    )
    return plan, given.json


if __name__ == "__main__":
    sys.exit(main())
