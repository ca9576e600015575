"""`parlor fsck`: whether Redis, the queues and the shards say the same of every room."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import LetterCache
from parlor.fsck.check import Fsck, FsckPorts, Report, Scope
from parlor.fsck.room import Finding
from parlor.ids import AccountId, RoomId, partition_of
from parlor.wiring import Wiring
from parlor_cli.live_stores import ask

NONE_LEFT, FOUND, NOT_RUN = 0, 1, 2
"""Exit codes."""


class FindingLine(msgspec.Struct, frozen=True):
    """A finding as JSON."""

    invariant: str
    kind: str
    room_id: str | None
    account_id: str | None
    seq: int | None
    """None: the room itself, or a partition."""
    what: str
    repair: str | None
    repaired: bool


class FsckReport(msgspec.Struct, frozen=True):
    """What `parlor fsck --json` prints."""

    rooms: int
    messages: int
    waiting: int
    dead_letters: int
    findings: list[FindingLine]


def run(data_dir: Path, *, repair: bool, account: str | None, room: str | None, as_json: bool) -> int:
    """Prints what was found, on standard output, and how it goes on standard error; returns the exit code. Raises
    ``Refusal`` (exit code 2) when it could not look."""
    from parlor_cli.refusal import Refusal

    if room is not None and partition_of(room) is None:
        raise Refusal(f"{room} is no room's id", exit_code=NOT_RUN)
    scope = Scope(AccountId(account) if account else None, RoomId(room) if room else None)

    async def check(wiring: Wiring) -> Report:
        audit = AuditCache(wiring.live, wiring.settings.redis.prefix)
        ports = FsckPorts(audit, LetterCache(wiring.live), wiring.store, wiring.loader, wiring.clock)
        return await Fsck(ports, _tell).run(scope, repair=repair)

    report = ask(data_dir, check, exit_code=NOT_RUN)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(_as_json(report)) + b"\n")
        sys.stdout.flush()
    else:
        _print(report)
    return FOUND if report.left else NONE_LEFT


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _as_json(report: Report) -> FsckReport:
    lines = [_line(finding, repaired=finding in report.repaired) for finding in report.findings]
    return FsckReport(report.rooms, report.messages, report.waiting, report.dead_letters, lines)


def _line(finding: Finding, *, repaired: bool) -> FindingLine:
    return FindingLine(
        invariant=finding.invariant,
        kind=finding.kind,
        room_id=finding.room_id or None,
        account_id=finding.account_id or None,
        seq=finding.seq if finding.room_id and finding.seq else None,
        what=finding.what,
        repair=finding.repair,
        repaired=repaired,
    )


def _print(report: Report) -> None:
    for line in _as_json(report).findings:
        place = (line.room_id or "-") + (f" seq {line.seq}" if line.seq is not None else "")
        end = "repaired" if line.repaired else "--repair can put it right" if line.repair else ""
        print(f"{line.invariant:<4} {place}: {line.what}" + (f" [{end}]" if end else ""))
    counted = f"{report.rooms} rooms, {report.messages} stored messages, {report.waiting} operations on their way"
    letters = f", {report.dead_letters} dead letters" if report.dead_letters else ""
    result = f"{len(report.findings)} findings" if report.findings else "nothing found"
    repaired = f", {len(report.repaired)} repaired" if report.repaired else ""
    print(f"{counted}{letters}: {result}{repaired}")
