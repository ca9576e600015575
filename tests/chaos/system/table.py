"""The campaign as a table."""

from __future__ import annotations

from statistics import median

from tests.chaos.system.campaign import Occurrence, Report

_HEAD = (
    "| fault | count | stale writes refused | unavailable, median and worst (s) | recovery, median and worst (s) "
    "| promised within (s) | missed |\n|---|---|---|---|---|---|---|"
)


def table(report: Report) -> str:
    """Markdown, then what was found."""
    lines = [_HEAD]
    by_fault: dict[str, list[Occurrence]] = {}
    for one in report.occurrences:
        by_fault.setdefault(one.fault, []).append(one)
    for name, found in sorted(by_fault.items()):
        away, back = [one.unavailable for one in found], [one.recovery for one in found]
        within = found[0].within
        lines.append(
            f"| {name} | {len(found)} | {sum(one.refused for one in found)} | {median(away):.1f}, {max(away):.1f} "
            f"| {median(back):.1f}, {max(back):.1f} | {'' if within is None else f'{within:g}'} "
            f"| {sum(one.late for one in found)} |"
        )
    lines += [
        "",
        (
            f"{report.seconds:.0f} s, {report.operations} operations, {report.sent} messages acknowledged, "
            f"{report.rate:.0f} answers/s overall, {report.calm_rate:.0f} messages/s in calm; {report.rooms} rooms, "
            f"{report.rows} rows; {report.dead_letters} dead letters; {report.lost_sends} messages given up"
        ),
        f"violations: {len(report.violations)}",
    ]
    lines += [f"  {one.rule} {one.room}: {one.what} ({', '.join(one.operations)})" for one in report.violations[:50]]
    lines += [f"trouble: {one}" for one in report.troubles]
    lines += [f"a start was repeated: {one}" for one in report.failed_starts]
    lines += [f"skipped: {one}" for one in report.skipped]
    return "\n".join(lines)
