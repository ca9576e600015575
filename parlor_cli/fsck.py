"""`parlor fsck`: whether Redis, the queues and the shards say the same of every room."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.fsck.check import Fsck, Report
from parlor.fsck.findings import DeletionFinding, EntryFinding, FileFinding, Finding, MessageFinding, PartitionFinding
from parlor.fsck.look import FsckPorts, Scope
from parlor.model.ids import AccountId, RoomId, partition_of
from parlor.wiring import Wiring
from parlor_cli.live_stores import ask

NONE_LEFT, FOUND, NOT_RUN = 0, 1, 2
"""Exit codes."""


class FsckReport(msgspec.Struct, frozen=True):
    """What `parlor fsck --json` prints."""

    rooms: int
    messages: int
    waiting: int
    dead_letters: int
    findings: list[dict[str, object]]
    """Each with ``about`` (room, message, list, account, partition, entry, deletion or file), ``invariant``, ``kind``,
    ``what``, ``repair`` (the remedy's name or null) and ``repaired``; and, by what it is about, ``room_id`` and
    ``account_id``, ``seq``, ``partition``, ``position``, ``receipt_id``, ``file_id``."""


def run(data_dir: Path, *, repair: bool, account: str | None, room: str | None, as_json: bool) -> int:
    """Prints what was found, on standard output, and how it goes on standard error; returns the exit code. Raises
    ``Refusal`` (exit code 2) when it could not look."""
    from parlor_cli.refusal import Refusal

    if room is not None and partition_of(room) is None:
        raise Refusal(f"{room} is no room's id", exit_code=NOT_RUN)
    scope = Scope(AccountId(account) if account else None, RoomId(room) if room else None)

    async def check(wiring: Wiring) -> Report:
        audit = AuditCache(wiring.live, wiring.settings.redis.prefix)
        ports = FsckPorts(
            audit, DeadLetterCache(wiring.live), wiring.store, wiring.loader, wiring.clock, wiring.files_to_check
        )
        return await Fsck(ports, _report).run(scope, repair=repair)

    report = ask(data_dir, check, exit_code=NOT_RUN, also_stopped=True)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(_as_json(report)) + b"\n")
        sys.stdout.flush()
    else:
        _print(report)
    return FOUND if report.left else NONE_LEFT


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _as_json(report: Report) -> FsckReport:
    lines = [finding_json(finding, repaired=finding in report.repaired) for finding in report.findings]
    return FsckReport(report.rooms, report.messages, report.waiting, report.dead_letters, lines)


def finding_json(finding: Finding, *, repaired: bool) -> dict[str, object]:
    """Without the remedy's figures, which are only good for the moment."""
    fields: dict[str, object] = msgspec.to_builtins(finding)
    del fields["remedy"]
    if isinstance(finding, EntryFinding):
        fields["position"] = str(finding.position)
    return {**fields, "repair": _repair(finding), "repaired": repaired}


def _repair(finding: Finding) -> str | None:
    if finding.remedy is None:
        return None
    name = finding.remedy.__struct_config__.tag
    return str(name)


def _print(report: Report) -> None:
    for finding in report.findings:
        end = ""
        if finding in report.repaired:
            end = " [repaired]"
        elif finding.remedy is not None:
            end = " [--repair can put it right]"
        print(f"{finding.invariant:<4} {_subject(finding)}: {finding.what}{end}")
    counted = f"{report.rooms} rooms, {report.messages} stored messages, {report.waiting} operations on their way"
    dead_letters = f", {report.dead_letters} dead letters" if report.dead_letters else ""
    result = f"{len(report.findings)} findings" if report.findings else "nothing found"
    repaired = f", {len(report.repaired)} repaired" if report.repaired else ""
    print(f"{counted}{dead_letters}: {result}{repaired}")


def _subject(finding: Finding) -> str:
    if isinstance(finding, PartitionFinding | EntryFinding):
        return "-"  # The text names the partition.
    if isinstance(finding, DeletionFinding):
        return finding.account_id
    if isinstance(finding, FileFinding):
        return f"file {finding.file_id}"
    return f"{finding.room_id} seq {finding.seq}" if isinstance(finding, MessageFinding) else finding.room_id
