"""Coalescer: callers share calls, and each gets an answer or an exception, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from parlor.coalescer import Closed, Coalescer
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit


class Failed(Exception):
    """What a caller gets for a call that failed."""


class Calls:
    """Makes the calls: answers each item with itself, behind ``gate``. Items are numbers; odd ones may be refused."""

    def __init__(self, batch_size: int = 100, calls_in_flight: int = 2) -> None:
        self.made: list[list[int]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[Exception] = []
        """The next calls raise these."""
        self.refuse_odd = False
        self.fail_waiting = False
        self.failures: list[BaseException] = []
        self.coalescer: Coalescer[int, int] = Coalescer(
            self._send, self._failure, batch_size=batch_size, calls_in_flight=calls_in_flight
        )

    async def _send(self, items: list[int]) -> Sequence[int | Exception]:
        self.made.append(items)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        if self.errors:
            error = self.errors.pop()
            if self.fail_waiting:
                self.coalescer.fail_waiting(error)
            raise error
        return [ValueError(f"{item}") if self.refuse_odd and item % 2 else item for item in items]

    def _failure(self, error: BaseException) -> Exception:
        self.failures.append(error)
        return Failed()

    def submit(self, *items: int) -> list[asyncio.Task[int]]:
        return [asyncio.create_task(self.coalescer.submit(item)) for item in items]


async def outcomes(callers: Sequence[asyncio.Task[int]]) -> list[int | type[BaseException]]:
    """Each caller's answer, or what it raised. Nobody waits for ever."""
    async with asyncio.timeout(5):
        found = await asyncio.gather(*callers, return_exceptions=True)
    return [type(each) if isinstance(each, BaseException) else each for each in found]


async def test_items_of_one_turn_share_a_call() -> None:
    calls = Calls()
    assert await outcomes(calls.submit(*range(50))) == list(range(50))
    assert calls.made == [list(range(50))]


async def test_items_that_come_while_calls_are_under_way_share_the_next() -> None:
    calls = Calls(calls_in_flight=2)
    calls.gate.clear()
    callers = []
    for item in range(20):
        callers += calls.submit(item)
        await settle()
    assert calls.made == [[0], [1]]
    calls.gate.set()
    assert await outcomes(callers) == list(range(20))
    assert calls.made == [[0], [1], list(range(2, 20))]
    assert calls.most_under_way == 2


async def test_a_call_has_a_largest_size() -> None:
    calls = Calls(batch_size=7)
    assert await outcomes(calls.submit(*range(20))) == list(range(20))
    assert [len(items) for items in calls.made] == [7, 7, 6]


@pytest.mark.parametrize("in_flight", [1, 2])
async def test_an_item_that_comes_right_after_an_answer_is_sent(in_flight: int) -> None:
    """The sender of that answer has not quite ended then, and counts as a call under way."""
    calls = Calls(calls_in_flight=in_flight)

    async def one_after_the_other() -> list[int]:
        return [await calls.coalescer.submit(item) for item in range(5)]

    async with asyncio.timeout(5):
        first, second = await asyncio.gather(one_after_the_other(), one_after_the_other())
    assert first == second == list(range(5))


async def test_an_answer_that_is_an_exception_is_raised_for_its_caller_alone() -> None:
    calls = Calls()
    calls.refuse_odd = True
    assert await outcomes(calls.submit(0, 1, 2, 3)) == [0, ValueError, 2, ValueError]
    assert calls.failures == []


async def test_a_cancelled_caller_disturbs_nobody_and_its_item_is_sent() -> None:
    calls = Calls(calls_in_flight=1)
    calls.gate.clear()
    callers = calls.submit(0, 1)
    await settle()
    callers += calls.submit(2, 3)
    await settle()
    callers[0].cancel()
    callers[2].cancel()
    calls.gate.set()
    assert await outcomes(callers) == [asyncio.CancelledError, 1, asyncio.CancelledError, 3]
    assert calls.made == [[0, 1], [2, 3]]


async def test_a_call_that_fails_gives_each_of_its_callers_an_exception_of_its_own() -> None:
    calls = Calls(calls_in_flight=1)
    error = OSError("broken")
    calls.errors.append(error)
    found = await asyncio.gather(*calls.submit(0, 1), return_exceptions=True)
    assert [type(error) for error in found] == [Failed] * 2
    assert found[0] is not found[1]
    assert calls.failures == [error] * 2


async def test_items_behind_a_call_that_fails_are_sent_with_the_next() -> None:
    calls = Calls(calls_in_flight=1)
    calls.gate.clear()
    calls.errors.append(OSError("broken"))
    callers = calls.submit(0)
    await settle()
    callers += calls.submit(1)
    await settle()
    calls.gate.set()
    assert await outcomes(callers) == [Failed, 1]


async def test_unless_the_call_fails_them_too() -> None:
    calls = Calls(calls_in_flight=1)
    calls.gate.clear()
    calls.errors.append(OSError("broken"))
    calls.fail_waiting = True
    callers = calls.submit(0)
    await settle()
    callers += calls.submit(1)
    await settle()
    calls.gate.set()
    assert await outcomes(callers) == [Failed] * 2
    assert calls.made == [[0]]
    assert await outcomes(calls.submit(2)) == [2]


async def test_too_few_answers_leave_nobody_waiting() -> None:
    async def send(items: list[int]) -> list[int]:
        return items[:1]

    coalescer = Coalescer(send, lambda error: Failed(), batch_size=10, calls_in_flight=1)
    assert await outcomes([asyncio.create_task(coalescer.submit(item)) for item in range(2)]) == [0, Failed]


@pytest.mark.parametrize("steps", range(4))
async def test_a_call_that_is_cancelled_leaves_nobody_waiting(steps: int) -> None:
    """Neither its own callers, nor those that wait for the next call; whether it had begun or not."""
    calls = Calls(calls_in_flight=1)
    calls.gate.clear()
    callers = calls.submit(0)
    for _ in range(steps):
        await asyncio.sleep(0)
    callers += calls.submit(1)
    await asyncio.sleep(0)
    for sender in list(calls.coalescer._senders):
        sender.cancel()
    assert await outcomes(callers) == [Failed] * 2
    assert {type(error) for error in calls.failures} == {asyncio.CancelledError}
    calls.gate.set()
    assert await outcomes(calls.submit(2)) == [2]


async def test_closing_waits_for_what_was_asked_for_and_refuses_what_comes_later() -> None:
    calls = Calls(calls_in_flight=1)
    calls.gate.clear()
    callers = calls.submit(0)
    await settle()
    callers += calls.submit(1)
    await settle()
    closing = asyncio.create_task(calls.coalescer.close())
    await settle()
    assert not closing.done()
    callers += calls.submit(2)
    await settle()
    calls.gate.set()
    await closing
    assert await outcomes(callers) == [0, 1, Failed]
    assert [type(error) for error in calls.failures] == [Closed]
    assert calls.made == [[0], [1]]


async def test_closing_one_that_was_never_used_returns_at_once() -> None:
    async with asyncio.timeout(5):
        await Calls().coalescer.close()
