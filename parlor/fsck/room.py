"""One room as Redis, the queue, the dead letters and its shard have it, and where they contradict each other.

Pure comparison. Redis is read first, then queue and dead letters, the shard last: what leaves the one in between is in
the other by then. What moves all the same looks wrong once, not each time (``parlor.fsck.check``).

Findings are filed under the invariant of ARCHITECTURE.md that does not hold:

    I1   a hole in seq; Redis does not know the last messages
    I2   counters: messages, operations under way
    I5   the shard's own counters of a room
    I6   an operation that is neither queued, parked nor committed; one that was and whose end is missing
    I7   Redis has gone back behind its shard or its event log
    I8   another message, or another text in the same version; another title in the same version
    I9   a room that is gone is listed
    I10  deleted here, not deleted there
    I11  something expires although operations are under way
    I12  SENT, ACTIVE or `persisted_seq` without the row
    I13  a state that is none
    I14  open replies that nobody would end
    I15  a room that is missing in a list that calls itself complete
    I16  another owner here than there
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

import msgspec

from parlor.cache.audit import ListPlace, Place, RoomSnapshot
from parlor.cache.records import stored_state
from parlor.cursors import START, parse_event_cursor
from parlor.ids import AccountId, MessageId, RoomId
from parlor.model import MessageRow
from parlor.states import GONE, GONE_MESSAGES, MessageState, RoomState
from parlor.store.audit import StoredRoom

OVERDUE_MS = 60_000
"""A reply whose owner has not been heard of for so long is taken up by nobody: the sweep needs seconds."""


class Repair(StrEnum):
    """How a finding can be put right. None of them touches what anybody said."""

    REQUEUE = "requeue"
    """The operation is queued again, as Redis has it; versions keep it from overwriting anything (I8)."""
    BOOKKEEPING = "bookkeeping"
    """Counters, lifetimes and lists of open replies follow from other keys, and are made to, in one step."""
    LIST = "list"
    """The room is put into its account's list, or taken out."""
    LOAD = "load"
    """The room is loaded; the sweep finds its open replies an owner."""
    RELINE = "reline"
    """A stranded queue entry goes back to the end of its queue."""


class Finding(msgspec.Struct, frozen=True):
    """One contradiction."""

    room_id: RoomId
    seq: int
    """0: the room itself."""
    invariant: str
    kind: str
    what: str
    """In words, without anybody's text."""
    account_id: AccountId
    repair: Repair | None = None
    op: str = ""
    """What to queue again."""
    message_id: MessageId | None = None


class RoomView(msgspec.Struct, frozen=True):
    """What is known of a room."""

    room_id: RoomId
    account_id: AccountId
    cached: RoomSnapshot | None
    """None when Redis does not have it."""
    waiting: list[tuple[str, int, int]]
    """Operation, seq and the room's last seq of everything of it that is queued or parked."""
    account_waiting: int
    """How much of its account is."""
    stored: StoredRoom | None
    rows: dict[int, MessageRow]
    """Its messages in the shard; none of a deleted room."""
    listed: ListPlace
    now_ms: int

    def waits(self, op: str, seq: int = 0) -> bool:
        return any(waiting_op == op and at == seq for waiting_op, at, _ in self.waiting)

    def message_waits(self, seq: int) -> bool:
        """A save or a delete of it is queued or parked."""
        return any(at == seq for _, at, _ in self.waiting)


Findings: TypeAlias = Iterator[Finding]


def compare(view: RoomView) -> list[Finding]:
    """Every contradiction, by seq."""
    return sorted(_room(view), key=lambda finding: (finding.seq, finding.invariant, finding.kind))


def message_count(view: RoomView) -> int | None:
    """How many messages the room has; None when not all of them are known here."""
    cached = view.cached
    if cached is None:
        return None
    count = 0
    for seq in range(1, cached.seq + 1):
        place, row = cached.places.get(seq), view.rows.get(seq)
        if place is None and row is None:
            return None
        gone = place.state in GONE_MESSAGES if place is not None else row is not None and row.deleted
        count += not gone
    return count


