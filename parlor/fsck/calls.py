"""Whether a shard's notes of calls say what its messages say: who waits for people, and what was approved once (I26).

Both are written in one transaction, so neither Redis nor the queue is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from parlor.fsck.findings import DropNotes, Finding, ForgetApproval, NoteCalls
from parlor.fsck.view import RoomView
from parlor.model.messages import MessageRow, SenderType
from parlor.model.parts import approved_digests, waits_for_decision
from parlor.store.calls import NotedReply


def judge_calls(view: RoomView) -> Iterator[Finding]:
    stored, noted = view.stored, view.noted
    if stored is None or stored.deleted:
        if noted.waiting or noted.approved:
            where = "is not there" if stored is None else "is deleted"
            yield view.finding("I26", "calls-of-none", f"its shard notes calls of it, and it {where}", DropNotes())
        return
    for seq, reply in noted.waiting.items():
        yield from _listed(view, seq, reply, stored.account_db_key)
    for seq, row in view.rows.items():
        if not row.deleted and waits_for_decision(row.doc.parts) and seq not in noted.waiting:
            what = "it waits for a person, and is not listed as waiting"
            yield view.of_message(seq, "I26", "waiting-unlisted", what, _note(seq, row))
    yield from _approvals(view)


def _listed(view: RoomView, seq: int, reply: NotedReply, account_db_key: int) -> Iterator[Finding]:
    row = view.rows.get(seq)
    if row is None or row.deleted:
        where = "is not there" if row is None else "is deleted"
        yield view.of_message(seq, "I26", "waiting-gone", f"it is listed as waiting, and {where}", DropNotes())
    elif reply != (row.doc.message_id, account_db_key):
        what = f"it is listed as waiting as message {reply.message_id} of account number {reply.account_db_key}"
        yield view.of_message(seq, "I26", "waiting-other", what, _note(seq, row))
    elif not waits_for_decision(row.doc.parts):
        what = "it is listed as waiting, and waits for nobody"
        yield view.of_message(seq, "I26", "waiting-over", what, _note(seq, row))


def _approvals(view: RoomView) -> Iterator[Finding]:
    """An approval outlives the message in which it was given. So one that no message has is wrong only where no message
    was deleted, and no reply began anew."""
    given: set[str] = set()
    for seq, row in view.rows.items():
        digests = approved_digests(row.doc.parts)
        given.update(digests)
        for digest in digests:
            if digest not in view.noted.approved:
                what = f"{digest} was approved in it for its room, and is not noted"
                yield view.of_message(seq, "I26", "approval-lost", what, _note(seq, row))
    if all(map(_as_first_asked, view.rows.values())):
        for digest in sorted(view.noted.approved - given):
            what = f"{digest} is noted as approved, and no message says so"
            yield view.finding("I26", "approval-unfounded", what, ForgetApproval(digest))


def _as_first_asked(row: MessageRow) -> bool:
    return not row.deleted and (row.doc.sender_type is not SenderType.AI or row.doc.attempt <= 1)


def _note(seq: int, row: MessageRow) -> NoteCalls:
    parts = row.doc.parts
    return NoteCalls(seq, row.doc.version, waits_for_decision(parts), tuple(approved_digests(parts)))
