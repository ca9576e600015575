"""The Supervisor is watched too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from ray.exceptions import RayActorError

from actors import watch
from actors.contracts import SUPERVISOR
from actors.handles import Handle
from actors.liveness import HUNG_SECONDS, PAUSE_SECONDS
from tests.unit.actors.cluster import Method
from tests.unit.fake_clock import FakeClock, settle

pytestmark = pytest.mark.unit


class _Supervisor:
    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.dead = False
        self.missing = Method(self._missing)

    async def _missing(self) -> list[str]:
        if self.dead:
            raise RayActorError
        await self.goes_on.wait()
        return ["the StateMachine has not started"]


class _Watching:
    """The Supervisor is whoever ``supervisor`` is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.supervisor = _Supervisor()
        self.clock = FakeClock()
        self.restarted: list[Handle] = []

        async def find(name: str, namespace: str) -> object:
            assert (name, namespace) == (SUPERVISOR, "ns")
            return self.supervisor

        async def in_this_thread(call: object, handle: Handle) -> None:
            assert call == self.restarted.append
            self.restarted.append(handle)

        monkeypatch.setattr(watch, "find_actor", find)
        # A thread would go on beside the test's own time.
        monkeypatch.setattr(asyncio, "to_thread", in_this_thread)
        self.task = asyncio.create_task(watch.watch_supervisor("ns", self.clock, self.restarted.append))


@pytest.fixture
async def watching(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Watching]:
    found = _Watching(monkeypatch)
    yield found
    found.task.cancel()
    await asyncio.gather(found.task, return_exceptions=True)
    assert found.task.cancelled()


async def test_a_supervisor_that_hangs_is_restarted_once(watching: _Watching) -> None:
    supervisor = watching.supervisor
    await watching.clock.advance(3 * HUNG_SECONDS)
    assert watching.restarted == [], "whatever is missing, it answers"
    for times in (1, 2):
        supervisor.goes_on.clear()
        await watching.clock.advance(PAUSE_SECONDS + 3 * HUNG_SECONDS)
        assert watching.restarted == [supervisor] * times
        supervisor.goes_on.set()
        await settle()


async def test_the_next_supervisor_is_watched_too(watching: _Watching) -> None:
    await watching.clock.advance(PAUSE_SECONDS)
    watching.supervisor.dead = True
    await watching.clock.advance(HUNG_SECONDS)
    assert watching.restarted == [], "Ray sees to the dead"
    watching.supervisor = _Supervisor()
    await watching.clock.advance(PAUSE_SECONDS)
    watching.supervisor.goes_on.clear()
    await watching.clock.advance(PAUSE_SECONDS + 2 * HUNG_SECONDS)
    assert watching.restarted == [watching.supervisor]