def _room(view: RoomView) -> Findings:
    cached, stored = view.cached, view.stored
    if cached is not None and cached.state in GONE:
        yield from _gone_room(view, cached)
        return
    if cached is None:
        if stored is None or stored.deleted:
            if stored is not None and view.listed.listed:
                yield _finding(view, "I9", "listed", "it is deleted, and in its account's list", Repair.LIST)
            return
        yield from _stored_only(view, stored)
    elif cached.state not in RoomState.__members__:
        yield _finding(view, "I13", "state", f"its state is {cached.state!r}")
        return
    else:
        yield from _bookkeeping(view, cached)
        yield from _row(view, cached)
        yield from _replies(view, cached)
        if stored is not None and stored.deleted:
            return
        yield from _messages(view, cached)
    if view.listed.complete and not view.listed.listed:
        yield _finding(view, "I15", "not-listed", "it is missing in its account's list", Repair.LIST)


def _gone_room(view: RoomView, cached: RoomSnapshot) -> Findings:
    if view.listed.listed:
        yield _finding(view, "I9", "listed", f"it is {cached.state}, and in its account's list", Repair.LIST)
    deleted = view.stored is not None and view.stored.deleted
    if not view.waits("CHAT_ROOM_DELETE") and not (deleted and cached.state == RoomState.DELETED):
        where = "stays DELETING" if deleted else "is not deleted in its shard"
        number = "I6" if cached.state == RoomState.DELETING else "I10"
        yield _requeue(
            view, number, "delete", f"it is {cached.state}, nothing waits, and it {where}", "CHAT_ROOM_DELETE"
        )


def _stored_only(view: RoomView, stored: StoredRoom) -> Findings:
    """A room that Redis does not have: its rows have to be whole by themselves."""
    last = max([stored.last_seq, *view.rows])
    for seq in range(1, last + 1):
        row = view.rows.get(seq)
        if row is None:
            if not view.message_waits(seq):
                yield _finding(view, "I1", "hole", "there is no such message anywhere", seq=seq)
        elif stored_state(row) is MessageState.COMPOSING and not view.message_waits(seq):
            yield _finding(view, "I14", "forgotten", "its reply has not ended, and nobody writes it", Repair.LOAD, seq)
    if not view.waiting:
        yield from _stored_counters(view, stored, sum(not row.deleted for row in view.rows.values()), None)


def _bookkeeping(view: RoomView, cached: RoomSnapshot) -> Findings:
    count = message_count(view)
    if count is not None and count != cached.count:
        what = f"it counts {cached.count} messages, and has {count}"
        yield _finding(view, "I2", "count", what, Repair.BOOKKEEPING)
    waiting = len(view.waiting)
    if waiting != cached.pending:
        what = f"it counts {cached.pending} operations under way, and {waiting} are"
        yield _finding(view, "I2", "pending", what, Repair.BOOKKEEPING)
    if view.listed.pending is not None and view.listed.pending != view.account_waiting:
        what = f"its account counts {view.listed.pending} operations under way, and {view.account_waiting} are"
        yield _finding(view, "I2", "account-pending", what, Repair.BOOKKEEPING)
    if cached.expires and waiting:
        yield _finding(view, "I11", "expires", "it may expire, and operations are under way", Repair.BOOKKEEPING)
    if cached.newest_event and parse_event_cursor(cached.newest_event) > parse_event_cursor(cached.event or START):
        what = f"its last event is {cached.newest_event}, and it remembers {cached.event or 'none'}"
        yield _finding(view, "I7", "event", what)


