"""The checker's rules about one room; their numbers are explained in ``tests.chaos.checker``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from tests.chaos.event_rules import EventRules
from tests.chaos.history import Kind, ObservedMessage, Operation, Outcome
from tests.chaos.violation import Violation, end_of

REMOVING = frozenset({"interrupt", "rollback", "merge"})
"""Ways of double texting that turn waiting replies, or a running turn, into tombstones."""


class Noted(msgspec.Struct, frozen=True):
    """What a shard notes of a room's calls, beside the messages."""

    waiting: tuple[int, ...] = ()
    """Seqs of the replies that are listed as waiting for people."""
    approved: tuple[str, ...] = ()
    """Digests that need not be approved again."""


class FinalRoom(msgspec.Struct, frozen=True):
    """A room when everything has come to rest."""

    room: str
    account: str
    title: str
    """Its row's."""
    deleted: bool
    rows: list[ObservedMessage]
    """All of its shard's, by seq."""
    page: list[ObservedMessage] | None
    """All that its owner reads; None: not found."""
    page_title: str = ""
    noted: Noted = Noted()
    metadata: str = ""
    """Its row's."""
    page_metadata: str = ""


def asked(operation: Operation, what: str) -> str:
    """The title, or the metadata, that it gives; empty: none."""
    return str(getattr(operation.request, what))


class _Span(msgspec.Struct, frozen=True):
    begin: float
    end: float
    seq: int
    send: Operation


