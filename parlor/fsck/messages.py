"""The messages of a room that Redis has, each against its row and what waits of it."""

from __future__ import annotations

from collections.abc import Iterator

from parlor.cache.audit import RoomSnapshot, Slot
from parlor.cache.records import stored_state
from parlor.fsck.findings import Finding, MessageFinding, Requeue
from parlor.fsck.view import RoomView
from parlor.model.messages import MessageRow, as_stored
from parlor.model.states import GONE_MESSAGES, MessageState

NOWHERE = "there is no such message anywhere"
FORGOTTEN = "its reply has not ended, and nobody writes it"


def judge_messages(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    for seq in cached.unreadable:
        yield view.of_message(seq, "I8", "unreadable", "its document cannot be read")
    for message_id, seq in cached.seqs.items():
        slot = cached.slots.get(seq)
        if slot is not None and slot.message_id != message_id:
            what = f"{message_id} is looked for here, where {slot.message_id} is"
            yield view.of_message(seq, "I8", "index", what)
    for seq in range(1, max([cached.seq, *view.rows]) + 1):
        slot, row = cached.slots.get(seq), view.rows.get(seq)
        if slot is not None:
            yield from _identity(view, seq, slot, row)
        if not view.message_waits(seq):
            yield from _at_rest(view, cached, seq, slot, row)


def _at_rest(
    view: RoomView, cached: RoomSnapshot, seq: int, slot: Slot | None, row: MessageRow | None
) -> Iterator[Finding]:
    """A message of which nothing waits."""
    if slot is None:
        if row is None:
            yield view.of_message(seq, "I1", "hole", NOWHERE)
        elif seq <= cached.seq and stored_state(row) is MessageState.COMPOSING:
            yield view.of_message(seq, "I14", "forgotten", FORGOTTEN)
    elif slot.state not in MessageState.__members__:
        yield view.of_message(seq, "I13", "state", f"its state is {slot.state!r}")
    elif row is None:
        yield _without_row(view, cached, seq, slot)
    elif row.doc.message_id != slot.message_id:
        return  # Told already.
    elif slot.state in GONE_MESSAGES:
        yield from _deleted(view, seq, slot, row)
    elif row.deleted:
        yield view.of_message(seq, "I10", "shown", f"it is {slot.state} here and deleted in its shard")
    else:
        yield from _content(view, seq, slot, row)


def _identity(view: RoomView, seq: int, slot: Slot, row: MessageRow | None) -> Iterator[Finding]:
    if row is not None and row.doc.message_id != slot.message_id:
        what = f"it is {slot.message_id} here and {row.doc.message_id} in its shard"
        yield view.of_message(seq, "I8", "identity", what)
    if slot.doc is not None and slot.doc.message_id != slot.message_id:
        what = f"it is {slot.message_id} by its state and {slot.doc.message_id} by its document"
        yield view.of_message(seq, "I8", "identity", what)


def _without_row(view: RoomView, cached: RoomSnapshot, seq: int, slot: Slot) -> Finding:
    stored = slot.state == MessageState.SENT or seq <= cached.persisted
    number, what = ("I12", "it counts as stored") if stored else ("I6", "nothing of it waits")
    what = f"it is {slot.state}, {what}, and its shard does not have it"
    if slot.doc is None:
        return view.of_message(seq, number, "lost", what)
    return _lost(view, number, what, seq, slot)


def _deleted(view: RoomView, seq: int, slot: Slot, row: MessageRow) -> Iterator[Finding]:
    under_way = slot.deleting or slot.state == MessageState.DELETING
    if not row.deleted or under_way:
        what = f"it is {slot.state}, nothing waits, and its shard " + ("knows" if row.deleted else "has it still")
        number = "I6" if under_way else "I10"
        yield view.of_message(seq, number, "delete", what, Requeue("CHAT_MESSAGE_SAVE", seq, slot.message_id))


def _content(view: RoomView, seq: int, slot: Slot, row: MessageRow) -> Iterator[Finding]:
    if slot.state in (MessageState.PENDING, MessageState.PROCESSING):
        where = "its row is as new" if slot.doc and row.doc.version >= slot.doc.version else "its row is older"
        yield _lost(view, "I6", f"it is {slot.state}, nothing of it waits, and {where}", seq, slot)
    elif slot.doc is None:
        return
    elif row.doc.version < slot.doc.version:
        number = "I12" if slot.state == MessageState.SENT else "I6"
        what = f"it is {slot.state} in version {slot.doc.version}, and its row has version {row.doc.version}"
        yield _lost(view, number, what, seq, slot)
    elif row.doc.version > slot.doc.version:
        what = f"it has version {slot.doc.version} here and {row.doc.version} in its shard"
        yield view.of_message(seq, "I7", "version", what)
    elif row.doc != as_stored(slot.doc):
        yield view.of_message(seq, "I8", "content", f"its row says something else in version {row.doc.version}")


def _lost(view: RoomView, invariant: str, what: str, seq: int, slot: Slot) -> MessageFinding:
    return view.of_message(seq, invariant, "lost", what, Requeue("CHAT_MESSAGE_SAVE", seq, slot.message_id))