def _row(view: RoomView, cached: RoomSnapshot) -> Findings:
    stored = view.stored
    highest = max([stored.last_seq if stored else 0, *view.rows, *(last for _, _, last in view.waiting)])
    if cached.seq < highest:
        yield _finding(view, "I1", "behind", f"it ends at seq {cached.seq}, and {highest} is stored or queued")
    if cached.persisted > cached.seq:
        what = f"persisted_seq is {cached.persisted}, and it ends at seq {cached.seq}"
        yield _finding(view, "I12", "persisted", what)
    if stored is None or cached.state != RoomState.ACTIVE:
        if not view.waits("CHAT_ROOM_CREATE"):
            number = "I12" if cached.state == RoomState.ACTIVE else "I6"
            what = f"it is {cached.state}, nothing waits, and " + ("it is stored" if stored else "it is not stored")
            yield _requeue(view, number, "create", what, "CHAT_ROOM_CREATE")
        return
    if stored.deleted:
        yield _finding(view, "I10", "shown", "it is deleted in its shard, and not here")
        return
    if (stored.account_id, stored.account_db_key) != (cached.account_id, cached.account_db_key):
        yield _finding(view, "I16", "owner", f"its shard says that it is {stored.account_id}'s")
    if cached.version > stored.version and not view.waits("CHAT_ROOM_UPDATE"):
        what = f"its title has version {cached.version} here and {stored.version} in its shard, and nothing waits"
        yield _requeue(view, "I6", "title", what, "CHAT_ROOM_UPDATE")
    elif cached.version < stored.version:
        what = f"its title has version {cached.version} here and {stored.version} in its shard"
        yield _finding(view, "I7", "title", what)
    elif cached.version == stored.version and cached.title != stored.title:
        yield _finding(view, "I8", "title", f"its title differs from its shard's in version {stored.version}")
    count = message_count(view)
    if not view.waiting and count is not None and count == cached.count and cached.seq >= highest:
        yield from _stored_counters(view, stored, count, cached)


def _stored_counters(view: RoomView, stored: StoredRoom, count: int, cached: RoomSnapshot | None) -> Findings:
    last = cached.seq if cached is not None else max(view.rows, default=0)
    if (stored.message_count, stored.last_seq) == (count, last):
        return
    what = f"its row says {stored.message_count} messages up to seq {stored.last_seq}: they are {count}, up to {last}"
    newest = cached.places.get(last) if cached is not None else None
    if newest is None or newest.doc is None:
        yield _finding(view, "I5", "counters", what)
    else:
        yield _requeue(view, "I5", "counters", what, "COUNTERS", last, newest.message_id, at=0)


def _replies(view: RoomView, cached: RoomSnapshot) -> Findings:
    composing = {seq: place for seq, place in cached.places.items() if place.state == MessageState.COMPOSING}
    for message_id, seq in cached.open.items():
        if seq not in composing or composing[seq].message_id != message_id:
            what = "it is among the open replies, and is none"
            yield _finding(view, "I14", "open", what, Repair.BOOKKEEPING, seq)
    for seq, place in composing.items():
        if place.message_id not in cached.open:
            what = "it is COMPOSING, and not among the open replies"
            yield _finding(view, "I14", "not-open", what, Repair.BOOKKEEPING, seq)
    if composing and cached.deadline is None:
        what = "it has open replies, and no sweep would find them"
        yield _finding(view, "I14", "not-generating", what, Repair.BOOKKEEPING)
    elif cached.deadline is not None and not composing:
        what = "it is swept for open replies, and has none"
        yield _finding(view, "I14", "generating", what, Repair.BOOKKEEPING)
    elif cached.deadline is not None and view.now_ms - cached.deadline > OVERDUE_MS:
        yield _finding(view, "I14", "overdue", "it has an open reply, and nobody has taken it up for a minute")


def _messages(view: RoomView, cached: RoomSnapshot) -> Findings:
    for seq in cached.unreadable:
        yield _finding(view, "I8", "unreadable", "its document cannot be read", seq=seq)
    for message_id, seq in cached.seqs.items():
        place = cached.places.get(seq)
        if place is not None and place.message_id != message_id:
            yield _finding(
                view, "I8", "index", f"{message_id} is looked for here, where {place.message_id} is", seq=seq
            )
    for seq in range(1, max([cached.seq, *view.rows]) + 1):
        place, row = cached.places.get(seq), view.rows.get(seq)
        if place is not None:
            yield from _identity(view, seq, place, row)
            if view.message_waits(seq):
                continue
            if place.state not in MessageState.__members__:
                yield _finding(view, "I13", "state", f"its state is {place.state!r}", seq=seq)
            elif row is None:
                yield _without_row(view, cached, seq, place)
            else:
                yield from _with_row(view, seq, place, row)
        elif view.message_waits(seq):
            continue
        elif row is None:
            yield _finding(view, "I1", "hole", "there is no such message anywhere", seq=seq)
        elif seq <= cached.seq and stored_state(row) is MessageState.COMPOSING:
            yield _finding(view, "I14", "forgotten", "its reply has not ended, and nobody writes it", seq=seq)


