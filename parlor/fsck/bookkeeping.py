"""The rules of a room's bookkeeping: counters, lifetimes and lists of open replies follow from other keys of Redis.

They are judged here and nowhere else. A finding names what it was judged by; ``repair_room.lua`` changes something only
while all of that still holds, so traffic between the look and the repair makes a repair void, never wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from parlor.cache.audit import Correction, Fact, RoomSnapshot
from parlor.fsck.findings import AccountFinding, Correct, Finding
from parlor.fsck.view import RoomView
from parlor.model.cursors import START, parse_event_cursor
from parlor.model.states import MessageState

OVERDUE_MS = 60_000
"""A reply whose owner has not been heard of for so long is taken up by nobody: the sweep needs seconds."""


def judge_bookkeeping(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    """Everything in it that is wrong."""
    yield from _counters(view, cached)
    yield from _lifetimes(view, cached)
    yield from _events(view, cached)
    yield from _open_replies(view, cached)
    yield from _generating(view, cached)


def _counters(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    count, waiting = view.message_count, len(view.waiting)
    if count is not None and count != cached.count:
        # Whatever changes the number of messages is an event: without a new one the rows and states are as they were.
        seen = (Fact("room", "count", str(cached.count)), Fact("room", "event", cached.event))
        remedy = _correct(*seen, to=Fact("room", "count", str(count)))
        yield view.finding("I2", "count", f"it counts {cached.count} messages, and has {count}", remedy)
    if waiting != cached.pending:
        what = f"it counts {cached.pending} operations under way, and {waiting} are"
        seen = (Fact("room", "pending", str(cached.pending)), Fact("waiting", "room", str(waiting)))
        remedy = _correct(*seen, to=Fact("room", "pending", str(waiting)))
        yield view.finding("I2", "pending", what, remedy)
    if view.listed.pending is not None and view.listed.pending != view.account_waiting:
        yield _account_counter(view, view.listed.pending)


def _account_counter(view: RoomView, pending: int) -> AccountFinding:
    seen = (Fact("account", "pending", str(pending)), Fact("waiting", "account", str(view.account_waiting)))
    return AccountFinding(
        invariant="I2",
        kind="account-pending",
        what=f"its account counts {pending} operations under way, and {view.account_waiting} are",
        remedy=_correct(*seen, to=Fact("account", "pending", str(view.account_waiting))),
        room_id=view.room_id,
        account_id=view.account_id,
    )


def _lifetimes(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    if cached.expires and view.waiting:
        remedy = _correct(Fact("waiting", "room", str(len(view.waiting))), to=Fact("lifetimes", "room", ""))
        yield view.finding("I11", "expires", "it may expire, and operations are under way", remedy)


def _events(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    if cached.newest_event and parse_event_cursor(cached.newest_event) > parse_event_cursor(cached.event or START):
        what = f"its last event is {cached.newest_event}, and it remembers {cached.event or 'none'}"
        yield view.finding("I7", "event", what)


def _open_replies(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    for message_id, seq in cached.open.items():
        slot = cached.slots.get(seq)
        if slot is None or slot.state != MessageState.COMPOSING or slot.message_id != message_id:
            state, there = (slot.state, slot.message_id) if slot is not None else ("", "")
            remedy = _correct(
                Fact("open", message_id, str(seq)),
                Fact("states", f"s:{seq}", state),
                Fact("states", f"m:{seq}", there),
                to=Fact("open", message_id, ""),
            )
            yield view.of_message(seq, "I14", "open", "it is among the open replies, and is none", remedy)
    for seq, slot in cached.slots.items():
        if slot.state == MessageState.COMPOSING and slot.message_id not in cached.open:
            remedy = _correct(
                Fact("states", f"s:{seq}", slot.state),
                Fact("states", f"m:{seq}", slot.message_id),
                Fact("open", slot.message_id, ""),
                to=Fact("open", slot.message_id, str(seq)),
            )
            yield view.of_message(seq, "I14", "not-open", "it is COMPOSING, and not among the open replies", remedy)


def _generating(view: RoomView, cached: RoomSnapshot) -> Iterator[Finding]:
    composing = [seq for seq, slot in cached.slots.items() if slot.state == MessageState.COMPOSING]
    deadline = Fact("generating", view.room_id, "" if cached.deadline is None else str(cached.deadline))
    if composing and cached.deadline is None:
        # Overdue from now on, so that the sweep finds it an owner.
        overdue = Fact("generating", view.room_id, str(view.now_ms))
        remedy = _correct(Fact("states", f"s:{composing[0]}", "COMPOSING"), deadline, to=overdue)
        yield view.finding("I14", "not-generating", "it has open replies, and no sweep would find them", remedy)
    elif cached.deadline is not None and not composing:
        # A reply that begins meanwhile is an event, and moves the deadline.
        nothing = Fact("generating", view.room_id, "")
        remedy = _correct(deadline, Fact("room", "event", cached.event), to=nothing)
        yield view.finding("I14", "generating", "it is swept for open replies, and has none", remedy)
    elif cached.deadline is not None and view.now_ms - cached.deadline > OVERDUE_MS:
        what = "it has an open reply, and nobody has taken it up for a minute"
        yield view.finding("I14", "overdue", what)


def _correct(*seen: Fact, to: Fact) -> Correct:
    return Correct(Correction(seen, to))
