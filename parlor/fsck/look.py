"""One look at rooms and queues: Redis, then queue and dead letters, then the shard, and what contradicts what."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from parlor.cache.audit import AuditCache, PartitionSnapshot, QueuedOperation, RoomSnapshot
from parlor.cache.dead_letters import DeadLetter, DeadLetterCache
from parlor.cache.live import NOTHING_APPLIED, RoomAddress
from parlor.clock import Clock
from parlor.files.ports import FileStore
from parlor.fsck.findings import AccountFinding, EntryFinding, Finding, PartitionFinding, RequeueEntry
from parlor.fsck.room import compare
from parlor.fsck.view import RoomView
from parlor.model.ids import AccountId, InstallationId, Partition, RoomId, ShardId, home_of
from parlor.model.messages import MessageRow, QueuePosition
from parlor.reading.loading import Loader
from parlor.store.audit import StoreAudit, StoredRoom
from parlor.store.calls import CallNotes, NotedCalls
from parlor.store.ports import ChatStore, PartitionProgress

BATCH = 100
"""Rooms of one partition that are looked at together, against one reading of its queue."""
AT_ONCE = 10
"""Rooms whose rows are read side by side."""
MESSAGES = 500
"""Rows of one read."""

Rooms: TypeAlias = dict[Partition, list[RoomId]]
"""What is looked at, by partition."""


class Scope(msgspec.Struct, frozen=True):
    """What is looked at; None: all."""

    account_id: AccountId | None = None
    room_id: RoomId | None = None


class FsckPorts(msgspec.Struct, frozen=True):
    audit: AuditCache
    dead_letters: DeadLetterCache
    store: ChatStore
    loader: Loader
    clock: Clock
    files: FileStore | None = None
    """None where there is no place for files."""


class Look(msgspec.Struct):
    """What one look has found."""

    findings: list[Finding] = []
    views: dict[RoomId, RoomView] = {}
    """Of the rooms that look wrong."""
    accounts: set[AccountId] = set()
    """Whose own counter was compared: once is enough."""
    rooms: int = 0
    messages: int = 0
    waiting: set[tuple[Partition, QueuePosition]] = set()
    """Queued operations in scope. A set, because a partition's queue is read for each ``BATCH`` of its rooms."""
    dead_letters: set[str] = set()

    def note(self, view: RoomView) -> None:
        findings = compare(view)
        if view.account_id in self.accounts:
            findings = [finding for finding in findings if not isinstance(finding, AccountFinding)]
        self.accounts.add(view.account_id)
        self.rooms += 1
        self.messages += len(view.rows)
        self.findings += findings
        if findings:
            self.views[view.room_id] = view


