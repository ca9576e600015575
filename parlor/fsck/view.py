"""One room as Redis, the queue, the dead letters and its shard have it."""

from __future__ import annotations

import msgspec

from parlor.cache.audit import ListEntry, RoomSnapshot
from parlor.cache.live import RoomAddress
from parlor.fsck.findings import ListFinding, MessageFinding, Relist, Remedy, RoomFinding
from parlor.model.ids import AccountId, RoomId
from parlor.model.messages import MessageRow
from parlor.model.states import GONE_MESSAGES
from parlor.store.audit import StoredRoom
from parlor.store.calls import NotedCalls


class RoomView(msgspec.Struct, frozen=True):
    """What is known of a room, and findings about it."""

    address: RoomAddress
    cached: RoomSnapshot | None
    """None when Redis does not have it."""
    waiting: list[tuple[str, int, int]]
    """Operation, seq and the room's last seq of everything of it that is queued or parked."""
    account_waiting: int
    """How much of its account is."""
    stored: StoredRoom | None
    rows: dict[int, MessageRow]
    """Its messages in the shard; none of a deleted room."""
    listed: ListEntry
    noted: NotedCalls
    """What its shard notes of calls that wait, and of those that were approved once."""
    now_ms: int

    @property
    def room_id(self) -> RoomId:
        return self.address.room_id

    @property
    def account_id(self) -> AccountId:
        return self.address.account_id

    def waits(self, op: str) -> bool:
        """An operation of the room itself is queued or parked."""
        return any(waiting_op == op and seq == 0 for waiting_op, seq, _ in self.waiting)

    def message_waits(self, seq: int) -> bool:
        """A save or a delete of the message is queued or parked."""
        return any(waiting_seq == seq for _, waiting_seq, _ in self.waiting)

    @property
    def last_known(self) -> int:
        """The highest seq that is stored or waits."""
        stored = self.stored.last_seq if self.stored is not None else 0
        return max([stored, *self.rows, *(last for _, _, last in self.waiting)])

    @property
    def message_count(self) -> int | None:
        """How many messages Redis and the shard have; None when Redis does not have the room, or neither has one."""
        if self.cached is None:
            return None
        count = 0
        for seq in range(1, self.cached.seq + 1):
            slot, row = self.cached.slots.get(seq), self.rows.get(seq)
            if slot is None and row is None:
                return None
            gone = slot.state in GONE_MESSAGES if slot is not None else row is not None and row.deleted
            count += not gone
        return count

    def finding(self, invariant: str, kind: str, what: str, remedy: Remedy | None = None) -> RoomFinding:
        return RoomFinding(
            invariant=invariant,
            kind=kind,
            what=what,
            remedy=remedy,
            room_id=self.room_id,
            account_id=self.account_id,
        )

    def of_message(
        self, seq: int, invariant: str, kind: str, what: str, remedy: Remedy | None = None
    ) -> MessageFinding:
        return MessageFinding(
            invariant=invariant,
            kind=kind,
            what=what,
            remedy=remedy,
            room_id=self.room_id,
            account_id=self.account_id,
            seq=seq,
        )

    def of_list(self, invariant: str, kind: str, what: str) -> ListFinding:
        return ListFinding(
            invariant=invariant,
            kind=kind,
            what=what,
            remedy=Relist(),
            room_id=self.room_id,
            account_id=self.account_id,
        )