def _identity(view: RoomView, seq: int, place: Place, row: MessageRow | None) -> Findings:
    if row is not None and row.doc.message_id != place.message_id:
        what = f"it is {place.message_id} here and {row.doc.message_id} in its shard"
        yield _finding(view, "I8", "identity", what, seq=seq)
    if place.doc is not None and place.doc.message_id != place.message_id:
        what = f"it is {place.message_id} by its state and {place.doc.message_id} by its document"
        yield _finding(view, "I8", "identity", what, seq=seq)


def _without_row(view: RoomView, cached: RoomSnapshot, seq: int, place: Place) -> Finding:
    stored = place.state == MessageState.SENT or seq <= cached.persisted
    number, what = ("I12", "it counts as stored") if stored else ("I6", "nothing of it waits")
    what = f"it is {place.state}, {what}, and its shard does not have it"
    if place.doc is None:
        return _finding(view, number, "lost", what, seq=seq)
    return _requeue(view, number, "lost", what, "CHAT_MESSAGE_SAVE", seq, place.message_id)


def _with_row(view: RoomView, seq: int, place: Place, row: MessageRow) -> Findings:
    if row.doc.message_id != place.message_id:
        return
    if place.state in GONE_MESSAGES:
        if not row.deleted or place.deleting or place.state == MessageState.DELETING:
            number = "I6" if place.deleting or place.state == MessageState.DELETING else "I10"
            what = f"it is {place.state}, nothing waits, and its shard " + ("knows" if row.deleted else "has it still")
            yield _requeue(view, number, "delete", what, "CHAT_MESSAGE_SAVE", seq, place.message_id)
        return
    if row.deleted:
        yield _finding(view, "I10", "shown", f"it is {place.state} here and deleted in its shard", seq=seq)
        return
    if place.state in (MessageState.PENDING, MessageState.PROCESSING):
        where = "its row is as new" if place.doc and row.doc.version >= place.doc.version else "its row is older"
        what = f"it is {place.state}, nothing of it waits, and {where}"
        yield _requeue(view, "I6", "lost", what, "CHAT_MESSAGE_SAVE", seq, place.message_id)
    elif place.doc is None:
        return
    elif row.doc.version < place.doc.version:
        number = "I12" if place.state == MessageState.SENT else "I6"
        what = f"it is {place.state} in version {place.doc.version}, and its row has version {row.doc.version}"
        yield _requeue(view, number, "lost", what, "CHAT_MESSAGE_SAVE", seq, place.message_id)
    elif row.doc.version > place.doc.version:
        what = f"it has version {place.doc.version} here and {row.doc.version} in its shard"
        yield _finding(view, "I7", "version", what, seq=seq)
    elif row.doc != place.doc:
        yield _finding(view, "I8", "content", f"its row says something else in version {row.doc.version}", seq=seq)


def _finding(
    view: RoomView, invariant: str, kind: str, what: str, repair: Repair | None = None, seq: int = 0
) -> Finding:
    return Finding(view.room_id, seq, invariant, kind, what, view.account_id, repair)


def _requeue(
    view: RoomView,
    invariant: str,
    kind: str,
    what: str,
    op: str,
    seq: int = 0,
    message_id: MessageId | None = None,
    at: int | None = None,
) -> Finding:
    """``at``: where it is reported, when that is not the place of what is queued again."""
    return Finding(
        view.room_id,
        seq if at is None else at,
        invariant,
        kind,
        what,
        view.account_id,
        Repair.REQUEUE,
        op,
        message_id,
    )
