"""The process that writes replies dies, or is taken for dead: each reply gets one end, and its readers just read on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.metrics import NoMetrics
from parlor.model.ids import RoomId, home_of
from parlor.model.messages import TERMINAL_EVENTS
from parlor.rooms.commands import Refused, Wake
from parlor.rooms.host import RoomHost
from parlor.settings import Settings
from parlor.wiring import Wiring
from tests.installation import Installation
from tests.integration.actor_processes import processes_of, stopped
from tests.integration.model_stats import model_stats
from tests.integration.shards import Shards
from tests.integration.sse import EventReader, SseEvent, text_of
from tests.integration.user import Json, User, of
from tests.integration.waiting import eventually, patience

pytestmark = pytest.mark.integration

LAST = True
REPLIES = 100
WORDS = 60
SILENT_AFTER = 20
STREAMS = f"[[tokens={WORDS} delay=100ms]]"
FALLS_SILENT_ONCE = f"[[tokens={WORDS} hang_after={SILENT_AFTER} times=1]]"
AGAIN_WITHIN = 10.0
"""Seconds from an owner's death to the beginning of the next attempt."""


class _Watcher:
    """One reader of one room, who never reconnects."""

    def __init__(self, user: User, number: int) -> None:
        self._user = user
        self._number = number
        self.falls_silent = number % 2 == 1
        """Writes nothing when its owner dies; the others write all the time."""
        self.room = ""
        self.reply = ""
        self.events: list[SseEvent] = []
        self.writing = asyncio.Event()
        self.again_at: float | None = None

    @property
    def gave_up(self) -> bool:
        """Whether the model had been silent for too long when its owner died: then that one has ended it, which
        ``_ended_once`` checks."""
        return self.falls_silent and self.again_at is None

    async def open(self, places: asyncio.Semaphore) -> None:
        async with places:
            self.room = await self._user.create_room(f"Crash {self._number}")

    async def run(self) -> None:
        script = FALLS_SILENT_ONCE if self.falls_silent else STREAMS
        # The demo model counts its faults by message.
        body, key = {"content": f"{self.room} {script}"}, {"Idempotency-Key": self.room}
        send = partial(self._user.http.post, f"{of(self.room)}/messages", json=body, headers=key)
        # A busy machine may refuse for a moment.
        sent = (await eventually(send, lambda found: found.status_code in (200, 201))).json()
        self.reply = sent["reply"]["message_id"]
        async with self._user.events(of(self.room), after=sent["cursor"]) as reader:
            await self._read(reader)

    async def _read(self, reader: EventReader) -> None:
        while not (self.events and self.events[-1].type in TERMINAL_EVENTS):
            event = await reader.next(patience(15))
            assert event is not None, "the stream was ended"
            self.events.append(event)
            if event.type == "message.delta":
                self.writing.set()
            if event.type == "message.reset":
                self.again_at = asyncio.get_running_loop().time()


async def test_a_hundred_replies_whose_owner_is_killed_begin_again_and_end_once(
    user: User, installation: Installation, shards: Shards
) -> None:
    watchers = [_Watcher(user, number) for number in range(REPLIES)]
    actors = processes_of(installation, "RoomActor")
    places = asyncio.Semaphore(10)
    await asyncio.gather(*(watcher.open(places) for watcher in watchers))
    watching: list[asyncio.Task[None]] = []
    try:
        # The model's silence has a limit of its own, so those that fall silent begin last.
        for silent in (False, True):
            await _begin([watcher for watcher in watchers if watcher.falls_silent is silent], watching)
        for pid in actors:
            os.kill(pid, signal.SIGKILL)
        killed_at = asyncio.get_running_loop().time()
        await asyncio.gather(*watching)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    begun_again = [watcher for watcher in watchers if watcher.again_at is not None]
    # What streams may have ended just before, and on a busy machine the model's silence may have lasted too long.
    assert sum(watcher.falls_silent for watcher in begun_again) > REPLIES / 10
    seconds = sorted((watcher.again_at or 0.0) - killed_at for watcher in begun_again)
    print(f"{len(begun_again)} replies begun again after {seconds[0]:.1f} to {seconds[-1]:.1f} s")
    assert seconds[-1] < patience(AGAIN_WITHIN)
    for watcher in watchers:
        _ended_once(watcher)
    await asyncio.gather(*(_told_once(user, shards, watcher, places) for watcher in watchers))


async def _begin(watchers: list[_Watcher], watching: list[asyncio.Task[None]]) -> None:
    """Returns when each of their replies is being written."""
    watching += [asyncio.create_task(watcher.run()) for watcher in watchers]
    async with asyncio.timeout(patience(10)):
        await asyncio.gather(*(watcher.writing.wait() for watcher in watchers))


def _ended_once(watcher: _Watcher) -> None:
    """The watcher heard one end, and what it read is that reply's whole text, from its last attempt."""
    ends = [event for event in watcher.events if event.type in TERMINAL_EVENTS]
    final = ends[0].data["message"]
    resets = [event.data["attempt"] for event in watcher.events if event.type == "message.reset"]
    assert len(ends) == 1
    assert text_of(watcher.events, watcher.reply) == final["content"]
    if watcher.gave_up:
        assert (final["finish_reason"], final["attempt"], len(final["content"].split())) == ("error", 1, SILENT_AFTER)
        return
    assert resets == ([2] if watcher.again_at is not None else [])
    assert (final["message_id"], final["finish_reason"], final["attempt"]) == (
        watcher.reply,
        "stop",
        1 + len(resets),
    )
    assert len(final["content"].split()) == WORDS


