"""The checker's rules about calls of tools, C18 to C24; explained in ``tests.chaos.checker``.

Every call has arguments of its own: whoever plays the model puts something, ``ask``, into them that no other call of
the tool has, and an edit leaves it. Calls of a tool that is approved once in a room have none: they are the same call.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import msgspec

from parlor.model.tools import TOOL_TRANSITIONS, Approval, ToolState
from parlor.rooms.draft import NOT_SENT
from parlor.rooms.tool_steps import TOO_LATE
from parlor.tools.arguments import canonical, digest_of
from tests.chaos.history import Kind, ObservedCall, Operation, Outcome
from tests.chaos.room_rules import FinalRoom
from tests.chaos.violation import NEVER, Violation, end_of

FOLLOWS_APPROVAL = frozenset({"approved", "running", "done", "failed", "unknown", "cancelled"})
FOLLOWS_DENIAL = frozenset({"denied"})
FOLLOWS_RESULT = frozenset({"done", "failed"})
NEVER_SENT = frozenset({"denied", "expired", "cancelled"})
SAYS_UNSENT = frozenset({NOT_SENT, TOO_LATE})
"""Results of calls that failed because their owner did not send them."""
ENDED = FOLLOWS_RESULT | NEVER_SENT | {"unknown"}


class ToolKind(msgspec.Struct, frozen=True):
    approval: Approval = "never"
    idempotent: bool = True
    client: bool = False
    timeout: float = 0.0


class Run(msgspec.Struct, frozen=True):
    """A request that reached a tool."""

    at: float
    name: str
    arguments: str
    key: str
    answer: str
    """The result that it was answered with, whether or not that arrived."""
    sent_at: float | None = None
    """When it was sent, where that is known."""


class Logged(msgspec.Struct, frozen=True):
    """A call as an entry of an event log has it."""

    at: float
    message_id: str
    call: ObservedCall
    ended: bool = False
    """Whether the entry is the end of the reply."""


class Calls(msgspec.Struct, frozen=True):
    """What became of calls of tools during a run."""

    tools: Mapping[str, ToolKind]
    runs: Sequence[Run] = ()
    told: Sequence[Logged] | None = None
    """Everything that any event log ever had, in order; None where nobody saw it all."""
    within: float = NEVER
    """Seconds after the script that allows a call in which it is sent or never."""


class Window(Protocol):
    """When Redis lost what it had."""

    @property
    def since(self) -> float: ...

    @property
    def to(self) -> float: ...


def call_rules(
    operations: Sequence[Operation], rooms: Sequence[FinalRoom], calls: Calls, lost: Sequence[Window]
) -> Iterator[Violation]:
    yield from _CallRules(operations, rooms, calls, lost).violations()


def ask_of(name: str, arguments: str) -> str:
    """Which call of the tool these are the arguments of; '' for one that is not told from others."""
    ask = json.loads(arguments).get("ask")
    return f"{name}:{ask}" if ask else ""


class _CallRules:
    def __init__(
        self, operations: Sequence[Operation], rooms: Sequence[FinalRoom], calls: Calls, lost: Sequence[Window]
    ) -> None:
        self._calls = calls
        self._rooms = rooms
        self._lost = lost
        self._told = calls.told or ()
        self._decided = [each for each in operations if each.kind is Kind.DECIDE and each.outcome is not Outcome.FAIL]
        self._posted = [each for each in operations if each.kind is Kind.POST_RESULT and each.outcome is Outcome.OK]
        self._final = {
            call.call_id: (room.room, call)
            for room in rooms
            for row in room.rows
            if not row.deleted
            for call in row.calls
        }
        self._runs: defaultdict[str, list[Run]] = defaultdict(list)
        """By call."""
        for run in calls.runs:
            if ask := ask_of(run.name, run.arguments):
                self._runs[ask].append(run)

    def violations(self) -> Iterator[Violation]:
        yield from self._decisions()
        yield from self._arguments()
        yield from self._keys()
        yield from self._refused()
        yield from self._twice()
        yield from self._in_time()
        yield from self._unknown()
        yield from self._one_outcome()
        yield from self._in_order()
        yield from self._results()
        yield from self._noted()

    # C18: a decision is not lost

    def _decisions(self) -> Iterator[Violation]:
        for decision in [each for each in self._decided if each.outcome is Outcome.OK] + self._posted:
            follows = _follows(decision)
            for where, call in self._later(decision):
                if call.state not in follows:
                    what = f"{_said(decision)}, and the call is {call.state} {where}"
                    yield self._wrong("C18", decision.room, what, decision)
                    break
                if decision.kind is Kind.POST_RESULT and call.result != decision.request.content:
                    yield self._wrong("C18", decision.room, f"another result than was posted {where}", decision)
                    break

    def _later(self, decision: Operation) -> Iterator[tuple[str, ObservedCall]]:
        """The call as it was seen once the decision was acknowledged."""
        call_id = decision.request.call_id
        if decision.response.call is not None:
            yield "in the answer", decision.response.call
        for told in self._told:
            if told.call.call_id == call_id and told.at > end_of(decision):
                yield "in an event", told.call
        if call_id in self._final:
            yield "in its shard", self._final[call_id][1]

    # C19: what runs is what was approved

    def _arguments(self) -> Iterator[Violation]:
        approved = self._approved()
        proposed = {told.call.digest for told in self._told}
        for run in self._calls.runs:
            digest = digest_of(run.name, run.arguments)
            kind = self._calls.tools.get(run.name)
            if kind is None or kind.client:
                yield self._wrong("C19", "", f"{run.name} ran, which is no tool of the server's")
            elif canonical(json.loads(run.arguments)) != run.arguments:
                yield self._wrong("C19", "", f"{run.name} ran with other bytes than were digested: {run.arguments}")
            elif kind.approval != "never" and digest not in approved:
                yield self._wrong("C19", "", f"{run.name} ran with {run.arguments}, which nobody approved")
            elif self._calls.told is not None and digest not in proposed:
                yield self._wrong("C19", "", f"{run.name} ran with {run.arguments}, which was never recorded")

    def _approved(self) -> set[str]:
        """Every digest that somebody approved, or may have."""
        return {digest for each in self._decided if each.request.approve for digest in _approves(each)}

    # C20: one key a call

    def _keys(self) -> Iterator[Violation]:
        for ask, runs in self._runs.items():
            keys = {run.key for run in runs if not self._in_lost(run)}
            if len(keys) > 1:
                yield self._wrong("C20", "", f"call {ask} was sent with {len(keys)} keys")

    # C21: what was refused did not run

    def _refused(self) -> Iterator[Violation]:
        refused: dict[str, tuple[str, str]] = {}
        for decision in self._decided:
            call = decision.response.call
            if decision.outcome is Outcome.OK and not decision.request.approve and call is not None:
                refused[ask_of(call.name, call.arguments)] = "denied", decision.room
        for told in self._told:
            if self._forgotten(told):
                continue
            if told.call.state in NEVER_SENT or told.call.result in SAYS_UNSENT:
                refused.setdefault(ask_of(told.call.name, told.call.arguments), (told.call.state, ""))
        for room, call in self._final.values():
            if call.state in NEVER_SENT or call.result in SAYS_UNSENT:
                refused.setdefault(ask_of(call.name, call.arguments), (call.state, room))
        for ask, (state, room) in refused.items():
            if any(not self._in_lost(run) for run in self._runs.get(ask, ())):
                yield self._wrong("C21", room, f"call {ask} is {state} and ran")

    # C22: what may not run twice

    def _twice(self) -> Iterator[Violation]:
        for ask, runs in self._runs.items():
            kind = self._calls.tools.get(runs[0].name)
            if kind is not None and not kind.idempotent and len(runs) > 1:
                yield self._wrong("C22", "", f"call {ask} of {runs[0].name} ran {len(runs)} times")

    def _in_time(self) -> Iterator[Violation]:
        let_go: defaultdict[str, list[float]] = defaultdict(list)
        for told in self._told:
            if told.call.state == "running":
                let_go[ask_of(told.call.name, told.call.arguments)].append(told.at)
        for ask, runs in self._runs.items():
            for run in runs:
                before = [at for at in let_go[ask] if run.sent_at is not None and at <= run.sent_at]
                if before and (run.sent_at or 0.0) - before[-1] > self._calls.within:
                    yield self._wrong("C22", "", f"call {ask} was sent too late after its script")

    def _unknown(self) -> Iterator[Violation]:
        ended: set[str] = set()
        """Calls that their reply's end cut off: readers are told again when the reply is continued."""
        for told in self._told:
            kind = self._calls.tools.get(told.call.name)
            if told.call.state != "unknown" or kind is None:
                continue
            ask = ask_of(told.call.name, told.call.arguments)
            if told.ended or ask in ended:
                ended.add(ask)
                continue
            if any(told.at < (run.sent_at or run.at) + kind.timeout for run in self._runs.get(ask, ())):
                yield self._wrong("C22", "", f"call {ask} was called unknown while it might be under way")

    # C23: one outcome, everywhere

    def _one_outcome(self) -> Iterator[Violation]:
        made: dict[str, Operation] = {}
        for decision in self._decided:
            if decision.outcome is Outcome.OK:
                first = made.setdefault(decision.request.call_id, decision)
                if _what(first) != _what(decision):
                    yield self._wrong("C23", decision.room, "two decisions about one call were taken", first, decision)
        last = {told.call.call_id: told.call for told in self._told}
        for room, call in self._final.values():
            if call.state not in ENDED:
                yield self._wrong("C23", room, f"the reply has ended and its call is {call.state}")
            if call.digest != digest_of(call.name, call.arguments):
                yield self._wrong("C23", room, f"{call.call_id} has another digest than its arguments")
            known = last.get(call.call_id, call)
            if (known.state, known.digest, known.result) != (call.state, call.digest, call.result):
                yield self._wrong("C23", room, f"a call is {known.state} in its events and {call.state} in its shard")

    def _in_order(self) -> Iterator[Violation]:
        states: defaultdict[str, list[Logged]] = defaultdict(list)
        for told in self._told:
            states[told.call.call_id].append(told)
        for call_id, every in states.items():
            for before, after in pairwise(every):
                over = any(before.at <= window.to and after.at >= window.since for window in self._lost)
                if not over and not _may_follow(before.call, after.call):
                    yield self._wrong("C23", "", f"{call_id} was {before.call.state} and became {after.call.state}")

    def _results(self) -> Iterator[Violation]:
        """A call that is done ran, and its result is what the tool answered."""
        for room, call in self._final.values():
            kind = self._calls.tools.get(call.name)
            ask = ask_of(call.name, call.arguments)
            if call.state != "done" or kind is None or kind.client or not ask:
                continue
            if call.result not in {run.answer for run in self._runs.get(ask, ())}:
                yield self._wrong("C23", room, f"call {ask} is done, and no run of it answered {call.result!r}")

    # C24: what is noted of calls is what became of them

    def _noted(self) -> Iterator[Violation]:
        approved = self._approved()
        for room in self._rooms:
            for seq in room.noted.waiting:
                yield self._wrong("C24", room.room, f"the reply at {seq} has ended and is listed as waiting")
            for digest in room.noted.approved:
                if room.deleted or digest not in approved:
                    what = "the room is deleted" if room.deleted else "nobody approved it"
                    yield self._wrong("C24", room.room, f"{digest} is noted as approved once, and {what}")

    def _forgotten(self, told: Logged) -> bool:
        """Whether it was told by a Redis that lost it: the call may be decided again."""
        return any(window.since <= told.at <= window.to for window in self._lost)

    def _in_lost(self, run: Run) -> bool:
        return any(window.since <= run.at <= window.to for window in self._lost)

    def _wrong(self, rule: str, room: str, what: str, *operations: Operation) -> Violation:
        return Violation(rule, room, what, [operation.id for operation in operations])


def _follows(decision: Operation) -> Collection[str]:
    if decision.kind is Kind.POST_RESULT:
        return FOLLOWS_RESULT
    return FOLLOWS_APPROVAL if decision.request.approve else FOLLOWS_DENIAL


def _said(decision: Operation) -> str:
    if decision.kind is Kind.POST_RESULT:
        return "a result was taken"
    return "approved" if decision.request.approve else "denied"


def _what(decision: Operation) -> tuple[object, ...]:
    request = decision.request
    return request.approve, request.digest, request.arguments


def _approves(decision: Operation) -> set[str]:
    """The digest that a decision approves."""
    request = decision.request
    return {digest_of(request.tool, request.arguments) if request.arguments else request.digest}


def _may_follow(before: ObservedCall, after: ObservedCall) -> bool:
    was, now = ToolState(before.state), ToolState(after.state)
    if now is was or now in TOOL_TRANSITIONS[was]:
        return True
    # A client's call is its caller's as soon as it is approved.
    return any(now in TOOL_TRANSITIONS[between] for between in TOOL_TRANSITIONS[was] & {ToolState.APPROVED})
