"""Once: work that several callers wait for is done once."""

from __future__ import annotations

import asyncio

import pytest

from actors.once import Once
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit


class Work:
    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.fails = False

    async def do(self) -> int:
        self.begun += 1
        await self.gate.wait()
        if self.fails:
            raise OSError("broken")
        return self.begun


async def test_all_callers_get_the_result_of_one_run() -> None:
    work = Work()
    once = Once(work.do)
    callers = [asyncio.create_task(once()) for _ in range(3)]
    await settle()
    assert once.result is None
    work.gate.set()
    assert await asyncio.gather(*callers, once()) == [1, 1, 1, 1]
    assert once.result == 1


async def test_a_cancelled_caller_does_not_end_it() -> None:
    work = Work()
    once = Once(work.do)
    leaving, staying = asyncio.create_task(once()), asyncio.create_task(once())
    await settle()
    leaving.cancel()
    work.gate.set()
    assert await staying == 1
    assert leaving.cancelled()


async def test_after_a_failure_the_next_caller_begins_anew() -> None:
    work = Work()
    once = Once(work.do)
    work.gate.set()
    work.fails = True
    failed = await asyncio.gather(once(), once(), return_exceptions=True)
    assert [type(error) for error in failed] == [OSError] * 2
    assert (work.begun, once.result) == (1, None)
    work.fails = False
    assert await once() == 2
