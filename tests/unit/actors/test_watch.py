"""The Supervisor is watched too."""

from __future__ import annotations

import asyncio

import pytest

from actors import watch
from actors.contracts import SUPERVISOR
from actors.handles import Handle
from actors.roll_call import HUNG_SECONDS, PAUSE_SECONDS
from tests.unit.actors.cluster import Method
from tests.unit.clockwork import FakeClock, settle

pytestmark = pytest.mark.unit


class _Supervisor:
    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.missing = Method(self._missing)

    async def _missing(self) -> list[str]:
        await self.goes_on.wait()
        return ["the StateMachine has not started"]


async def test_a_supervisor_that_stands_still_is_started_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, clock, restarted = _Supervisor(), FakeClock(), list[Handle]()

    async def find(name: str, namespace: str) -> object:
        assert (name, namespace) == (SUPERVISOR, "ns")
        return supervisor

    async def in_this_thread(call: object, handle: Handle) -> None:
        assert call == restarted.append
        restarted.append(handle)

    monkeypatch.setattr(watch, "find_actor", find)
    # A thread would go on beside the test's own time.
    monkeypatch.setattr(asyncio, "to_thread", in_this_thread)
    watching = asyncio.create_task(watch.watch_supervisor("ns", clock, restarted.append))
    await clock.advance(3 * HUNG_SECONDS)
    assert restarted == [], "whatever is missing, it answers"
    for times in (1, 2):
        supervisor.goes_on.clear()
        await clock.advance(PAUSE_SECONDS + 3 * HUNG_SECONDS)
        assert restarted == [supervisor] * times
        supervisor.goes_on.set()
        await settle()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert watching.cancelled()
