"""The checker: an honest history passes, and each planted violation is reported, as exactly what it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.chaos.budget_stories import PLANTED_BUDGETS
from tests.chaos.call_stories import HONEST, PLANTED_CALLS, CallStory, approved, ran_twice
from tests.chaos.checker import Lost
from tests.chaos.history import Heard, Kind, ObservedMessage, Outcome, Recorder, Request, Response, read_history
from tests.chaos.metadata_stories import PLANTED_METADATA
from tests.chaos.persisted_stories import PLANTED_PERSISTED
from tests.chaos.redis_stories import PLANTED_REDIS
from tests.chaos.stories import (
    ADA,
    DELETED,
    EVE,
    EVENTS,
    LATER,
    PLANTED,
    ROOM,
    Story,
    key_for_two,
    refused_and_stored,
    row_lost,
    thinking,
)

pytestmark = pytest.mark.chaos


def test_an_honest_history_passes() -> None:
    story = Story()
    story.heard(*EVENTS)
    story.heard(*EVENTS[2:], after="100-2")
    story.read(cursor="100-5", seen=story.rows[:2])
    story.did(Kind.RENAME, Request(title="Later"))
    story.did(Kind.DELETE_MESSAGE, Request(message_id="m3"))
    story.did(Kind.READ_PAGE, account=EVE, outcome=Outcome.FAIL, error="room-not-found")
    story.rows[2] = replace(story.rows[2], content="", deleted=True)
    story.title = "Later"
    assert story.found() == []


def test_a_reply_that_goes_on_from_what_it_had_is_honest() -> None:
    story = Story()
    kept = replace(story.rows[1], content="answer ", open=True, attempt=2)
    story.did(Kind.CONTINUE, Request(message_id="m2"), Response(messages=[kept]))
    story.heard(
        Heard("100-6", "message.reset", "m2", attempt=2),
        Heard("100-7", "message.delta", "m2", attempt=2, text="answer "),
        Heard("100-8", "message.delta", "m2", attempt=2, offset=7, text="one"),
        Heard("100-9", "message.completed", "m2", 2, 2, text="answer one"),
    )
    story.heard(Heard("101-0", "message.completed", "m2", 2, 3, text="another attempt"), after="100-9")
    assert story.found() == []


def test_a_reply_that_thought_before_it_spoke_is_honest() -> None:
    story = Story()
    story.heard(*thinking("let me ", "see", thought="let me see"))
    assert story.found() == []


def test_readers_need_not_have_got_what_was_deleted_meanwhile() -> None:
    story = Story()
    story.heard(*EVENTS, DELETED, LATER)
    story.did(Kind.DELETE_MESSAGE, Request(message_id="m2"))
    story.rows[1] = replace(story.rows[1], content="", deleted=True)
    story.heard(EVENTS[0], DELETED, LATER)
    story.heard(*EVENTS[:3], DELETED, LATER, after="100-0")
    assert story.found() == ["C14"], "this one came after the deletion"
    story.history.pop()
    assert story.found() == []


@pytest.mark.parametrize("happened", HONEST)
def test_calls_of_tools_that_were_decided_and_done_are_honest(happened: Callable[[Story], CallStory]) -> None:
    story = Story()
    happened(story)
    assert story.found() == []


def test_a_call_that_ran_while_redis_was_lost_may_run_again_unless_its_tool_may_not() -> None:
    story = Story()
    calls = approved(story, "book")
    calls.runs.append(replace(calls.runs[0], key="another"))
    calls.over()
    assert set(story.found()) == {"C20"}
    story.lost = [Lost(0.0, story.now)]
    assert story.found() == []
    other = Story()
    ran_twice(other)
    other.lost = [Lost(0.0, other.now)]
    assert set(other.found()) == {"C22"}


EVERY = [*PLANTED, *PLANTED_BUDGETS, *PLANTED_CALLS, *PLANTED_METADATA, *PLANTED_PERSISTED, *PLANTED_REDIS]


@pytest.mark.parametrize(("rule", "plant"), EVERY, ids=[plant.__name__ for _, plant in EVERY])
def test_a_planted_violation_is_reported_as_what_it_is(rule: str, plant: Callable[[Story], None]) -> None:
    story = Story()
    assert story.found() == []
    plant(story)
    assert set(story.found()) == {rule}


def test_an_older_rename_that_was_in_doubt_may_win() -> None:
    story = Story()
    story.did(Kind.RENAME, Request(title="In doubt"), outcome=Outcome.UNKNOWN, error="cache-unavailable")
    story.did(Kind.RENAME, Request(title="Newer"))
    story.title = "In doubt"
    assert story.found() == []


def test_a_message_that_was_sent_again_with_its_key_counts_from_its_first_send() -> None:
    story = Story()
    story.rows += [
        ObservedMessage(5, "m5", "USER", "three"),
        ObservedMessage(6, "m6", "AI"),
        ObservedMessage(7, "m7", "USER", "4"),
        ObservedMessage(8, "m8", "AI"),
    ]
    story.did(Kind.SEND, Request(content="three", key="k"), outcome=Outcome.UNKNOWN, error="overloaded")
    story.sent(7)
    story.sent(5, key="k")
    assert story.found() == []


def test_a_lost_redis_excuses_what_was_acknowledged_in_it_and_nothing_before() -> None:
    story = Story()
    sent = story.history[-1]
    row_lost(story)
    story.lost = [Lost(sent.invoked_at, story.now + 10)]
    assert story.found() == []
    story.lost = [Lost(story.now + 5, story.now + 10)]
    assert set(story.found()) == {"C1"}


def test_a_send_that_was_refused_while_redis_was_lost_may_be_there() -> None:
    story = Story()
    before = story.now
    refused_and_stored(story)
    assert set(story.found()) == {"C13"}
    story.lost = [Lost(before, story.now)]
    assert story.found() == []
    story.lost = [Lost(story.now + 5, story.now + 10)]
    assert set(story.found()) == {"C13"}


def test_a_message_that_is_asked_for_again_across_a_lost_redis_may_be_there_twice() -> None:
    story = Story()
    story.rows += [ObservedMessage(5, "m5", "USER", "three"), ObservedMessage(6, "m6", "USER", "three")]
    story.did(Kind.SEND, Request(content="three", key="k"), outcome=Outcome.UNKNOWN, error="cache-unavailable")
    between = story.now
    story.did(Kind.SEND, Request(content="three", key="k"), outcome=Outcome.UNKNOWN, error="cache-unavailable")
    assert set(story.found()) == {"C2"}
    story.lost = [Lost(between, between)]
    assert story.found() == []
    story.lost = [Lost(story.now + 5, story.now + 10)]
    assert set(story.found()) == {"C2"}


def test_a_key_that_was_lost_with_redis_may_stand_for_two_messages() -> None:
    story = Story()
    key_for_two(story)
    first, second = story.history[-2:]
    story.rows[4] = replace(story.rows[4], content="3")
    story.history[-2] = replace(first, request=replace(second.request))
    assert set(story.found()) == {"C2"}
    between = (first.completed_at or 0) + 0.1
    story.lost = [Lost(between, between)]
    assert story.found() == []


def test_a_recorded_history_is_read_back_whole(tmp_path: Path) -> None:
    clock = iter([1.0, 2.0, 3.0])
    out = io.StringIO()
    recorder = Recorder(out, lambda: next(clock), "client-1")
    send = recorder.begin(Kind.SEND, ADA, ROOM, Request(content="a\u2028b\n"), 2.0)
    recorder.begin(Kind.GET_ROOM, ADA, ROOM, Request(), 2.0)
    recorder.end(send, Outcome.OK, Response(messages=[ObservedMessage(1, "m1", "USER", "a\u2028b\n")]))
    recorder.close()
    path = tmp_path / "history.jsonl"
    path.write_text(out.getvalue() + '{"id":"cut', encoding="utf-8")
    read = read_history([path])
    assert sorted(read, key=lambda o: o.id) == sorted(recorder.operations, key=lambda o: o.id)
    assert [(o.kind, o.completed_at) for o in read] == [(Kind.SEND, 3.0), (Kind.GET_ROOM, None)]
