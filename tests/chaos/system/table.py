"""A campaign as a table, or several as one:

    python -m tests.chaos.system.table first.json second.json

of what `python -m tests.chaos.system --json` printed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from tests.chaos.system.campaign import Occurrence, Report
from tests.chaos.violation import Violation

_HEAD = (
    "| fault | count | stale writes refused | unavailable, median and worst (s) | recovery, median and worst (s) "
    "| promised within (s) | missed |\n|---|---|---|---|---|---|---|"
)


def table(*reports: Report) -> str:
    """Markdown, then what was found in each."""
    lines = [_HEAD]
    by_fault: dict[str, list[Occurrence]] = {}
    for one in (one for report in reports for one in report.occurrences):
        by_fault.setdefault(one.fault, []).append(one)
    for name, found in sorted(by_fault.items()):
        away, back = [one.unavailable for one in found], [one.recovery for one in found]
        within = found[0].within
        lines.append(
            f"| {name} | {len(found)} | {sum(one.refused for one in found)} | {median(away):.1f}, {max(away):.1f} "
            f"| {median(back):.1f}, {max(back):.1f} | {'' if within is None else f'{within:g}'} "
            f"| {sum(one.late for one in found)} |"
        )
    for report in reports:
        lines += _found(report)
    return "\n".join(lines)


def _by_rule(violations: Sequence[Violation]) -> list[str]:
    """How many of each: below only the first 50 are told."""
    return [f"{rule}={count}" for rule, count in Counter(one.rule for one in violations).items()]


def _found(report: Report) -> list[str]:
    lines = [
        "",
        (
            f"{report.seconds:.0f} s, {report.operations} operations, {report.sent} messages acknowledged, "
            f"{report.rate:.0f} answers/s overall, {report.calm_rate:.0f} messages/s in calm; {report.rooms} rooms, "
            f"{report.rows} rows; {report.dead_letters} dead letters; {report.lost_sends} messages given up"
        ),
        *([f"calls of tools: {', '.join(f'{n} {what}' for what, n in report.calls.items())}"] if report.calls else []),
        " ".join((f"violations: {len(report.violations)}", *_by_rule(report.violations))),
    ]
    lines += [f"  {one.rule} {one.room}: {one.what} ({', '.join(one.operations)})" for one in report.violations[:50]]
    lines += [f"{one.fault}: {one.notes}" for one in report.occurrences if one.notes]
    lines += [f"trouble: {one}" for one in report.troubles]
    lines += [f"a start was repeated: {one}" for one in report.failed_starts]
    lines += [f"skipped: {one}" for one in report.skipped]
    return lines


def main(paths: Sequence[str]) -> None:
    print(table(*(msgspec.json.decode(Path(path).read_bytes(), type=Report) for path in paths)))


if __name__ == "__main__":
    main(sys.argv[1:])
