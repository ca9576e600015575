"""Stop: within a second, from any replica, down to the connection to the language model, and never the wrong reply."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from parlor_bench.load import percentile
from tests.installation import Installation
from tests.integration.model_stats import model_stats
from tests.integration.room_views import agreed_views
from tests.integration.shards import Shards
from tests.integration.sse import SseEvent, text_of
from tests.integration.user import Json, User, of
from tests.integration.waiting import eventually, patience

pytestmark = pytest.mark.integration
KINDS = ("private",)
"""Once is enough for what is the same program; what differs by database is the contract tests' business."""

ROOMS, STOPS_EACH = 8, 25
WITHIN = 1.0
"""Seconds from the request to the reader's last event, for 99 of 100 stops."""
# Where nothing was answered, the next prompt has both messages as one: `hang=0` takes the first one's word back.
LONG = "[[hang=0 tokens=2000 delay=20ms]]"
HANGS = "[[hang=1]]"
FALLS_SILENT = "[[tokens=100 hang_after=3]]"
SCRIPTS = (LONG, HANGS, LONG, FALLS_SILENT)


async def _stopped(
    user: User, elsewhere: User, room: str, script: str, asked: Callable[[], Awaitable[object]]
) -> float:
    """One reply, read at one replica and stopped at another; seconds until its reader knew."""
    async with user.stream(room, script) as reader:
        created = await reader.until("message.created") + await reader.until("message.created")
        reply = created[-1].data["message"]["message_id"]
        events: list[SseEvent] = []
        if script == HANGS:
            # It has nothing to tell: a stop could come before the question is out.
            await asked()
        else:
            events = await reader.until("message.delta")
        began = time.monotonic()
        answer, rest = await asyncio.gather(elsewhere.stop(room, reply), reader.rest())
        seconds = time.monotonic() - began
    events += rest
    final = events[-1].data["message"]
    assert events[-1].type == "message.stopped"
    assert (final["finish_reason"], final["is_streaming"]) == ("stopped", False)
    assert text_of(events, reply) == final["content"] == answer["content"]
    assert (final["content"] == "") == (script == HANGS)
    return seconds


async def test_two_hundred_stops_from_another_replica_end_their_replies_and_nothing_else(
    user: User, elsewhere: User, installation: Installation
) -> None:
    before = await model_stats(installation)
    rooms = [await user.create_room() for _ in range(ROOMS)]

    async def counted(what: str, least: int) -> Json:
        """What the language model counts since the test began, once there are so many."""
        found = await eventually(
            lambda: model_stats(installation), lambda now: now[what] - before[what] >= least, seconds=5
        )
        return {name: found[name] - before[name] for name in before}

    seconds: list[float] = []
    for turn in range(STOPS_EACH):
        asked = functools.partial(counted, "requests", ROOMS * (turn + 1))
        scripts = [SCRIPTS[(turn + place) % len(SCRIPTS)] for place in range(ROOMS)]
        seconds += await asyncio.gather(
            *(_stopped(user, elsewhere, room, script, asked) for room, script in zip(rooms, scripts, strict=True))
        )
    seconds.sort()
    assert len(seconds) == ROOMS * STOPS_EACH
    print(f"stops: median {percentile(seconds, 0.5):.3f} s, 99th percentile {percentile(seconds, 0.99):.3f} s")
    assert percentile(seconds, 0.99) < patience(WITHIN)
    # The language model was hung up on each time, and nobody pays for the rest.
    after = await counted("aborted", len(seconds))
    assert after["requests"] == len(seconds)
    assert after["open"] <= 0


async def test_a_stopped_reply_keeps_its_text_for_readers_the_next_prompt_and_the_shard(
    user: User, elsewhere: User, shards: Shards
) -> None:
    room = await user.create_room()
    cursor = (await user.messages(room))["cursor"]
    async with user.stream(room, f"Tell me {LONG}") as reader:
        events = await reader.until("message.delta")
        reply = events[1].data["message"]["message_id"]
        first = await elsewhere.stop(room, reply)
        events += await reader.rest()
    again = await user.stop(room, reply)

    assert again["content"] == first["content"] == text_of(events, reply)
    assert again["content"]
    assert (again["finish_reason"], again["attempt"]) == ("stopped", 1)
    asked = await user.converse(room, "go on [[echo=1 delay=0ms]]")
    prompt = [turn["content"] for turn in msgspec.json.decode(asked["reply"]["content"])["messages"]]
    assert prompt[1:] == [f"Tell me {LONG}", again["content"], "go on [[echo=1 delay=0ms]]"]
    lines, log = await agreed_views(user, shards, room, cursor)
    assert lines[1] == (2, again["content"], "stopped")
    assert [event.type for event in log].count("message.stopped") == 1


async def test_a_stop_that_comes_late_does_not_touch_what_follows(user: User, elsewhere: User) -> None:
    room = await user.create_room()
    first = await user.converse(room, "[[text=done]]")
    async with user.stream(room, "[[tokens=40 delay=30ms]]") as reader:
        events: list[SseEvent] = await reader.until("message.delta")
        late = await elsewhere.stop(room, first["reply"]["message_id"])
        events += await reader.rest()
    assert (late["content"], late["finish_reason"]) == ("done", "stop")
    assert events[-1].type == "message.completed"
    assert len(events[-1].data["message"]["content"].split()) == 40


async def test_a_stop_that_was_meant_for_one_attempt_does_not_end_the_next(user: User, elsewhere: User) -> None:
    room = await user.create_room()
    sent = await user.converse(room, "[[tokens=20 delay=50ms]]")
    reply = sent["reply"]["message_id"]
    assert (await user.regenerate(room, reply))["attempt"] == 2
    late = await elsewhere.stop(room, reply, attempt=1)
    assert (late["attempt"], late["is_streaming"]) == (2, True)
    ended = await user.ended(room, reply)
    assert (ended["attempt"], ended["finish_reason"], len(ended["content"].split())) == (2, "stop", 20)


async def test_a_reply_that_waits_for_its_turn_is_stopped_before_it_begins(user: User, elsewhere: User) -> None:
    room = await user.create_room()
    running = await user.send(room, "[[tokens=30 delay=30ms]]")
    waiting = await user.send(room, "never asked")
    stopped = await elsewhere.stop(room, waiting["reply"]["message_id"])
    assert (stopped["content"], stopped["finish_reason"], stopped["is_streaming"]) == ("", "stopped", False)
    ended = await user.ended(room, running["reply"]["message_id"])
    assert ended["finish_reason"] == "stop"
    assert (await user.get(f"{of(room)}/queue"))["messages"] == []
    events: list[SseEvent] = []
    async with user.events(of(room), after=waiting["cursor"]) as reader:
        while len(events) < 2:
            events += await reader.until("message.stopped", "message.completed")
    assert not [
        event for event in events if event.type == "message.delta" and event.data["message_id"] == stopped["message_id"]
    ]


async def test_only_a_reply_can_be_stopped(user: User) -> None:
    room = await user.create_room()
    note = await user.note(room, "mine")
    answer = await user.http.post(f"{of(room)}/messages/{note['message_id']}/stop")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
