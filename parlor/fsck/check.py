"""The check of a running installation: every room in Redis, queue, dead letters and shard; repair of what is safe.

A look reads Redis before queue and dead letters, and those before the shard, so that what is on its way is found in one
of them. What looks wrong is looked at again, ``LOOKS`` times in all with a pause between: what is under way moves on, a
fault stays. What follows from other keys of Redis is then compared once more inside Redis, in one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import msgspec

from parlor.cache.audit import BOOKKEEPING, AuditCache, QueuedOperation, RoomSnapshot
from parlor.cache.dead_letters import DeadLetter, LetterCache
from parlor.cache.live import RoomAddress
from parlor.clock import Clock
from parlor.errors import PartitionUnknown, RoomNotFound
from parlor.fsck.room import Finding, Repair, RoomView, compare, message_count
from parlor.ids import AccountId, Partition, RoomId, ShardId, home_of
from parlor.model import MessageRow, QueuePosition
from parlor.reading.loading import Loader
from parlor.store.audit import StoreAudit, StoredRoom
from parlor.store.ports import ChatStore, PartitionProgress

LOOKS = 3
PAUSE = 1.0
"""Seconds between two looks, and before what was repaired is looked at again."""
BATCH = 100
"""Rooms of one partition that are looked at together, against one reading of its queue."""
AT_ONCE = 10
"""Rooms whose rows are read side by side."""
MESSAGES = 500
"""Rows of one read."""

NO_ROOM = RoomId("")


class Scope(msgspec.Struct, frozen=True):
    """What is looked at; None: all."""

    account_id: AccountId | None = None
    room_id: RoomId | None = None


class Report(msgspec.Struct, frozen=True):
    """What a check has found."""

    rooms: int
    messages: int
    """Rows that were compared."""
    waiting: int
    """Operations that were queued at the first look."""
    dead_letters: int
    findings: list[Finding]
    repaired: list[Finding]
    """Those of them that are not there any more after the repair."""

    @property
    def left(self) -> list[Finding]:
        return [finding for finding in self.findings if finding not in self.repaired]


class FsckPorts(msgspec.Struct, frozen=True):
    audit: AuditCache
    letters: LetterCache
    store: ChatStore
    loader: Loader
    clock: Clock


class _Look(msgspec.Struct):
    """What one look has found."""

    findings: list[Finding] = []
    views: dict[RoomId, RoomView] = {}
    """Of the rooms that look wrong."""
    accounts: set[AccountId] = set()
    """Whose own counter was compared: once is enough."""
    rooms: int = 0
    messages: int = 0
    waiting: int = 0
    letters: int = 0

    def note(self, view: RoomView) -> None:
        findings = compare(view)
        if view.account_id in self.accounts:
            findings = [finding for finding in findings if finding.kind != "account-pending"]
        self.accounts.add(view.account_id)
        self.rooms += 1
        self.messages += len(view.rows)
        self.findings += findings
        if findings:
            self.views[view.room_id] = view


class Fsck:
    """Raises ``CacheUnavailable`` and ``StoreUnavailable`` throughout. ``tell`` gets a line now and then."""

    def __init__(self, ports: FsckPorts, tell: Callable[[str], None]) -> None:
        self._ports = ports
        self._stored = StoreAudit(ports.store)
        self._tell = tell

    async def run(self, scope: Scope, *, repair: bool = False) -> Report:
        """Looks at everything in scope. With ``repair``, puts right what can be put right safely."""
        await self._ports.store.refresh_shard_map()
        rooms = await self._rooms(scope)
        self._tell(f"{sum(map(len, rooms.values()))} rooms in {len(rooms)} partitions")
        first = await self._look(rooms, scope)
        findings = await self._lasting(first, scope)
        repaired: list[Finding] = []
        if repair and findings:
            repaired = await self._repaired(findings, scope)
        return Report(
            rooms=first.rooms,
            messages=first.messages,
            waiting=first.waiting,
            dead_letters=first.letters,
            findings=findings,
            repaired=repaired,
        )

    # What there is

    async def _rooms(self, scope: Scope) -> dict[Partition, list[RoomId]]:
        """By partition. Without a scope also partitions without rooms: they have queues."""
        store = self._ports.store
        if scope.room_id is not None:
            return {home_of(scope.room_id): [scope.room_id]}
        found: dict[Partition, set[RoomId]] = {}
        for shard in store.shard_ids():
            for partition in await store.partitions_of(shard):
                found[partition] = set()
        async for room_id in self._every_room():
            found.setdefault(home_of(room_id), set()).add(room_id)
        return {partition: sorted(found[partition]) for partition in sorted(found)}

    async def _every_room(self) -> AsyncIterator[RoomId]:
        async for room_id in self._ports.audit.rooms():
            yield room_id
        for shard in self._ports.store.shard_ids():
            async for room in self._stored.rooms(shard):
                yield room.room_id

    # Looking

    async def _lasting(self, first: _Look, scope: Scope) -> list[Finding]:
        """Those findings that each look finds again."""
        look, lasting = first, first.findings
        for number in range(2, LOOKS + 1):
            if not lasting:
                return []
            self._tell(f"look {number}: {len(lasting)} findings once more")
            await self._ports.clock.sleep(PAUSE)
            look = await self._look(_by_partition(lasting), scope)
            again = set(look.findings)
            lasting = [finding for finding in lasting if finding in again]
        return [finding for finding in lasting if await self._confirmed(finding, look)]

    async def _confirmed(self, finding: Finding, look: _Look) -> bool:
        """Bookkeeping is compared once more where nothing moves meanwhile."""
        if finding.kind not in BOOKKEEPING or finding.repair is not Repair.BOOKKEEPING:
            return True
        view = look.views[finding.room_id]
        assert view.cached is not None  # noqa: S101 - that is where it was found
        wrong = await self._ports.audit.bookkeeping(view.cached, message_count(view), repair=False)
        return wrong is None or finding.kind in wrong

    async def _look(self, rooms: dict[Partition, list[RoomId]], scope: Scope) -> _Look:
        look = _Look()
        progress: dict[ShardId, dict[Partition, PartitionProgress]] = {}
        for shard in self._ports.store.shard_ids():
            progress[shard] = {row.partition: row for row in await self._ports.store.progress(shard)}
        for done, (partition, ids) in enumerate(rooms.items(), 1):
            shard = await self._ports.store.shard_of(partition)
            if scope == Scope():
                await self._look_at_partition(partition, progress[shard].get(partition), look)
            for start in range(0, len(ids), BATCH):
                await self._look_at_rooms(partition, shard, ids[start : start + BATCH], scope, look)
            if len(rooms) > 1 and done % 16 == 0:
                self._tell(f"{done} of {len(rooms)} partitions, {len(look.findings)} suspects")
        return look

    async def _look_at_partition(self, partition: Partition, progress: PartitionProgress | None, look: _Look) -> None:
        """Its queue, and where it stands. The shard was asked before: positions only go up."""
        now = await self._ports.audit.partition(partition)
        if progress is not None and now.known and now.last < progress.applied:
            what = f"partition {partition} is at {now.last}, and its shard has applied {progress.applied}"
            look.findings.append(_of_partition(partition, "I7", "position", what))
        for position in await self._ports.audit.stranded(partition) if now.known else []:
            what = f"partition {partition}: entry {position} was delivered, and nobody holds it"
            look.findings.append(_of_partition(partition, "I6", "stranded", what, Repair.RELINE, str(position)))

    async def _look_at_rooms(
        self, partition: Partition, shard: ShardId, ids: Sequence[RoomId], scope: Scope, look: _Look
    ) -> None:
        audit, now_ms = self._ports.audit, self._ports.clock.now_ms()
        snapshots = dict(zip(ids, await asyncio.gather(*map(audit.room, ids)), strict=True))
        queued = await audit.queued(partition)
        letters = await self._ports.letters.letters(partition)
        by_room = _waiting(queued, letters)
        by_account: dict[AccountId, int] = {}
        for operation in [*queued, *map(_parked, letters)]:
            by_account[operation.account_id] = by_account.get(operation.account_id, 0) + 1
        for start in range(0, len(ids), AT_ONCE):
            group = ids[start : start + AT_ONCE]
            stored = await asyncio.gather(*(self._stored_room(shard, room_id) for room_id in group))
            for room_id, (row, rows) in zip(group, stored, strict=True):
                cached = snapshots[room_id]
                address = _address(room_id, cached, row)
                if address is None or scope.account_id not in (None, address.account_id):
                    continue
                view = RoomView(
                    room_id=room_id,
                    account_id=address.account_id,
                    cached=cached,
                    waiting=by_room.get(room_id, []),
                    account_waiting=by_account.get(address.account_id, 0),
                    stored=row,
                    rows=rows,
                    listed=await audit.list_place(address),
                    now_ms=now_ms,
                )
                look.note(view)
        look.waiting += len(queued)
        look.letters += len(letters)

    async def _stored_room(self, shard: ShardId, room_id: RoomId) -> tuple[StoredRoom | None, dict[int, MessageRow]]:
        row = await self._stored.room(shard, room_id)
        rows: dict[int, MessageRow] = {}
        if row is None or not row.deleted:
            # Also without a row: its create may be parked, and its messages stored.
            above = 0
            while page := await self._ports.store.messages_get(
                shard, room_id, above=above, limit=MESSAGES, newest=False
            ):
                rows |= {message.seq: message for message in page}
                above = page[-1].seq
        return row, rows

    # Repairing

    async def _repaired(self, findings: list[Finding], scope: Scope) -> list[Finding]:
        """Repairs what can be, and looks again: those that are gone by then."""
        tried = [finding for finding in findings if finding.repair is not None]
        self._tell(f"repairing {len(tried)} of {len(findings)} findings")
        for finding in tried:
            await self._repair(finding, scope)
        await self._ports.clock.sleep(PAUSE)
        still = {_key(finding) for finding in (await self._look(_by_partition(tried), scope)).findings}
        return [finding for finding in tried if _key(finding) not in still]

    async def _repair(self, finding: Finding, scope: Scope) -> None:
        audit = self._ports.audit
        if finding.repair is Repair.RELINE:
            await audit.requeue_entry(Partition(finding.seq), QueuePosition.parse(finding.op))
            return
        # As it is now: an earlier repair of the room may have moved it.
        room_id, look = finding.room_id, _Look()
        home = home_of(room_id)
        await self._look_at_rooms(home, await self._ports.store.shard_of(home), [room_id], scope, look)
        view = look.views.get(room_id)
        if view is None:
            return  # Nothing is wrong with it any more.
        cached = view.cached
        match finding.repair:
            case Repair.LOAD:
                await self._load(room_id)
            case Repair.LIST:
                gone = view.stored is not None and view.stored.deleted
                address = _address(room_id, cached, view.stored)
                if address is not None:
                    await audit.repair_list(address, gone=gone, activity=self._ports.clock.now_ms())
            case Repair.BOOKKEEPING if cached is not None:
                await audit.bookkeeping(cached, message_count(view), repair=True)
            case Repair.REQUEUE if cached is not None:
                seq = cached.seqs.get(finding.message_id) if finding.message_id is not None else None
                await audit.requeue(cached, finding.op, seq, finding.message_id)

    async def _load(self, room_id: RoomId) -> None:
        try:
            await self._ports.loader.load_room(room_id)
        except (RoomNotFound, PartitionUnknown):
            # Deleted meanwhile, or somebody initialises its partition at this moment: the next look tells.
            self._tell(f"{room_id} could not be loaded")


def _key(finding: Finding) -> tuple[RoomId, int, str, str]:
    """What it is about: a repair may have changed the figures in it and not the fact."""
    return finding.room_id, finding.seq, finding.kind, finding.op


def _by_partition(findings: Iterable[Finding]) -> dict[Partition, list[RoomId]]:
    found: dict[Partition, set[RoomId]] = {}
    for finding in findings:
        if finding.room_id == NO_ROOM:
            found.setdefault(Partition(finding.seq), set())
        else:
            found.setdefault(home_of(finding.room_id), set()).add(finding.room_id)
    return {partition: sorted(found[partition]) for partition in sorted(found)}


def _of_partition(
    partition: Partition, invariant: str, kind: str, what: str, repair: Repair | None = None, op: str = ""
) -> Finding:
    """One that is no room's: its seq is the partition."""
    return Finding(NO_ROOM, partition, invariant, kind, what, AccountId(""), repair, op)


def _parked(letter: DeadLetter) -> QueuedOperation:
    entry = letter.entry
    address = entry.address
    return QueuedOperation(entry.position, entry.op, address.room_id, address.account_id, entry.seq, entry.last_seq)


def _waiting(
    queued: Sequence[QueuedOperation], letters: Sequence[DeadLetter]
) -> dict[RoomId, list[tuple[str, int, int]]]:
    found: dict[RoomId, list[tuple[str, int, int]]] = {}
    for operation in [*queued, *map(_parked, letters)]:
        found.setdefault(operation.room_id, []).append((operation.op, operation.seq, operation.last_seq))
    return found


def _address(room_id: RoomId, cached: RoomSnapshot | None, stored: StoredRoom | None) -> RoomAddress | None:
    """None when nobody knows the room."""
    if cached is not None:
        return cached.address
    return RoomAddress(room_id, stored.account_id, stored.account_db_key) if stored is not None else None
