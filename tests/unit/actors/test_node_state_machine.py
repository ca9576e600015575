"""The node's StateMachine through its client: every method arrives, and one that does not answer costs its callers a
few seconds in all, not each attempt its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from ray.exceptions import RayActorError

from actors import node_state_machine
from actors.contracts import SUPERVISOR
from actors.node_state_machine import ATTEMPTS, NodeStateMachine
from parlor.cache.live import RoomAddress
from parlor.errors import IllegalTransition, MessageNotFound, Overloaded, RoomNotFound
from parlor.model.ids import RoomId
from parlor.model.requests import DeleteOutcome, StateReport
from parlor.model.states import MessageState, RoomState
from tests.unit.actors.cluster import Cluster
from tests.unit.domain import HOME, Domain
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


async def test_a_machine_that_hangs_is_given_up_once(
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


async def test_only_one_caller_at_a_time_tries_a_machine_that_hangs(
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


# Every method, against an actor on the domain's state machine


@pytest.fixture
def machines(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> NodeStateMachine:
    Cluster(domain, monkeypatch)
    return NodeStateMachine("ns")


def address_of(domain: Domain, room_id: RoomId) -> RoomAddress:
    return RoomAddress(room_id, domain.ada.account_id, domain.ada.account_db_key)


async def test_a_room_is_created_in_a_partition_that_nobody_opened_before(
    domain: Domain, machines: NodeStateMachine
) -> None:
    address = address_of(domain, domain.mint.room_id(HOME))
    await machines.create_room(address, "A title", "GPT4O", by="account")
    await machines.create_room(address, "A title", "GPT4O", by="account")
    report = await machines.get_room_state(address.room_id)
    assert (report.state, [step.by for step in report.log]) == (RoomState.PENDING, ["account"])


async def test_steps_of_a_room_are_taken_or_refused(domain: Domain, machines: NodeStateMachine) -> None:
    room_id = await domain.new_room()
    assert await machines.transition_room(room_id, RoomState.PROCESSING, by="operator") is RoomState.PROCESSING
    with pytest.raises(IllegalTransition) as refused:
        await machines.transition_room(room_id, RoomState.CREATING, by="operator")
    assert refused.value.extra == {"from": "PROCESSING", "to": "CREATING"}
    with pytest.raises(IllegalTransition):
        await machines.transition_room(room_id, RoomState.ACTIVE, expected=RoomState.PENDING, by="operator")
    assert (await machines.get_room_state(room_id)).log[-1].by == "operator"
    with pytest.raises(RoomNotFound):
        await machines.transition_room(domain.mint.room_id(HOME), RoomState.ACTIVE, by="operator")


async def test_steps_of_a_message_are_taken_or_refused(domain: Domain, machines: NodeStateMachine) -> None:
    room = await domain.opened()
    message = await domain.say(room, "Hello")
    room_id, message_id = room.room_id, message.message_id
    step = MessageState.PROCESSING
    assert await machines.transition_message(room_id, message_id, step, expected=MessageState.PENDING, by="x") is step
    with pytest.raises(IllegalTransition) as refused:
        await machines.transition_message(room_id, message_id, MessageState.COMPOSING, by="x")
    assert refused.value.extra == {"from": "PROCESSING", "to": "COMPOSING"}
    assert (await machines.get_message_state(room_id, message_id)).state == MessageState.PROCESSING
    with pytest.raises(MessageNotFound):
        await machines.transition_message(room_id, domain.mint.message_id(HOME), step, by="x")


async def test_a_message_is_deleted_without_owning_its_room(domain: Domain, machines: NodeStateMachine) -> None:
    room = await domain.opened()
    message = await domain.say(room, "Hello")
    address = address_of(domain, room.room_id)
    assert (await machines.smart_delete_message(address, message.message_id, by="x")).outcome is DeleteOutcome.CANCELLED
    again = await machines.smart_delete_message(address, message.message_id, by="x")
    assert again.outcome is DeleteOutcome.ALREADY_DELETED
    assert await domain.texts(room.room_id) == [(1, "")]
    assert (await domain.say(room, "The owner goes on")).seq == 2
    with pytest.raises(MessageNotFound):
        await machines.smart_delete_message(address, domain.mint.message_id(HOME), by="x")
