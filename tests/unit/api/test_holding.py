"""Refusals are answered at a pace, and those that wait do not count against others."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI

from api.holding import BURST, PER_SECOND, SECONDS_MAX, Holding, Turns
from parlor.settings.connections import ConnectionSettings
from tests.unit.fake_clock import FakeClock, settle

pytestmark = pytest.mark.unit


async def waiting(holding: Holding, number: int, key: str = "a", *, at_least: bool = True) -> list[asyncio.Task[None]]:
    """Begins so many refusals; returns those that wait."""
    tasks = [asyncio.create_task(holding.wait(key, at_least=at_least)) for _ in range(number)]
    await settle()
    return [task for task in tasks if not task.done()]


async def test_a_few_refusals_wait_for_the_least_time_alone() -> None:
    clock = FakeClock()
    holding = Holding(clock, 0.25)
    held = await waiting(holding, BURST)
    assert len(held) == holding.held == BURST
    await clock.advance(0.25)
    await asyncio.gather(*held)
    assert holding.held == 0


async def test_bad_tokens_wait_when_they_are_many() -> None:
    clock = FakeClock()
    holding = Holding(clock, 0.25)
    assert await waiting(holding, BURST, at_least=False) == []
    held = await waiting(holding, 200, at_least=False)
    assert len(held) >= 199
    await clock.advance(1.0)
    assert sum(task.done() for task in held) == pytest.approx(PER_SECOND, abs=2)
    assert await waiting(holding, 1, "b", at_least=False) == [], "each key has a pace of its own"
    await clock.advance(SECONDS_MAX)
    await asyncio.gather(*held)
    assert await waiting(holding, BURST, at_least=False) == []


async def test_none_waits_longer_than_the_longest_time() -> None:
    clock = FakeClock()
    holding = Holding(clock, 0.25)
    held = await waiting(holding, 900)
    await clock.advance(SECONDS_MAX + 1 / PER_SECOND)
    await asyncio.gather(*held)


async def test_however_many_of_one_client_wait_those_of_the_next_one_wait_too() -> None:
    holding = Holding(FakeClock(), 0.25)
    held = [await waiting(holding, ConnectionSettings().per_address or 0, address) for address in "abc"]
    assert [len(each) for each in held] == [1000] * 3
    assert holding.held == 3000
    await _cancelled(held)
    assert holding.held == 0


async def test_only_so_many_wait_at_a_time_and_the_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.holding._HELD_MAX", 100)
    holding = Holding(FakeClock(), 0.25)
    held = await waiting(holding, 120)
    assert len(held) == holding.held == 100
    await _cancelled([held])


async def _cancelled(held: list[list[asyncio.Task[None]]]) -> None:
    tasks = [task for each in held for task in each]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_without_a_delay_none_waits() -> None:
    assert await waiting(Holding(FakeClock(), 0.0), 500) == []


async def sends(turns: Turns, account: str, number: int, per_second: float | None = 50) -> list[asyncio.Task[None]]:
    """Begins so many sends; returns those that wait."""
    tasks = [asyncio.create_task(turns.wait(account, per_second)) for _ in range(number)]
    await settle()
    return [task for task in tasks if not task.done()]


async def test_an_account_that_sends_alone_takes_no_turns() -> None:
    assert await sends(Turns(FakeClock()), "ada", 1000) == []


async def test_while_others_send_a_fast_account_takes_turns_at_twice_its_rate() -> None:
    clock = FakeClock()
    turns = Turns(clock)
    assert await sends(turns, "ada", 500) == []
    assert await sends(turns, "bob", 1) == []
    waiting = await sends(turns, "ada", 80)
    assert 55 <= len(waiting) <= 80
    assert await sends(turns, "bob", 10) == [], "only who is fast waits"
    await clock.advance(0.3)
    done = sum(task.done() for task in waiting)
    assert 25 <= done <= 35
    await clock.advance(1.0)
    await asyncio.gather(*waiting)
    assert await sends(turns, "bob", 1, None) == [], "without a limit nobody waits"
    clock.leap(2)
    assert await sends(turns, "bob", 200) == [], "the others have gone"


async def test_a_turn_comes_within_a_second() -> None:
    clock = FakeClock()
    turns = Turns(clock)
    await sends(turns, "bob", 1)
    waiting = await sends(turns, "ada", 1000)
    await clock.advance(1.0)
    await asyncio.gather(*waiting)


async def test_those_that_wait_leave_the_replica_to_others(app: FastAPI) -> None:
    edge = app.state.edge
    edge.under_way = 10 * edge.settings.max_requests
    assert edge.is_full
    edge.limits.refusals.held = edge.under_way - edge.settings.max_requests
    assert not edge.is_full
    edge.under_way, edge.limits.refusals.held = 0, 0
