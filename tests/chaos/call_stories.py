"""Violations about calls of tools that the checker must report, as those in ``tests.chaos.stories``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from parlor.rooms.draft import NOT_SENT
from parlor.tools.arguments import digest_of
from tests.chaos.call_rules import Calls, Logged, Run, ToolKind
from tests.chaos.checker import Lost
from tests.chaos.history import Kind, ObservedCall, Operation, Outcome, Request, Response
from tests.chaos.room_rules import Noted
from tests.chaos.stories import Story

TOOLS = {
    "pay": ToolKind("always", idempotent=False, timeout=5.0),
    "book": ToolKind("always", timeout=5.0),
    "browser": ToolKind(client=True),
}
WITHIN = 10.0


def call(state: str, ask: str = "1", *, tool: str = "pay", to: str = "Eve", result: str = "") -> ObservedCall:
    arguments = f'{{"ask":"{ask}","to":"{to}"}}'
    return ObservedCall(f"call-{ask}", tool, arguments, digest_of(tool, arguments), state, result)


class CallStory:
    """What became of the calls in the last reply of a story."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.runs: list[Run] = []
        self.told: list[Logged] = []
        self.final: dict[str, ObservedCall] = {}

    def became(self, seen: ObservedCall, *, ended: bool = False) -> None:
        self.story.now += 1.0
        self.told.append(Logged(self.story.now, "m4", seen, ended))
        self.final[seen.call_id] = seen

    def decided(self, seen: ObservedCall, *, approve: bool, arguments: str = "", after: str = "") -> Operation:
        """Somebody decides about the call as they saw it."""
        state = after or ("approved" if approve else "denied")
        digest = digest_of(seen.name, arguments) if arguments else seen.digest
        left = replace(seen, state=state, digest=digest, arguments=arguments or seen.arguments)
        about = Request(
            message_id="m4",
            call_id=seen.call_id,
            tool=seen.name,
            digest=seen.digest,
            approve=approve,
            arguments=arguments,
        )
        return self.story.did(Kind.DECIDE, about, Response(call=left))

    def ran(self, seen: ObservedCall, key: str = "k1", *, answer: str = "paid", later: float = 0.0) -> None:
        at = self.story.now + 0.5 + later
        self.runs.append(Run(at, seen.name, seen.arguments, key, answer, at))

    def over(self) -> None:
        self.story.rows[3] = replace(self.story.rows[3], calls=tuple(self.final.values()))
        self.story.calls = Calls(TOOLS, self.runs, self.told, WITHIN)


def approved(story: Story, tool: str = "pay") -> CallStory:
    """A call that is approved, runs, and is done."""
    calls = CallStory(story)
    calls.became(call("waiting", tool=tool))
    calls.decided(call("waiting", tool=tool), approve=True)
    calls.became(call("approved", tool=tool))
    calls.became(call("running", tool=tool))
    calls.ran(call("running", tool=tool))
    calls.became(call("done", tool=tool, result="paid"))
    calls.over()
    return calls


def denied(story: Story) -> CallStory:
    calls = CallStory(story)
    calls.became(call("waiting", "2"))
    calls.decided(call("waiting", "2"), approve=False)
    calls.became(call("denied", "2"))
    calls.over()
    return calls


def edited(story: Story) -> CallStory:
    calls = CallStory(story)
    other = call("approved", "3", to="Bob")
    calls.became(call("waiting", "3"))
    calls.decided(call("waiting", "3"), approve=True, arguments=other.arguments)
    calls.became(other)
    calls.became(replace(other, state="running"))
    calls.ran(other, "k3")
    calls.became(replace(other, state="done", result="paid"))
    calls.over()
    return calls


def remembered(story: Story) -> CallStory:
    """An approval that is good for the room from then on, as it was edited."""
    calls = edited(story)
    story.noted = Noted(approved=(calls.final["call-3"].digest,))
    return calls


def posted(story: Story) -> CallStory:
    calls = CallStory(story)
    calls.became(call("running", "4", tool="browser"))
    done = call("done", "4", tool="browser", result="a page")
    about = Request("a page", message_id="m4", call_id=done.call_id, tool="browser", digest=done.digest)
    story.did(Kind.POST_RESULT, about, Response(call=done))
    calls.became(done)
    calls.over()
    return calls