class Looker:
    """Raises ``CacheUnavailable`` and ``StoreUnavailable`` throughout. ``report`` gets a line now and then."""

    def __init__(self, ports: FsckPorts, scope: Scope, report: Callable[[str], None]) -> None:
        self._ports = ports
        self._stored = StoreAudit(ports.store)
        self._notes = CallNotes(ports.store)
        self._scope = scope
        self._report = report
        self._misplaced: dict[tuple[Partition, ShardId], RoomId] = {}
        """A room of each partition that has rows on a shard where it does not live."""

    async def rooms(self) -> Rooms:
        """Everything in scope. Without a scope also partitions without rooms: they have queues."""
        store = self._ports.store
        if self._scope.room_id is not None:
            return {home_of(self._scope.room_id): [self._scope.room_id]}
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
                partition = home_of(room.room_id)
                if await self._ports.store.shard_of(partition) != shard:
                    self._misplaced.setdefault((partition, shard), room.room_id)
                yield room.room_id
            async for room_id in self._notes.rooms(shard):
                yield room_id

    async def look(self, rooms: Rooms) -> Look:
        look = Look()
        progress: dict[ShardId, dict[Partition, PartitionProgress]] = {}
        for shard in self._ports.store.shard_ids():
            progress[shard] = {row.partition: row for row in await self._ports.store.progress(shard)}
        for done, (partition, ids) in enumerate(rooms.items(), 1):
            shard = await self._ports.store.shard_of(partition)
            if self._scope == Scope():
                await self._look_at_partition(partition, progress[shard].get(partition), look)
                await self._look_elsewhere(partition, look)
            if not ids:
                await self._operations(partition, look)
            for start in range(0, len(ids), BATCH):
                await self._look_at_rooms(partition, shard, ids[start : start + BATCH], look)
            if len(rooms) > 1 and done % 16 == 0:
                self._report(f"{done} of {len(rooms)} partitions, {len(look.findings)} suspects")
        return look

    async def look_at_room(self, room_id: RoomId) -> Look:
        look, partition = Look(), home_of(room_id)
        await self._look_at_rooms(partition, await self._ports.store.shard_of(partition), [room_id], look)
        return look

    async def _look_at_partition(self, partition: Partition, progress: PartitionProgress | None, look: Look) -> None:
        """Its queue, and its position. The shard was asked before: positions only go up."""
        now = await self._ports.audit.partition(partition)
        look.findings += self._belonging(partition, now, progress, await self._ports.store.installation())
        if progress is not None and now.known and now.last < progress.applied:
            what = f"partition {partition} is at {now.last}, and its shard has applied {progress.applied}"
            look.findings.append(PartitionFinding(invariant="I7", kind="position", what=what, partition=partition))
        for position in await self._ports.audit.stranded(partition) if now.known else []:
            finding = EntryFinding(
                invariant="I6",
                kind="stranded",
                what=f"partition {partition}: entry {position} was delivered, and nobody holds it",
                remedy=RequeueEntry(),
                partition=partition,
                position=position,
            )
            look.findings.append(finding)

    async def _look_elsewhere(self, partition: Partition, look: Look) -> None:
        """Whether a shard still has rows of it, or has them already (I27)."""
        home = await self._ports.store.shard_of(partition)
        for (misplaced, shard), room_id in self._misplaced.items():
            if misplaced == partition and await self._stored.room(shard, room_id) is not None:
                what = (
                    f"partition {partition} lives on shard {home} and has rows on shard {shard}: its move has not ended"
                )
                look.findings.append(PartitionFinding(invariant="I28", kind="moving", what=what, partition=partition))

    @staticmethod
    def _belonging(
        partition: Partition, now: PartitionSnapshot, progress: PartitionProgress | None, ours: InstallationId
    ) -> Iterator[Finding]:
        """Whether a writer would be kept from it, and why."""
        if now.installation not in ("", ours):
            what = f"partition {partition} belongs to installation {now.installation} in Redis, and this is {ours}"
            yield PartitionFinding(invariant="I21", kind="foreign", what=what, partition=partition)
            return
        incarnation, applied = (progress.incarnation, progress.applied) if progress else (0, NOTHING_APPLIED)
        if now.last.incarnation > incarnation or now.applied > applied:
            what = f"partition {partition}: Redis knows incarnation {now.last.incarnation} and {now.applied} as applied"
            what += f", its shard knows {incarnation} and {applied}"
            yield PartitionFinding(invariant="I21", kind="behind", what=what, partition=partition)

    async def _look_at_rooms(self, partition: Partition, shard: ShardId, ids: Sequence[RoomId], look: Look) -> None:
        audit, now_ms = self._ports.audit, self._ports.clock.now_ms()
        snapshots = dict(zip(ids, await asyncio.gather(*map(audit.room, ids)), strict=True))
        of_room, of_account = _waiting(await self._operations(partition, look))
        for start in range(0, len(ids), AT_ONCE):
            group = ids[start : start + AT_ONCE]
            stored = await asyncio.gather(*(self._stored_room(shard, room_id) for room_id in group))
            noted = await self._notes.of(shard, group)
            for room_id, (row, rows) in zip(group, stored, strict=True):
                cached = snapshots[room_id]
                address = _address(room_id, cached, row, noted=room_id in noted)
                if address is None or self._scope.account_id not in (None, address.account_id):
                    continue
                view = RoomView(
                    address=address,
                    cached=cached,
                    waiting=of_room.get(room_id, []),
                    account_waiting=of_account[address.account_id],
                    stored=row,
                    rows=rows,
                    listed=await audit.list_entry(address),
                    noted=noted.get(room_id, NotedCalls()),
                    now_ms=now_ms,
                )
                look.note(view)

    async def _operations(self, partition: Partition, look: Look) -> list[QueuedOperation]:
        """Those that wait and those that are parked; counts each that is in scope once."""
        queued = await self._ports.audit.queued(partition)
        dead_letters = await self._ports.dead_letters.of_partition(partition)
        parked = list(map(_parked, dead_letters))
        look.waiting |= {(partition, operation.position) for operation in queued if self._is_meant(operation)}
        found = zip(dead_letters, parked, strict=True)
        look.dead_letters |= {dead_letter.id for dead_letter, operation in found if self._is_meant(operation)}
        return [*queued, *parked]

    def _is_meant(self, operation: QueuedOperation) -> bool:
        room_id, account_id = self._scope.room_id, self._scope.account_id
        return room_id in (None, operation.room_id) and account_id in (None, operation.account_id)

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


def _parked(dead_letter: DeadLetter) -> QueuedOperation:
    entry = dead_letter.entry
    address = entry.address
    return QueuedOperation(entry.position, entry.op, address.room_id, address.account_id, entry.seq, entry.last_seq)


def _waiting(
    operations: Iterable[QueuedOperation],
) -> tuple[dict[RoomId, list[tuple[str, int, int]]], Counter[AccountId]]:
    of_room: dict[RoomId, list[tuple[str, int, int]]] = {}
    of_account: Counter[AccountId] = Counter()
    for operation in operations:
        of_room.setdefault(operation.room_id, []).append((operation.op, operation.seq, operation.last_seq))
        of_account[operation.account_id] += 1
    return of_room, of_account


def _address(
    room_id: RoomId, cached: RoomSnapshot | None, stored: StoredRoom | None, *, noted: bool
) -> RoomAddress | None:
    """None when nobody knows the room; without an account when only notes of its calls do."""
    if cached is not None:
        return cached.address
    if stored is not None:
        return RoomAddress(room_id, stored.account_id, stored.account_db_key)
    return RoomAddress(room_id, AccountId(""), 0) if noted else None
