"""One room, and where Redis, the queue, the dead letters and its shard contradict each other.

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
    I13  an unknown state
    I14  open replies that nobody would end
    I15  a room that is missing in a list that calls itself complete
    I16  another owner here than there
    I21  a partition of another installation, or of a shard that has gone back (``parlor.fsck.look``)
    I26  what a shard notes of calls is not what its messages say (``parlor.fsck.calls``)
"""

from __future__ import annotations

from collections.abc import Iterator

from parlor.cache.audit import RoomSnapshot
from parlor.cache.records import stored_state
from parlor.fsck.bookkeeping import judge_bookkeeping
from parlor.fsck.calls import judge_calls
from parlor.fsck.findings import Finding, Load, MessageFinding, Requeue
from parlor.fsck.messages import FORGOTTEN, NOWHERE, judge_messages
from parlor.fsck.view import RoomView
from parlor.model.states import GONE, MessageState, RoomState
from parlor.store.audit import StoredRoom


def compare(view: RoomView) -> list[Finding]:
    """Every contradiction, by seq."""
    found = [*_room(view), *judge_calls(view)]
    return sorted(found, key=lambda finding: (_seq(finding), finding.invariant, finding.kind))


def _seq(finding: Finding) -> int:
    return finding.seq if isinstance(finding, MessageFinding) else 0


def _room(view: RoomView) -> Iterator[Finding]:
    cached, stored = view.cached, view.stored
    if cached is not None and cached.state in GONE:
        yield from _gone_room(view, cached)
        return
    if cached is None:
        if stored is None or stored.deleted:
            if stored is not None and view.listed.listed:
                yield view.of_list("I9", "listed", "it is deleted, and in its account's list")
            return
        yield from _stored_only(view, stored)
    elif cached.state not in RoomState.__members__:
        yield view.finding("I13", "state", f"its state is {cached.state!r}")
        return
    else:
        yield from judge_bookkeeping(view, cached)
        yield from _ends(view, cached)
        yield from _row(view, cached)
        if stored is not None and stored.deleted:
            return
        yield from judge_messages(view, cached)
    if view.listed.complete and not view.listed.listed:
        yield view.of_list("I15", "not-listed", "it is missing in its account's list")


def _gone_room(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    if view.listed.listed:
        yield view.of_list("I9", "listed", f"it is {cached.state}, and in its account's list")
    deleted = view.stored is not None and view.stored.deleted
    if not view.waits("CHAT_ROOM_DELETE") and not (deleted and cached.state == RoomState.DELETED):
        where = "stays DELETING" if deleted else "is not deleted in its shard"
        number = "I6" if cached.state == RoomState.DELETING else "I10"
        what = f"it is {cached.state}, nothing waits, and it {where}"
        yield view.finding(number, "delete", what, Requeue("CHAT_ROOM_DELETE"))


def _stored_only(view: RoomView, stored: StoredRoom) -> Iterator[Finding]:
    """A room that Redis does not have: its rows have to be whole by themselves."""
    for seq in range(1, max([stored.last_seq, *view.rows]) + 1):
        row = view.rows.get(seq)
        if view.message_waits(seq):
            continue
        if row is None:
            yield view.of_message(seq, "I1", "hole", NOWHERE)
        elif stored_state(row) is MessageState.COMPOSING:
            yield view.of_message(seq, "I14", "forgotten", FORGOTTEN, Load())
    if not view.waiting:
        yield from _stored_counters(view, stored, sum(not row.deleted for row in view.rows.values()), None)


def _ends(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    """Where the room ends, and how far it is stored."""
    if cached.seq < view.last_known:
        what = f"it ends at seq {cached.seq}, and {view.last_known} is stored or queued"
        yield view.finding("I1", "behind", what)
    if cached.persisted > cached.seq:
        what = f"persisted_seq is {cached.persisted}, and it ends at seq {cached.seq}"
        yield view.finding("I12", "persisted", what)


def _row(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    stored = view.stored
    if stored is None or cached.state != RoomState.ACTIVE:
        if not view.waits("CHAT_ROOM_CREATE"):
            number = "I12" if cached.state == RoomState.ACTIVE else "I6"
            what = f"it is {cached.state}, nothing waits, and " + ("it is stored" if stored else "it is not stored")
            yield view.finding(number, "create", what, Requeue("CHAT_ROOM_CREATE"))
        return
    if stored.deleted:
        yield view.finding("I10", "shown", "it is deleted in its shard, and not here")
        return
    if (stored.account_id, stored.account_db_key) != (cached.account_id, cached.account_db_key):
        yield view.finding("I16", "owner", f"its shard says that it is {stored.account_id}'s")
    yield from _title(view, cached, stored)
    count = view.message_count
    if not view.waiting and count is not None and count == cached.count and cached.seq >= view.last_known:
        yield from _stored_counters(view, stored, count, cached)


def _title(view: RoomView, cached: RoomSnapshot, stored: StoredRoom) -> Iterator[Finding]:
    if cached.version > stored.version and not view.waits("CHAT_ROOM_UPDATE"):
        what = f"its title has version {cached.version} here and {stored.version} in its shard, and nothing waits"
        yield view.finding("I6", "title", what, Requeue("CHAT_ROOM_UPDATE"))
    elif cached.version < stored.version:
        what = f"its title has version {cached.version} here and {stored.version} in its shard"
        yield view.finding("I7", "title", what)
    elif cached.version == stored.version and cached.title != stored.title:
        yield view.finding("I8", "title", f"its title differs from its shard's in version {stored.version}")


def _stored_counters(view: RoomView, stored: StoredRoom, count: int, cached: RoomSnapshot | None) -> Iterator[Finding]:
    last = cached.seq if cached is not None else max(view.rows, default=0)
    if (stored.message_count, stored.last_seq) == (count, last):
        return
    what = f"its row says {stored.message_count} messages up to seq {stored.last_seq}: they are {count}, up to {last}"
    newest = cached.slots.get(last) if cached is not None else None
    remedy = None
    if newest is not None and newest.doc is not None:
        remedy = Requeue("COUNTERS", last, newest.message_id)
    yield view.finding("I5", "counters", what, remedy)