class RoomRules:
    """``about``: the room's operations in the order of invocation; ``final`` None: no shard has it; ``twice``: texts
    that may be there twice."""

    def __init__(
        self, room: str, about: list[Operation], final: FinalRoom | None, twice: frozenset[str] = frozenset()
    ) -> None:
        owner = final.account if final else next((o.account for o in about if o.kind is Kind.CREATE_ROOM), None)
        self._room = room
        self._final = final
        self._twice = twice
        self._about = [o for o in about if owner is None or o.account == owner]
        self._rows = {row.seq: row for row in final.rows} if final else {}
        self._sends = self._tried(Kind.SEND)
        self._acked = [send for send in self._sends if send.outcome is Outcome.OK and send.response.messages]
        self._edits = self._tried(Kind.EDIT_MESSAGE)
        self._edited = {edit.request.message_id for edit in self._edits}
        self._may_go = {delete.request.message_id for delete in self._tried(Kind.DELETE_MESSAGE)}
        self._removing = any(send.request.on_busy in REMOVING for send in self._sends)

    def violations(self) -> Iterator[Violation]:
        yield from self._deleted_room()
        yield from self._keys()
        yield from self._one_order()
        yield from self._real_time_order()
        yield from self._deleted_messages()
        yield from self._handed_out_again()
        yield from self._events().violations()
        if self._final is None:
            if not self._tried(Kind.DELETE_ROOM) and self._done():
                yield self._wrong("C1", "the room is gone and nobody deleted it")
        elif not self._final.deleted:
            yield from self._stored(self._final.rows)
            yield from self._acknowledged()
            yield from self._origins(self._final.rows)
            yield from self._given("title", self._final.title)
            yield from self._given("metadata", self._final.metadata)
            yield from self._same_everywhere(self._final)

    # C1, C2, C3, C5: the rows

    def _stored(self, rows: list[ObservedMessage]) -> Iterator[Violation]:
        seqs = [row.seq for row in rows]
        if seqs != list(range(1, len(seqs) + 1)):
            missing = sorted(set(range(1, max(seqs, default=0))) - set(seqs))
            yield self._wrong("C3", f"rows lack seqs {missing[:10]}" if missing else f"rows are out of order: {seqs}")
        of_id: defaultdict[str, list[int]] = defaultdict(list)
        of_text: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            of_id[row.message_id].append(row.seq)
            if row.sender == "USER" and not row.deleted:
                of_text[row.content].add(row.message_id)
            if row.open:
                yield self._wrong("C5", f"the reply at seq {row.seq} has not ended")
        for message_id, at in of_id.items():
            if len(at) > 1:
                yield self._wrong("C2", f"{message_id} is stored at seqs {at}")
        for text, ids in of_text.items():
            if len(ids) > 1 and text not in self._twice:
                yield self._wrong("C2", f"{text!r} is stored {len(ids)} times")

    def _acknowledged(self) -> Iterator[Violation]:
        for send in self._acked:
            for given in send.response.messages:
                row = self._rows.get(given.seq)
                if row is None or row.message_id != given.message_id:
                    there = f"{row.message_id} stands" if row else "nothing stands"
                    yield self._wrong("C1", f"{there} at seq {given.seq}, acknowledged as {given.message_id}", send)
                elif row.deleted and not self._may_be_gone(send, given):
                    yield self._wrong("C1", f"seq {given.seq} is a tombstone and nobody deleted it", send)
                elif not row.deleted and self._altered(send, row):
                    yield self._wrong("C1", f"seq {given.seq} has another text", send)

    def _may_be_gone(self, send: Operation, given: ObservedMessage) -> bool:
        # A reply that only waits goes with its question.
        return self._removing or bool({given.message_id, send.response.messages[0].message_id} & self._may_go)

    def _altered(self, send: Operation, seen: ObservedMessage) -> bool:
        return seen.sender == "USER" and seen.message_id not in self._edited and seen.content != send.request.content

    # C2: idempotency keys

    def _keys(self) -> Iterator[Violation]:
        first: dict[str, Operation] = {}
        for send in self._acked:
            known = first.setdefault(send.request.key, send) if send.request.key else send
            if _ids(known) != _ids(send) and send.request.content not in self._twice:
                yield self._wrong("C2", f"key {send.request.key} stands for two messages", known, send)

    # C1, C4, C10: order

    def _one_order(self) -> Iterator[Violation]:
        """Acks against rows are C1; here everybody else against the rows, or against the first who saw the slot."""
        holder = {row.seq: row.message_id for row in self._rows.values()}
        slot = {row.message_id: row.seq for row in self._rows.values()}
        texts = {send.response.messages[0].message_id: send for send in self._acked}
        for operation, seen in self._sightings():
            if holder.setdefault(seen.seq, seen.message_id) != seen.message_id:
                yield self._wrong("C4", f"{operation.kind} has {seen.message_id} at seq {seen.seq}", operation)
            elif slot.setdefault(seen.message_id, seen.seq) != seen.seq:
                yield self._wrong("C4", f"{operation.kind} moves {seen.message_id} to seq {seen.seq}", operation)
            elif operation.kind is Kind.READ_PAGE and not seen.deleted:
                send = texts.get(seen.message_id)
                if send is not None and self._altered(send, seen):
                    yield self._wrong("C1", f"seq {seen.seq} was read with another text", operation)
        for page in self._done(Kind.READ_PAGE):
            seqs = [seen.seq for seen in page.response.messages]
            if any(later != earlier + 1 for earlier, later in pairwise(seqs)):
                yield self._wrong("C3", f"a page has seqs {seqs}", page)

    def _sightings(self) -> Iterator[tuple[Operation, ObservedMessage]]:
        for operation in self._done():
            stored = self._final is not None and not self._final.deleted
            if operation.kind is not Kind.SEND or not stored:
                yield from ((operation, seen) for seen in operation.response.messages)
            for heard in operation.response.heard:
                if heard.seq:
                    yield operation, ObservedMessage(heard.seq, heard.message_id, "")

    def _real_time_order(self) -> Iterator[Violation]:
        begun = sorted(self._spans(), key=lambda span: span.begin)
        ended = sorted(begun, key=lambda span: span.end)
        newest: _Span | None = None
        at = 0
        for span in begun:
            while ended[at].end < span.begin:
                newest = ended[at] if newest is None or ended[at].seq > newest.seq else newest
                at += 1
            if newest is not None and newest.seq >= span.seq:
                what = f"seq {span.seq} was given after {newest.seq}"
                yield self._wrong("C10", what, newest.send, span.send)

    def _spans(self) -> Iterator[_Span]:
        """Each acknowledged message from its first send (its key may have been used again) to its first ack."""
        begin: dict[str, float] = {}
        for send in self._sends:
            begin.setdefault(send.request.key or send.id, send.invoked_at)
        known: set[str] = set()
        for send in sorted(self._acked, key=end_of):
            name = send.request.key or send.id
            if name not in known:
                known.add(name)
                yield _Span(begin[name], end_of(send), send.response.messages[0].seq, send)

    # C6, the deletes

    def _deleted_messages(self) -> Iterator[Violation]:
        gone = {delete.request.message_id: delete for delete in reversed(self._done(Kind.DELETE_MESSAGE))}
        for page in self._done(Kind.READ_PAGE):
            for seen in page.response.messages:
                delete = gone.get(seen.message_id)
                late = delete is not None and end_of(delete) < page.invoked_at and page.response.cursor != "0-0"
                if delete is not None and late and not seen.deleted:
                    yield self._wrong("C6", f"seq {seen.seq} was deleted and is read", delete, page)
        if self._final is None or self._final.deleted:
            return
        for row in self._final.rows:
            if row.message_id in gone and not row.deleted:
                yield self._wrong("C6", f"seq {row.seq} was deleted and is stored", gone[row.message_id])

    # C14: what was deleted is not handed out again

    def _handed_out_again(self) -> Iterator[Violation]:
        gone = {delete.request.message_id: end_of(delete) for delete in reversed(self._done(Kind.DELETE_MESSAGE))}
        for operation in self._done():
            told = {message_id for message_id, at in gone.items() if at < operation.invoked_at}
            if operation.kind is not Kind.READ_PAGE:
                for seen in operation.response.messages:
                    if seen.message_id in told and seen.content:
                        yield self._wrong("C14", f"{operation.kind} gives the text of seq {seen.seq}", operation)
            for heard in operation.response.heard:
                if heard.message_id in told and heard.text:
                    yield self._wrong("C14", f"{heard.type} of {heard.message_id}, which is deleted", operation)
                    break
                if heard.type == "message.deleted":
                    told.add(heard.message_id)

    def _events(self) -> EventRules:
        gone = self._may_go | {row.message_id for row in self._rows.values() if row.deleted}
        return EventRules(self._room, self._done(), frozenset(gone), room_gone=bool(self._tried(Kind.DELETE_ROOM)))

    def _deleted_room(self) -> Iterator[Violation]:
        deletes = self._done(Kind.DELETE_ROOM)
        if not deletes:
            if self._final is not None and self._final.deleted and not self._tried(Kind.DELETE_ROOM):
                yield self._wrong("C1", "the room is deleted and nobody asked for it")
            return
        first = min(deletes, key=end_of)
        if self._final is not None and (not self._final.deleted or self._final.page is not None):
            yield self._wrong("C6", "the room was deleted and is there", first)
        for operation in self._done():
            behind = operation.kind is Kind.READ_PAGE and operation.response.cursor == "0-0"
            late = operation.invoked_at > end_of(first)
            if late and operation.kind is not Kind.DELETE_ROOM and not behind:
                yield self._wrong("C6", f"{operation.kind} after the room was deleted", first, operation)

    # C7, C11, C13: the end

    def _origins(self, rows: list[ObservedMessage]) -> Iterator[Violation]:
        texts = {send.request.content for send in self._sends} | {edit.request.content for edit in self._edits}
        for row in rows:
            if row.sender == "USER" and not row.deleted and row.content not in texts:
                yield self._wrong("C13", f"nobody sent what stands at seq {row.seq}, or its send was refused")

    def _given(self, what: str, final: str) -> Iterator[Violation]:
        """A title, or metadata; a rename without one of them leaves it."""
        renames = [rename for rename in self._tried(Kind.RENAME) if asked(rename, what)]
        given = [*self._tried(Kind.CREATE_ROOM), *renames]
        candidates = [name for name in given if asked(name, what) == final]
        if not candidates:
            yield self._wrong("C13", f"nobody gave the {what} {final!r}")
            return
        newest = max(candidates, key=end_of)
        for rename in self._done(Kind.RENAME):
            if asked(rename, what) not in ("", final) and rename.invoked_at > end_of(newest):
                yield self._wrong("C7", f"{final!r} is older than {asked(rename, what)!r}", newest, rename)
                return

    def _same_everywhere(self, final: FinalRoom) -> Iterator[Violation]:
        if final.page is None:
            yield self._wrong("C11", "the room is stored and not found")
            return
        shown = {seen.seq: seen for seen in final.page}
        for seq in sorted(shown.keys() | self._rows.keys()):
            if _shown(shown.get(seq)) != _shown(self._rows.get(seq)):
                yield self._wrong("C11", f"seq {seq}: page {shown.get(seq)}, row {self._rows.get(seq)}")
        if final.page_title != final.title:
            yield self._wrong("C11", f"title {final.page_title!r} in the cache, {final.title!r} in the shard")
        if final.page_metadata != final.metadata:
            yield self._wrong("C11", f"metadata {final.page_metadata!r} in the cache, {final.metadata!r} in the shard")

    def _wrong(self, rule: str, what: str, *operations: Operation) -> Violation:
        return Violation(rule, self._room, what, [operation.id for operation in operations])

    def _tried(self, kind: Kind) -> list[Operation]:
        return [o for o in self._about if o.kind is kind and o.outcome is not Outcome.FAIL]

    def _done(self, kind: Kind | None = None) -> list[Operation]:
        return [o for o in self._about if (kind is None or o.kind is kind) and o.outcome is Outcome.OK]


def _ids(send: Operation) -> list[str]:
    return [seen.message_id for seen in send.response.messages]


def _shown(seen: ObservedMessage | None) -> ObservedMessage | None:
    """A tombstone of what was never stored does not say whose it was."""
    return msgspec.structs.replace(seen, sender="") if seen is not None and seen.deleted else seen
