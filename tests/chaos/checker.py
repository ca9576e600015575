"""Whether what Parlor promises was kept: numbered rules over a history and what is there in the end.

The history is ``tests.chaos.history``; ``Final`` is read after everything has come to rest (no queue, no open reply):
the rows of every shard, and what the pages show.

    C1  no acknowledged message is lost, and no text is changed
    C2  none is stored twice; one idempotency key is one message
    C3  seq is contiguous from 1
    C4  one order: acks, pages, events and rows agree on who stands at a seq
    C5  each reply has ended, each of its attempts once
    C6  what was deleted stays deleted
    C7  an acknowledged rename, or other metadata, is not undone by an older one
    C8  nobody gets at another's room
    C9  every answer came in time, every refusal has a code
    C10 what was acknowledged before another send began stands before it
    C11 the cache and the shard show the same
    C12 event streams: ascending, and whoever reads the same stretch reads the same events, but for what was said in
        messages that were deleted meanwhile
    C13 nothing comes from nothing: no message, title or metadata that nobody asked for, none whose send was refused
    C14 what was deleted is not handed out again: no event and no answer to a send that is asked for later has its text
    C15 a reply that is continued begins with what it had
    C16 in a Redis that is another installation's nothing is changed
    C17 no account is overdrawn: what it used and reserved is within its budget at any time; in the end nothing is
        reserved, and what it is charged is what is stored
    C18 no decision about a call of a tool is lost: what was acknowledged as approved, denied or posted is, from then on
    C19 a tool runs with arguments that were approved, byte for byte, if its calls have to be
    C20 a call is sent with one key
    C21 a call that was denied, expired or cancelled did not run
    C22 a call that may not run twice does not; none is sent later than its time after the script that allows it, and
        none is called unknown while it may be under way
    C23 a call has one outcome, the same in the shard, in its events and, if it is done, at its tool
    C24 what a shard notes of calls is what became of them: in the end no reply is listed as waiting, and what need not
        be approved again was approved
    C25 what was acknowledged as persisted is stored, in its slot, also when Redis came back without it
    C26 a partition's rows are on one shard, the one that the map names
    C27 of two clusters neither takes the other's rooms: no reply is begun again while its owner lives

A page that was read while Redis was away (its cursor is 0-0) shows what is stored: it may be behind, so C6 does not
hold it to the deletes that were queued.

``Lost`` is the one allowance, for Redis coming back empty, or older than it was: what was acknowledged in it may have
happened or not, what was seen in it binds nobody, a message that was asked for before and again after it may be there
twice, since the idempotency key was lost as well, and a late copy of a send that was refused in it may be taken. A call
that may run twice and ran in it may run again, be decided again, also otherwise, or be denied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tests.chaos.budget_rules import Spending, spending_rules
from tests.chaos.call_rules import Calls, call_rules
from tests.chaos.history import Kind, Operation, Outcome, Response, in_order
from tests.chaos.room_rules import FinalRoom, RoomRules
from tests.chaos.violation import Violation

__all__ = ["CODES", "FinalRoom", "Lost", "Violation", "check"]

CODES = frozenset(
    {
        "internal",
        "room-not-active",
        "room-not-found",
        "message-not-found",
        "illegal-transition",
        "room-busy",
        "idempotency-mismatch",
        "invalid-request",
        "limit-reached",
        "quota-exceeded",
        "content-too-large",
        "unauthenticated",
        "overloaded",
        "cache-unavailable",
        "store-unavailable",
        "stream-expired",
        "already-decided",
        "digest-mismatch",
    }
)
"""What a client may be answered with (the API's table of error codes)."""
FAULTS = frozenset({"internal"})
"""Codes that no fault of a server or a process excuses."""


class Lost(msgspec.Struct, frozen=True):
    """Redis was empty, or older than before, at ``to``; at ``since`` everything acknowledged was stored (seconds of the
    history's clock)."""

    since: float
    to: float


class Foreign(msgspec.Struct, frozen=True):
    """The keys of another installation's Redis, with what they had when it came to ours' address and when it left."""

    before: Mapping[str, str]
    after: Mapping[str, str]


def check(
    history: Sequence[Operation],
    rooms: Sequence[FinalRoom],
    lost: Sequence[Lost] = (),
    codes: frozenset[str] = CODES,
    *,
    foreign: Sequence[Foreign] = (),
    spending: Sequence[Spending] = (),
    calls: Calls | None = None,
) -> list[Violation]:
    """Every violation, by rule. Operations may come in any order."""
    operations = in_order(history)
    found = [*_answers(operations, codes)]
    binding = [_doubtful(operation) if _in_any(operation, lost) else operation for operation in operations]
    final = {room.room: room for room in rooms}
    found += _isolation(binding, final)
    found += _persisted(operations, final)
    by_room: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in binding:
        by_room[operation.room or operation.response.room].append(operation)
    for room, about in sorted(by_room.items()):
        if room:
            found += RoomRules(room, about, final.get(room), _asked_across(about, lost)).violations()
    for room in sorted(final.keys() - by_room.keys()):
        found.append(Violation("C13", room, "a room that nobody created"))
    found += _trespasses(foreign)
    found += spending_rules(spending)
    if calls is not None:
        found += call_rules(binding, rooms, calls, lost)
    return sorted(found, key=lambda violation: int(violation.rule[1:]))


def _trespasses(foreign: Sequence[Foreign]) -> Iterator[Violation]:
    for visit in foreign:
        keys = sorted(visit.before.keys() | visit.after.keys())
        changed = [key for key in keys if visit.before.get(key) != visit.after.get(key)]
        if changed:
            yield Violation("C16", "", f"another installation's Redis: {len(changed)} keys changed, as {changed[0]}")


def _in_any(operation: Operation, lost: Sequence[Lost]) -> bool:
    completed = operation.completed_at if operation.completed_at is not None else float("inf")
    return any(operation.invoked_at <= window.to and completed >= window.since for window in lost)


def _asked_across(operations: Sequence[Operation], lost: Sequence[Lost]) -> frozenset[str]:
    """Texts that were sent more than once, before and after Redis came back empty."""
    spans: defaultdict[str, list[float]] = defaultdict(list)
    for operation in operations:
        if operation.kind is Kind.SEND:
            completed = operation.completed_at if operation.completed_at is not None else float("inf")
            spans[operation.request.content] += [operation.invoked_at, completed]
    return frozenset(
        text for text, times in spans.items() if any(min(times) <= window.to <= max(times) for window in lost)
    )


def _doubtful(operation: Operation) -> Operation:
    """As if it had not been answered; a create's room is known all the same. Also a refused send: the number of the
    claim that refuses another copy of it was lost (ADR 0013); and a refused decision."""
    known = Response(room=operation.response.room)
    may_be = operation.outcome is Outcome.OK or operation.kind in (Kind.SEND, Kind.DECIDE)
    outcome = Outcome.UNKNOWN if may_be else operation.outcome
    return msgspec.structs.replace(operation, outcome=outcome, response=known)


def _answers(operations: Sequence[Operation], codes: frozenset[str]) -> Iterator[Violation]:
    for operation in operations:
        where, ids = operation.room, [operation.id]
        if operation.completed_at is None:
            yield Violation("C9", where, f"{operation.kind} was never answered", ids)
        elif operation.completed_at - operation.invoked_at > operation.deadline:
            took = operation.completed_at - operation.invoked_at
            yield Violation("C9", where, f"{operation.kind} took {took:.1f} s of {operation.deadline:.1f}", ids)
        elif operation.outcome is not Outcome.OK and not operation.transport:
            if operation.error not in codes:
                yield Violation("C9", where, f"{operation.kind}: unknown code {operation.error!r}", ids)
            elif operation.error in FAULTS:
                yield Violation("C9", where, f"{operation.kind}: {operation.error}", ids)


def _persisted(operations: Sequence[Operation], final: Mapping[str, FinalRoom]) -> Iterator[Violation]:
    """Whatever Redis lost: its sender waited for the commit."""
    gone = {operation.room for operation in operations if operation.kind is Kind.DELETE_ROOM}
    rows = {room.room: {row.seq: row.message_id for row in room.rows} for room in final.values()}
    for operation in operations:
        response, room = operation.response, operation.room or operation.response.room
        if operation.outcome is Outcome.OK and response.persisted and response.messages and room not in gone:
            first = response.messages[0]
            if (found := rows.get(room, {}).get(first.seq)) != first.message_id:
                there = f"{found} stands" if found else "nothing stands"
                yield Violation(
                    "C25", room, f"{there} at seq {first.seq}, persisted as {first.message_id}", [operation.id]
                )


def _isolation(operations: Sequence[Operation], final: Mapping[str, FinalRoom]) -> Iterator[Violation]:
    owners = {room.room: room.account for room in final.values()}
    for operation in operations:
        if operation.kind is Kind.CREATE_ROOM and operation.response.room:
            owners[operation.response.room] = operation.account
    for operation in operations:
        reached = [*operation.response.rooms, operation.room if operation.outcome is Outcome.OK else ""]
        for room in reached:
            if owners.get(room, operation.account) != operation.account:
                what = f"{operation.account} got at the room of {owners[room]} by {operation.kind}"
                yield Violation("C8", room, what, [operation.id])