def unknown(story: Story) -> CallStory:
    """A call whose answer was lost."""
    calls = CallStory(story)
    calls.became(call("waiting", "5"))
    calls.decided(call("waiting", "5"), approve=True)
    calls.became(call("approved", "5"))
    calls.became(call("running", "5"))
    calls.ran(call("running", "5"), "k5")
    story.now += WITHIN + 5.0
    calls.became(call("unknown", "5"))
    calls.over()
    return calls


def cut_off(story: Story) -> CallStory:
    """A reply that is stopped while its call is under way, and continued at once, which tells its parts again."""
    calls = CallStory(story)
    calls.became(call("running", "8", tool="book"))
    calls.decided(call("waiting", "8", tool="book"), approve=True, after="running")
    calls.ran(call("running", "8", tool="book"), "k8")
    calls.became(call("unknown", "8", tool="book"), ended=True)
    calls.became(call("unknown", "8", tool="book"))
    calls.over()
    return calls


def late(story: Story) -> CallStory:
    """A client posts its result after the reply has gone on without it."""
    calls = CallStory(story)
    calls.became(call("running", "7", tool="browser"))
    calls.became(call("unknown", "7", tool="browser"), ended=True)
    done = call("done", "7", tool="browser", result="a page")
    about = Request("a page", message_id="m4", call_id=done.call_id, tool="browser", digest=done.digest)
    story.did(Kind.POST_RESULT, about, Response(call=done))
    calls.became(done)
    calls.over()
    return calls


HONEST: list[Callable[[Story], CallStory]] = [approved, denied, edited, remembered, posted, unknown, cut_off, late]


def late_result_lost(story: Story) -> None:
    """It was taken, and nobody hears of it."""
    calls = late(story)
    calls.told = calls.told[:-1]
    calls.final = {"call-7": call("unknown", "7", tool="browser")}
    calls.over()


def decision_lost(story: Story) -> None:
    calls = CallStory(story)
    calls.became(call("waiting"))
    calls.decided(call("waiting"), approve=False)
    calls.became(call("expired"))
    calls.over()


def approval_answered_otherwise(story: Story) -> None:
    calls = CallStory(story)
    calls.became(call("waiting"))
    calls.decided(call("waiting"), approve=True, after="waiting")
    calls.became(call("approved"))
    calls.became(call("cancelled"), ended=True)
    calls.over()


def result_lost(story: Story) -> None:
    calls = posted(story)
    other = call("done", "4", tool="browser", result="another page")
    calls.told[-1] = replace(calls.told[-1], call=other)
    calls.final = {other.call_id: other}
    calls.over()


def other_arguments(story: Story) -> None:
    """It runs with what was shown first, not with what was approved instead."""
    calls = edited(story)
    calls.runs = []
    calls.ran(call("running", "3"), "k3")
    calls.over()


def not_approved(story: Story) -> None:
    calls = approved(story)
    story.history = [each for each in story.history if each.kind is not Kind.DECIDE]
    calls.over()


def other_bytes(story: Story) -> None:
    calls = approved(story)
    calls.runs = [replace(calls.runs[0], arguments=calls.runs[0].arguments.replace(":", ": "))]
    calls.over()


def clients_tool_ran(story: Story) -> None:
    calls = posted(story)
    calls.ran(call("running", "4", tool="browser"), "k4")
    calls.over()


def never_recorded(story: Story) -> None:
    calls = approved(story)
    other = call("waiting", "9")
    calls.decided(other, approve=True)
    calls.ran(other, "k9")
    calls.over()


def two_keys(story: Story) -> None:
    calls = approved(story, "book")
    calls.runs.append(replace(calls.runs[0], key="k2"))
    calls.over()


def denied_and_ran(story: Story) -> None:
    """One person's approval is in doubt, another one's denial was taken."""
    calls = CallStory(story)
    calls.became(call("waiting", "2"))
    doubtful = calls.decided(call("waiting", "2"), approve=True)
    story.history[-1] = replace(doubtful, outcome=Outcome.UNKNOWN, response=Response(), error="overloaded")
    calls.decided(call("waiting", "2"), approve=False)
    calls.became(call("denied", "2"))
    calls.ran(call("approved", "2"))
    calls.over()


