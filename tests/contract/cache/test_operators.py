"""What changes a room without owning it: it takes no claim, and changes only rooms that are here and alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from parlor.cache.changes import Appended
from parlor.cache.live import RoomAddress
from parlor.cache.loader import all_names, load
from parlor.errors import IllegalTransition, MessageNotFound, OutOfStep, ParlorError, PartitionUnknown, RoomNotFound
from parlor.model.requests import DeleteOutcome
from parlor.model.states import MessageState, RoomState
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures, plain

pytestmark = pytest.mark.contract

Change = Callable[[CacheFixtures, RoomAddress, Appended], Awaitable[object]]


async def _delete_message(fixtures: CacheFixtures, address: RoomAddress, turn: Appended) -> object:
    doc = fixtures.doc(message_id=turn.message_id)
    return await fixtures.operators.delete_message(address, turn.seq, doc, stored=False, by="operator")


async def _delete_room(fixtures: CacheFixtures, address: RoomAddress, turn: Appended) -> None:
    await fixtures.operators.delete_room(address, "operator")


async def _update_room(fixtures: CacheFixtures, address: RoomAddress, turn: Appended) -> None:
    await fixtures.operators.update_room(address, "Another", "BRIEF")


CHANGES: dict[str, Change] = {
    "operator_delete_message": _delete_message,
    "operator_delete_room": _delete_room,
    "operator_update_room": _update_room,
}
changes = pytest.mark.parametrize("change", list(CHANGES))


async def refused(fixtures: CacheFixtures, change: str, address: RoomAddress, turn: Appended) -> type[ParlorError]:
    """The error of a change that must leave everything as it is."""
    before = await fixtures.dump()
    with pytest.raises(ParlorError) as error:
        await CHANGES[change](fixtures, address, turn)
    assert await fixtures.dump() == before
    return type(error.value)


def test_every_operators_script_is_tried_here_and_takes_no_claim() -> None:
    assert {name for name in all_names() if name.startswith("operator_")} == set(CHANGES)
    assert not any("claim" in load(name).arguments for name in CHANGES)


@changes
async def test_an_operator_need_not_own_the_room(fixtures: CacheFixtures, change: str) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    before = await fixtures.dump()
    await CHANGES[change](fixtures, address, turn)
    assert await fixtures.dump() != before


@changes
async def test_a_room_that_redis_does_not_have_has_to_be_loaded(fixtures: CacheFixtures, change: str) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.forget(address.room_id)
    assert await refused(fixtures, change, address, turn) is OutOfStep


@changes
async def test_an_unknown_partition_is_refused(fixtures: CacheFixtures, change: str) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    assert await refused(fixtures, change, address, turn) is PartitionUnknown


@changes
async def test_a_deleted_room_takes_nothing(fixtures: CacheFixtures, change: str) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    if change == "operator_delete_room":
        before = await fixtures.dump()
        await CHANGES[change](fixtures, address, turn)
        assert await fixtures.dump() == before
    else:
        assert await refused(fixtures, change, address, turn) is RoomNotFound


async def test_the_owner_goes_on_after_an_operators_delete_of_a_message(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    reply = await fixtures.start(address, turn)
    doc = fixtures.doc(message_id=reply)
    deleted = await fixtures.operators.delete_message(address, turn.seq + 1, doc, stored=False, by="operator")
    assert (deleted.outcome, deleted.state) == (DeleteOutcome.STOPPED_AND_DELETED, MessageState.DELETED)
    with pytest.raises(IllegalTransition):
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "late"))
    assert (await fixtures.send(address, turn.seq + 1)).seq == 3


async def test_a_message_that_is_nowhere_is_not_deleted(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    with pytest.raises(MessageNotFound):
        await fixtures.operators.delete_message(address, 1, fixtures.doc(), stored=False, by="operator")


async def test_an_operators_steps_are_logged_as_such(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await _delete_message(fixtures, address, turn)
    found = await fixtures.states.message_state(address.room_id, turn.seq)
    assert found is not None
    assert found[1][-1].by == "operator"
    await fixtures.operators.delete_room(address, "operator")
    room = await fixtures.states.room_state(address.room_id)
    assert room is not None
    assert (room[0], room[1][-1].by) == (RoomState.DELETING, "operator")


async def test_an_operators_title_is_here_and_queued(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.operators.update_room(address, "Another", "BRIEF")
    assert (await fixtures.room(address)).room.title == "Another"
    entry = (await fixtures.queued())[-1]
    assert (entry.op, entry.title, entry.version) == ("CHAT_ROOM_UPDATE", "Another", 2)
