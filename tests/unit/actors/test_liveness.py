"""The liveness check: who answers is known without waiting for who does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.contracts import ActorStatus
from actors.liveness import ASK_SECONDS, HUNG_SECONDS, PAUSE_SECONDS, SILENT_SECONDS, STEP_SECONDS, LivenessCheck
from tests.unit.fake_clock import FakeClock, settle

pytestmark = pytest.mark.unit


class Actor:
    """One that answers, is dead, or hangs, as the test says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mode = "answers"
        self.asked = 0
        self.starts = asyncio.Event()

    async def ask(self) -> ActorStatus | None:
        self.asked += 1
        if self.mode == "hangs":
            await self.starts.wait()
        if self.mode == "fails":
            raise ValueError("a defect")
        return None if self.mode == "dead" else ActorStatus(self.name, "RoomActor", 7, "node", True)


class Calling:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.heard: list[str] = []
        self.silent: list[str] = []
        self.liveness = LivenessCheck(self.clock, lambda status: self.heard.append(status.name), self.silent.append)

    async def watch(self, actor: Actor) -> None:
        self.liveness.watch(actor.name, "RoomActor", actor.ask)
        await settle()


@pytest.fixture
async def calling() -> AsyncIterator[Calling]:
    found = Calling()
    yield found
    await found.liveness.close()


async def test_one_that_hangs_keeps_no_other_from_being_heard(calling: Calling) -> None:
    waiting, quick = Actor("waiting"), Actor("quick")
    waiting.mode = "hangs"
    await calling.watch(waiting)
    await calling.watch(quick)
    await calling.clock.advance(3 * PAUSE_SECONDS)
    assert (waiting.asked, quick.asked) == (1, 4)
    assert calling.liveness.answers("quick")
    assert not calling.liveness.answers("waiting")
    waiting.mode = "answers"
    waiting.starts.set()
    await settle()
    assert calling.liveness.answers("waiting")


async def test_silence_is_noticed_after_a_while_and_forgiven_with_the_next_answer(calling: Calling) -> None:
    actor = Actor("a")
    await calling.watch(actor)
    actor.mode = "hangs"
    await calling.clock.advance(PAUSE_SECONDS)
    assert actor.asked == 2
    await calling.clock.advance(SILENT_SECONDS - STEP_SECONDS)
    assert calling.liveness.answers("a")
    assert calling.silent == []
    await calling.clock.advance(STEP_SECONDS)
    assert not calling.liveness.answers("a")
    await calling.clock.advance(2 * SILENT_SECONDS)
    assert calling.silent == ["a"]
    assert calling.liveness.statuses() == [ActorStatus("a", "RoomActor", 7, "node", alive=False)]
    actor.mode = "answers"
    actor.starts.set()
    await settle()
    assert calling.liveness.answers("a")


@pytest.mark.parametrize("mode", ["dead", "fails"])
async def test_a_dead_or_failing_actor_is_asked_again(calling: Calling, mode: str) -> None:
    actor = Actor("a")
    actor.mode = mode
    await calling.watch(actor)
    assert not calling.liveness.answers("a")
    assert calling.liveness.statuses() == [ActorStatus("a", "RoomActor", 0, "", alive=False)]
    actor.mode = "answers"
    await calling.clock.advance(PAUSE_SECONDS)
    assert calling.liveness.answers("a")
    assert calling.silent == [], "it had not answered yet"
    actor.mode = mode
    await calling.clock.advance(PAUSE_SECONDS)
    assert not calling.liveness.answers("a")
    assert calling.liveness.has_answered("a")
    await calling.clock.advance(3 * PAUSE_SECONDS)
    assert calling.silent == ["a"]


async def test_who_stood_still_itself_takes_nobody_for_silent(calling: Calling) -> None:
    actor = Actor("a")
    await calling.watch(actor)
    actor.mode = "hangs"
    await calling.clock.advance(PAUSE_SECONDS)
    calling.clock.ms += 1000 * round(10 * HUNG_SECONDS)
    await calling.clock.advance(STEP_SECONDS)
    assert calling.liveness.answers("a")
    assert calling.liveness.take_hung() == []


async def test_an_actor_that_hangs_is_reported_once_until_it_has_answered_again(calling: Calling) -> None:
    actor = Actor("a")
    await calling.watch(actor)
    for _ in range(2):
        actor.mode = "hangs"
        await calling.clock.advance(PAUSE_SECONDS + HUNG_SECONDS - STEP_SECONDS)
        assert calling.liveness.take_hung() == []
        await calling.clock.advance(STEP_SECONDS)
        assert calling.liveness.take_hung() == ["a"]
        await calling.clock.advance(HUNG_SECONDS)
        assert calling.liveness.take_hung() == []
        actor.mode = "answers"
        actor.starts.set()
        await settle()
        actor.starts.clear()


@pytest.mark.parametrize("before", ["nothing", "death"])
async def test_one_that_is_slow_to_start_is_not_started_again(calling: Calling, before: str) -> None:
    actor = Actor("a")
    actor.mode = "answers" if before == "death" else "hangs"
    await calling.watch(actor)
    if before == "death":
        actor.mode = "dead"
        await calling.clock.advance(PAUSE_SECONDS)
        actor.mode = "hangs"
    await calling.clock.advance(3 * HUNG_SECONDS)
    assert calling.liveness.take_hung() == []


async def test_an_answer_in_the_last_moment_is_an_answer(calling: Calling) -> None:
    actor = Actor("a")
    await calling.watch(actor)
    actor.mode = "hangs"
    await calling.clock.advance(PAUSE_SECONDS + HUNG_SECONDS)
    actor.mode = "answers"
    actor.starts.set()
    await settle()
    assert calling.liveness.take_hung() == []


async def test_nobody_is_asked_after_being_struck_off(calling: Calling) -> None:
    actor = Actor("a")
    await calling.watch(actor)
    calling.liveness.forget("a")
    await calling.clock.advance(10 * PAUSE_SECONDS)
    assert (actor.asked, calling.heard) == (1, ["a"])
    assert calling.liveness.statuses() == []
    await calling.watch(actor)
    assert calling.heard == ["a", "a"], "the name may come again"


async def test_enrolling_twice_asks_once(calling: Calling) -> None:
    actor = Actor("a")
    await calling.watch(actor)
    await calling.watch(actor)
    assert actor.asked == 1


async def test_waiting_ends_with_the_answer_that_was_waited_for(calling: Calling) -> None:
    actor = Actor("a")
    actor.mode = "hangs"
    await calling.watch(actor)
    waits = asyncio.create_task(calling.liveness.until(lambda: calling.liveness.has_answered("a")))
    other = asyncio.create_task(calling.liveness.until(lambda: calling.liveness.has_answered("a")))
    await settle()
    assert not waits.done()
    actor.mode = "answers"
    actor.starts.set()
    await asyncio.wait_for(asyncio.gather(waits, other), 1)


def test_one_question_stays_open_for_long() -> None:
    # Each new question to an actor that waits for a node would wait in Ray as well.
    assert ASK_SECONDS >= 10 * SILENT_SECONDS
