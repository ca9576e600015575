"""Committing a batch: what a writer has read becomes rows of its shard.

Each batch carries the epoch of each of its partitions and moves their watermarks in the same transaction as the rows
(I5). A crash between the commit and the finish repeats only the finish, because the watermark tells what is applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from parlor.cache.queue import ROOM_MARK, QueueEntry
from parlor.errors import CacheUnavailable, LeaseLost, ParlorError, StoreUnavailable
from parlor.model.ids import RoomId, ShardId
from parlor.model.tracing import is_traced, record_span
from parlor.persistence.batch import build_batch
from parlor.persistence.leases import Leases, WriterPorts
from parlor.store.ports import RowRefused

_log = structlog.get_logger(__name__)


class Committer:
    """Commits for one writer. Raises ``CacheUnavailable``, ``StoreUnavailable``, and ``LeaseLost`` when another writer
    holds one of the partitions."""

    def __init__(self, ports: WriterPorts, shard: ShardId, leases: Leases) -> None:
        self._ports = ports
        self._shard = shard
        self._leases = leases
        self._delayed: set[str] = set()
        """Requests whose operations could not be stored yet, and that the log names already."""

    async def commit(self, entries: Sequence[QueueEntry]) -> None:
        """Commits and finishes entries that were read, in queue order; those of lost partitions are left out."""
        leases = self._leases.held
        held = [entry for entry in entries if entry.partition in leases]
        # Committed before, but not finished: the watermark tells.
        repeated = [entry for entry in held if entry.position <= leases[entry.partition].applied]
        new = [entry for entry in held if entry.position > leases[entry.partition].applied]
        try:
            committed = await self._commit(new) if new else []
        except (CacheUnavailable, StoreUnavailable) as error:
            self._tell_delayed(new, error)
            raise
        self._delayed.clear()
        await self._finish([*repeated, *committed])

    async def _commit(self, entries: list[QueueEntry]) -> list[QueueEntry]:
        """Commits what the shard takes; parks what it refuses. Returns what is committed but not finished yet."""
        wanted = await self._begin(entries)
        try:
            await self._apply(entries, wanted)
        except RowRefused as error:
            if len(entries) == 1:
                await self._park(entries[0], error)
                return []
            # Bisection: order is kept, and only the row that is refused is set aside.
            half = len(entries) // 2
            first = await self._commit(entries[:half])
            await self._finish(first)
            return await self._commit(entries[half:])
        return entries

    async def _begin(self, entries: list[QueueEntry]) -> list[bool]:
        """PENDING to PROCESSING, room by room in one pipeline; whether each entry is still wanted."""
        wanted = [True] * len(entries)

        async def begin(numbers: list[int]) -> None:
            marks = [ROOM_MARK if entries[n].op == "CHAT_ROOM_CREATE" else entries[n].seq for n in numbers]
            flags = await self._ports.queue.begin(self._leases.token, entries[numbers[0]].address, marks)
            for n, flag in zip(numbers, flags, strict=True):
                wanted[n] = flag

        by_room: dict[RoomId, list[int]] = {}
        for n, entry in enumerate(entries):
            if entry.op == "CHAT_ROOM_CREATE" or (entry.op == "CHAT_MESSAGE_SAVE" and entry.final):
                by_room.setdefault(entry.address.room_id, []).append(n)
        await asyncio.gather(*map(begin, by_room.values()))
        return wanted

    async def _apply(self, entries: list[QueueEntry], wanted: list[bool]) -> None:
        """One transaction."""
        clock, epochs = self._ports.clock, self._leases.epochs
        if gone := {entry.partition for entry in entries} - epochs.keys():
            # Their leases expired while the batch was begun.
            raise LeaseLost(debug=f"partitions {sorted(gone)}")
        batch = build_batch(entries, wanted, epochs)
        began = clock.monotonic()
        lost = await self._ports.store.apply(self._shard, batch)
        if lost:
            self._leases.lose(lost)
            raise LeaseLost(debug=f"partitions {lost}")
        seconds = clock.monotonic() - began
        self._ports.metrics.batch(self._shard, len(entries), seconds)
        if is_traced():
            for trace, op in dict.fromkeys((entry.trace, entry.op) for entry in entries):
                record_span(f"commit {op}", trace, seconds, shard=self._shard, operations=len(entries))
        self._leases.applied(batch.fences)

    def _tell_delayed(self, entries: list[QueueEntry], error: ParlorError) -> None:
        """Names each request once, however often its operations are tried."""
        requests = {entry.request_id for entry in entries if entry.request_id} - self._delayed
        if requests:
            _log.warning(
                "batch_not_stored", shard=self._shard, request_ids=sorted(requests), code=error.code, debug=error.debug
            )
        self._delayed |= requests

    async def _park(self, entry: QueueEntry, error: RowRefused) -> None:
        """Sets an operation aside as a dead letter."""
        reason = error.debug or error.detail
        room_id, message_id = entry.address.room_id, entry.message_id
        line = _log.bind(request_id=entry.request_id) if entry.request_id else _log
        line.error("operation_parked", room_id=room_id, message_id=message_id, op=entry.op, reason=reason)
        await self._ports.queue.park(self._leases.token, entry, f"{error.code}: {reason}"[:500])
        self._ports.metrics.parked(self._shard)

    async def _finish(self, entries: list[QueueEntry]) -> None:
        """Final states, room by room in one pipeline."""
        by_room: dict[RoomId, list[QueueEntry]] = {}
        for entry in entries:
            by_room.setdefault(entry.address.room_id, []).append(entry)
        queue, token = self._ports.queue, self._leases.token
        await asyncio.gather(*(queue.finish(token, of_room[0].address, of_room) for of_room in by_room.values()))