async def _told_once(user: User, shards: Shards, watcher: _Watcher, places: asyncio.Semaphore) -> None:
    """Nothing came after the end, in the log or in the shard."""
    async with places:
        note = await user.note(watcher.room, "after", persisted=True)
    async with user.events(of(watcher.room), after=watcher.events[-1].id) as reader:
        later = await reader.until("message.created")
    # The room may have been given a title meanwhile.
    assert {event.type for event in later} <= {"message.created", "room.updated"}
    assert later[-1].data["message"]["message_id"] == note["message_id"]
    rows = await shards.messages(watcher.room)
    assert [(row.seq, row.finish_reason) for row in rows] == [
        (1, None),
        (2, "error" if watcher.gave_up else "stop"),
        (3, None),
    ]
    assert rows[1].content == watcher.events[-1].data["message"]["content"]
    assert await shards.versions(watcher.room) == []


@asynccontextmanager
async def _another_host(settings: Settings) -> AsyncIterator[RoomHost]:
    """What a second RoomActor would be, in the test's own process."""
    wiring = await Wiring.open(settings)
    model = wiring.chat_service()
    host = RoomHost(wiring.room_ports(model, NoMetrics()))
    try:
        yield host
    finally:
        await host.drain(0.0)
        await model.close()
        await wiring.close()


async def _take_over(host: RoomHost, room: RoomId) -> None:
    (outcome,) = await host.execute([Wake(None, room, "test")], activate=True)
    assert not isinstance(outcome, Refused)


async def test_an_owner_that_was_stopped_for_longer_than_its_lease_changes_nothing_when_it_goes_on(
    user: User, installation: Installation, redis: Redis, keys: Keys, shards: Shards
) -> None:
    room = RoomId(await user.create_room("Zombie"))
    lease, loop = installation.settings.rooms.reply_lease.total_seconds(), asyncio.get_running_loop()
    actors, room_key = processes_of(installation, "RoomActor"), keys.room(home_of(room), room)
    before = await model_stats(installation)
    # The first attempt would never end by itself: who hangs up on it has found out.
    sent = await user.send(room, f"{room} [[tokens=140 delay=50ms hang_after=100 times=1]]")
    async with (
        user.events(of(room), after=sent["cursor"]) as reader,
        _another_host(installation.settings) as host,
    ):
        events = await reader.until("message.delta")
        with stopped(actors):
            stopped_at = loop.time()
            await _take_over(host, room)
            events += await reader.until("message.reset")
            while loop.time() - stopped_at < lease + 0.5:
                events += await reader.until("message.delta")
        # Now both have a language model that talks to them, and one of them is heard.
        claim = await redis.hget(room_key, "claim")
        events += await reader.until(*TERMINAL_EVENTS)
        assert await redis.hget(room_key, "claim") == claim
    await eventually(lambda: model_stats(installation), lambda now: now["aborted"] > before["aborted"])

    final = events[-1].data["message"]
    assert (final["attempt"], final["finish_reason"], len(final["content"].split())) == (2, "stop", 140)
    # Offsets are checked on the way: a word of the first attempt among those of the second would show.
    assert text_of(events, sent["reply"]["message_id"]) == final["content"]
    await _goes_on(user, shards, room, final)
    # Alive all the time.
    assert processes_of(installation, "RoomActor") == actors


async def test_by_the_policy_fail_a_reply_whose_owner_is_gone_ends_with_the_text_that_there_is(
    user: User, installation: Installation, shards: Shards
) -> None:
    room = RoomId(await user.create_room("Policy"))
    rooms = installation.settings.rooms.model_copy(update={"crash_policy": "fail"})
    settings = installation.settings.model_copy(update={"rooms": rooms})
    sent = await user.send(room, "[[tokens=140 delay=50ms]]")
    async with user.events(of(room), after=sent["cursor"]) as reader, _another_host(settings) as host:
        events = await reader.until("message.delta")
        with stopped(processes_of(installation, "RoomActor")):
            await _take_over(host, room)
            events += await reader.until(*TERMINAL_EVENTS)

    final = events[-1].data["message"]
    assert (events[-1].type, events[-1].data["error"]["code"]) == ("message.failed", "interrupted")
    assert (final["attempt"], final["finish_reason"]) == (1, "interrupted")
    assert final["content"]
    assert text_of(events, sent["reply"]["message_id"]) == final["content"]
    await _goes_on(user, shards, room, final)


async def _goes_on(user: User, shards: Shards, room: str, reply: Json) -> None:
    """The room takes messages, and the reply stays as it ended."""
    # The actor that has just gone on may still have to find out that it lost the room.
    body = {"content": "after", "reply": "none"}
    note = partial(user.http.post, f"{of(room)}/messages", json=body, headers={"Idempotency-Key": room})
    taken = await eventually(note, lambda found: found.status_code in (200, 201))
    assert taken.json()["message"]["seq"] == 3
    await user.flush()
    shown = await user.message(room, reply["message_id"])
    same = ("content", "attempt", "finish_reason")
    assert [shown[name] for name in same] == [reply[name] for name in same]
    rows = await shards.messages(room)
    assert [row.seq for row in rows[:2]] == [1, 2]
    assert (rows[1].content, rows[1].finish_reason) == (reply["content"], reply["finish_reason"])
