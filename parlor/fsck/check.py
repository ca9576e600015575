"""The check of a running installation: every room in Redis, queue, dead letters and shard; repair of what is safe.

A look reads Redis before queue and dead letters, and those before the shard, so that what is on its way is found in one
of them. What looks wrong is looked at again, ``LOOKS`` times in all with a pause between: what is under way moves on, a
fault stays. Bookkeeping is then compared once more inside Redis, in one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from parlor.fsck.deletions import false_receipts
from parlor.fsck.files import FileCheck
from parlor.fsck.findings import Elsewhere, EntryFinding, Finding, PartitionFinding, Requeue, same_words, subject
from parlor.fsck.look import FsckPorts, Look, Looker, Rooms, Scope
from parlor.fsck.repairs import Repairs
from parlor.fsck.view import RoomView
from parlor.model.ids import Partition, RoomId, home_of

LOOKS = 3
PAUSE = 1.0
"""Seconds between two looks, and before what was repaired is looked at again."""


class Report(msgspec.Struct, frozen=True):
    """What a check has found."""

    rooms: int
    messages: int
    """Rows that were compared."""
    waiting: int
    """Operations in scope that were queued at the first look."""
    dead_letters: int
    findings: list[Finding]
    repaired: list[Finding]
    """Those of them that are gone after the repair."""

    @property
    def left(self) -> list[Finding]:
        return [finding for finding in self.findings if finding not in self.repaired]


class Fsck:
    """Raises ``CacheUnavailable`` and ``StoreUnavailable`` throughout. ``report`` gets a line now and then."""

    def __init__(self, ports: FsckPorts, report: Callable[[str], None]) -> None:
        self._ports = ports
        self._report = report

    async def run(self, scope: Scope, *, repair: bool = False) -> Report:
        """Looks at everything in scope. With ``repair``, puts right what can be put right safely."""
        await self._ports.store.refresh_shard_map()
        looker = Looker(self._ports, scope, self._report)
        repairs = Repairs(self._ports, looker, self._report)
        rooms = await looker.rooms()
        self._report(f"{sum(map(len, rooms.values()))} rooms in {len(rooms)} partitions")
        first = await looker.look(rooms)
        findings = await self._lasting(first, looker, repairs)
        repaired: list[Finding] = []
        if repair and findings:
            repaired = await self._repaired(findings, looker, repairs)
        if scope.room_id is None:
            findings += await false_receipts(self._ports.store, scope.account_id)
        if scope == Scope() and self._ports.files is not None:
            files = FileCheck(self._ports.store, self._ports.files, self._ports.clock)
            found, mended = await files.run(repair=repair)
            findings, repaired = [*findings, *found], [*repaired, *mended]
        return Report(
            rooms=first.rooms,
            messages=first.messages,
            waiting=len(first.waiting),
            dead_letters=len(first.dead_letters),
            findings=findings,
            repaired=repaired,
        )

    async def _lasting(self, first: Look, looker: Looker, repairs: Repairs) -> list[Finding]:
        """Those findings that each look finds again."""
        look, lasting = first, first.findings
        for number in range(2, LOOKS + 1):
            if not lasting:
                return []
            self._report(f"look {number}: {len(lasting)} findings once more")
            await self._ports.clock.sleep(PAUSE)
            look = await looker.look(_rooms_of(lasting))
            before = set(map(same_words, lasting))
            lasting = [finding for finding in look.findings if same_words(finding) in before]
        return [finding for finding in lasting if await repairs.confirmed(finding, _view(finding, look))]

    async def _repaired(self, findings: list[Finding], looker: Looker, repairs: Repairs) -> list[Finding]:
        """Repairs what can be, and looks again: those that are gone by then."""
        tried = [finding for finding in findings if finding.remedy is not None]
        self._report(f"repairing {len(tried)} of {len(findings)} findings")
        # Counters come with any other operation of their room, and would keep that one from being seen as lacking.
        for finding in sorted(tried, key=_brings_counters_only):
            await repairs.repair(finding)
        await self._ports.clock.sleep(PAUSE)
        still = set(map(subject, (await looker.look(_rooms_of(tried))).findings))
        return [finding for finding in tried if subject(finding) not in still]


def _brings_counters_only(finding: Finding) -> bool:
    return isinstance(finding.remedy, Requeue) and finding.remedy.op == "COUNTERS"


def _rooms_of(findings: Iterable[Finding]) -> Rooms:
    found: dict[Partition, set[RoomId]] = {}
    for finding in findings:
        if isinstance(finding, Elsewhere):
            continue
        if isinstance(finding, PartitionFinding | EntryFinding):
            found.setdefault(finding.partition, set())
        else:
            found.setdefault(home_of(finding.room_id), set()).add(finding.room_id)
    return {partition: sorted(found[partition]) for partition in sorted(found)}


def _view(finding: Finding, look: Look) -> RoomView | None:
    return None if isinstance(finding, PartitionFinding | EntryFinding | Elsewhere) else look.views[finding.room_id]
