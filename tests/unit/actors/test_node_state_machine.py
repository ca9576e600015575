"""A StateMachine that does not answer costs its callers a few seconds in all, not each attempt its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from ray.exceptions import RayActorError

from actors import node_state_machine
from actors.channel import ANSWER_SECONDS
from actors.contracts import SUPERVISOR
from actors.node_state_machine import ATTEMPTS, NodeStateMachine
from parlor.errors import Overloaded
from parlor.ids import RoomId
from parlor.model import StateReport
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit

ROOM = RoomId("room")


class _Method:
    def __init__(self, answer: Callable[..., Awaitable[object]]) -> None:
        self.remote = answer


class _Machine:
    """Answers as ``answer`` does; counts how often it is asked."""

    def __init__(self, answer: Callable[[int], Awaitable[bytes]]) -> None:
        self.asked = 0
        self._answer = answer
        self.get_room_state = _Method(self._get)

    async def _get(self, _room: RoomId) -> bytes:
        self.asked += 1
        return await self._answer(self.asked)


class _Supervisor:
    def __init__(self) -> None:
        self.state_machine_for = _Method(self._name)

    async def _name(self, _node: str) -> str:
        return "machine"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Callable[[_Machine], None]:
    def put(machine: _Machine) -> None:
        async def find(name: str, _namespace: str) -> object:
            return _Supervisor() if name == SUPERVISOR else machine

        monkeypatch.setattr(node_state_machine, "find_actor", find)
        monkeypatch.setattr(node_state_machine, "this_node", lambda: "node")

    return put


async def test_a_machine_that_stands_still_is_given_up_once(
    place: Callable[[_Machine], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_number: int) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    machine = _Machine(never)
    place(machine)
    monkeypatch.setattr(node_state_machine, "CALL_SECONDS", 0.05)
    with pytest.raises(Overloaded):
        await NodeStateMachine("ns").get_room_state(ROOM)
    assert machine.asked == 1


async def test_one_that_stands_still_is_tried_by_one_caller_at_a_time(
    place: Callable[[_Machine], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = asyncio.Event()

    async def later(_number: int) -> bytes:
        await goes_on.wait()
        return msgspec.msgpack.encode((StateReport("ACTIVE", []), None))

    machine = _Machine(later)
    place(machine)
    machines = NodeStateMachine("ns")
    with monkeypatch.context() as patched:
        patched.setattr(node_state_machine, "CALL_SECONDS", 0.02)
        asked = [machines.get_room_state(ROOM) for _ in range(3)]
        refused = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in refused] == [Overloaded] * 3
    assert machine.asked == 3, "nobody knew yet"
    trying = asyncio.create_task(machines.get_room_state(ROOM))
    await settle()
    with pytest.raises(Overloaded):
        await machines.get_room_state(ROOM)
    assert machine.asked == 4
    goes_on.set()
    assert (await trying).state == "ACTIVE"
    found = await asyncio.gather(*(machines.get_room_state(ROOM) for _ in range(3)))
    assert [report.state for report in found] == ["ACTIVE"] * 3


async def test_a_machine_that_died_is_asked_again(place: Callable[[_Machine], None]) -> None:
    async def second_time(number: int) -> bytes:
        if number == 1:
            raise RayActorError
        return msgspec.msgpack.encode((StateReport("ACTIVE", []), None))

    machine = _Machine(second_time)
    place(machine)
    assert (await NodeStateMachine("ns").get_room_state(ROOM)).state == "ACTIVE"
    assert machine.asked == 2


async def test_a_machine_that_stays_dead_is_overloaded(place: Callable[[_Machine], None]) -> None:
    async def dead(_number: int) -> bytes:
        raise RayActorError

    machine = _Machine(dead)
    place(machine)
    with pytest.raises(Overloaded):
        await NodeStateMachine("ns").get_room_state(ROOM)
    assert machine.asked == ATTEMPTS


def test_a_room_does_not_wait_for_it_longer_than_callers_wait_for_the_room() -> None:
    assert node_state_machine.ROOM_SECONDS < ANSWER_SECONDS