def cancelled_and_ran(story: Story) -> None:
    calls = CallStory(story)
    calls.became(call("waiting", "6"))
    calls.decided(call("waiting", "6"), approve=True)
    calls.became(call("approved", "6"))
    calls.ran(call("approved", "6"), "k6")
    calls.became(call("cancelled", "6"), ended=True)
    calls.over()


def not_sent_and_ran(story: Story) -> None:
    """The reply was stopped, and says that its call was not sent."""
    calls = approved(story)
    calls.told[-1] = replace(calls.told[-1], call=call("failed", result=NOT_SENT), ended=True)
    calls.final = {"call-1": calls.told[-1].call}
    calls.over()


def unknown_and_not_allowed(story: Story) -> None:
    """Nobody could have sent it."""
    calls = approved(story)
    calls.runs = []
    calls.told = [each for each in calls.told if each.call.state in ("waiting", "approved")]
    calls.became(call("unknown"), ended=True)
    calls.over()


def ran_twice(story: Story) -> None:
    calls = approved(story)
    calls.runs.append(replace(calls.runs[0], at=calls.runs[0].at + 0.1))
    story.lost = [Lost(story.now + 50, story.now + 60)]
    calls.over()


def sent_by_a_sleeper(story: Story) -> None:
    calls = unknown(story)
    calls.runs = [replace(calls.runs[0], sent_at=calls.told[-2].at + WITHIN + 0.1, at=story.now)]
    calls.told[-1] = replace(calls.told[-1], at=story.now + 20)
    calls.over()


def unknown_too_soon(story: Story) -> None:
    calls = unknown(story)
    calls.told[-1] = replace(calls.told[-1], at=calls.told[-2].at + 4)
    calls.over()


def decided_twice(story: Story) -> None:
    calls = approved(story)
    calls.decided(call("waiting"), approve=True, arguments=call("waiting", to="Bob").arguments)


def left_open(story: Story) -> None:
    calls = approved(story)
    calls.told = calls.told[:-1]
    calls.final = {"call-1": calls.told[-1].call}
    calls.over()


def events_differ(story: Story) -> None:
    calls = approved(story)
    calls.told[-1] = replace(calls.told[-1], call=call("failed", result="away"))
    calls.over()


def goes_back(story: Story) -> None:
    calls = approved(story)
    calls.told.insert(-1, replace(calls.told[-1], call=call("approved")))
    calls.over()


def done_and_never_ran(story: Story) -> None:
    calls = approved(story)
    calls.runs = []
    calls.over()


def another_answer(story: Story) -> None:
    calls = approved(story)
    calls.runs = [replace(calls.runs[0], answer="refused")]
    calls.over()


def still_listed(story: Story) -> None:
    approved(story)
    story.noted = Noted(waiting=(4,))


def remembered_as_shown(story: Story) -> None:
    """What was shown first is remembered, not what was approved instead."""
    edited(story)
    story.noted = Noted(approved=(call("waiting", "3").digest,))


def remembered_without_its_room(story: Story) -> None:
    remembered(story)
    story.did(Kind.DELETE_ROOM)
    story.deleted = True


PLANTED_CALLS: list[tuple[str, Callable[[Story], Any]]] = [
    ("C18", decision_lost),
    ("C18", approval_answered_otherwise),
    ("C18", result_lost),
    ("C18", late_result_lost),
    ("C19", other_arguments),
    ("C19", not_approved),
    ("C19", other_bytes),
    ("C19", clients_tool_ran),
    ("C19", never_recorded),
    ("C20", two_keys),
    ("C21", denied_and_ran),
    ("C21", cancelled_and_ran),
    ("C21", not_sent_and_ran),
    ("C22", ran_twice),
    ("C22", sent_by_a_sleeper),
    ("C22", unknown_too_soon),
    ("C23", decided_twice),
    ("C23", left_open),
    ("C23", events_differ),
    ("C23", goes_back),
    ("C23", unknown_and_not_allowed),
    ("C23", done_and_never_ran),
    ("C23", another_answer),
    ("C24", still_listed),
    ("C24", remembered_as_shown),
    ("C24", remembered_without_its_room),
]
