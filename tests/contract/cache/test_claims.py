"""claim_room, release_room, and the fence of every script that changes a room on its owner's behalf (I3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.rooms import Appended
from parlor.errors import Fenced, OutOfStep, ParlorError, PartitionUnknown, RoomNotFound
from tests.contract.cache.world import World

pytestmark = pytest.mark.contract

Change = Callable[[World, RoomAddress, str, Appended], Awaitable[object]]


async def _append(world: World, address: RoomAddress, claim: str, turn: Appended) -> object:
    return await world.rooms.append(address, claim, turn.seq + 1, world.turn())


async def _start(world: World, address: RoomAddress, claim: str, turn: Appended) -> None:
    assert turn.reply_id is not None
    await world.rooms.start_attempt(address, claim, turn.reply_id, turn.seq + 1, 2)


async def _delta(world: World, address: RoomAddress, claim: str, turn: Appended) -> None:
    assert turn.reply_id is not None
    await world.rooms.append_delta(address, claim, turn.reply_id, 1, 0, "x")


async def _renew(world: World, address: RoomAddress, claim: str, turn: Appended) -> None:
    await world.rooms.renew_reply(address, claim)


async def _complete(world: World, address: RoomAddress, claim: str, turn: Appended) -> None:
    await world.rooms.complete_reply(address, claim, turn.seq + 1, world.ending(turn), "message.completed")


async def _rename(world: World, address: RoomAddress, claim: str, turn: Appended) -> None:
    await world.rooms.rename(address, claim, "Another")


async def _delete_room(world: World, address: RoomAddress, claim: str, turn: Appended) -> None:
    await world.rooms.delete(address, claim, "account")


async def _delete_message(world: World, address: RoomAddress, claim: str, turn: Appended) -> object:
    doc = world.doc(message_id=turn.message_id)
    return await world.states.delete_message(address, claim, turn.seq, doc, stored=False, by="account")


CHANGES: dict[str, Change] = {
    "append_turn": _append,
    "start_attempt": _start,
    "append_delta": _delta,
    "renew_reply": _renew,
    "complete_reply": _complete,
    "rename_room": _rename,
    "delete_room": _delete_room,
    "delete_message": _delete_message,
}
changes = pytest.mark.parametrize("change", list(CHANGES))


async def refused(world: World, change: str, address: RoomAddress, claim: str, turn: Appended) -> type[ParlorError]:
    """The error of a change that must leave everything as it is."""
    before = await world.dump()
    with pytest.raises(ParlorError) as error:
        await CHANGES[change](world, address, claim, turn)
    assert await world.dump() == before
    return type(error.value)


@changes
async def test_a_second_claim_fences_the_first_owner(world: World, change: str) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.start(address, turn)
    await world.rooms.claim(address.room_id, "claim-2")
    assert await refused(world, change, address, "claim-1", turn) is Fenced
    await CHANGES[change](world, address, "claim-2", turn)


@changes
async def test_a_room_that_redis_does_not_have_has_to_be_loaded(world: World, change: str) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.forget(address.room_id)
    assert await refused(world, change, address, "claim-1", turn) is OutOfStep


@changes
async def test_an_unknown_partition_is_refused(world: World, change: str) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.redis.delete(world.keys.partition(world.partition))
    assert await refused(world, change, address, "claim-1", turn) is PartitionUnknown


@changes
@pytest.mark.parametrize("stored", [False, True])
async def test_a_deleted_room_takes_nothing(world: World, change: str, stored: bool) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.rooms.delete(address, "claim-1", "account")
    if stored:
        await world.stored(address)
    if change == "delete_room":
        before = await world.dump()
        await world.rooms.delete(address, "claim-1", "account")
        assert await world.dump() == before
    else:
        assert await refused(world, change, address, "claim-1", turn) is RoomNotFound


@pytest.mark.parametrize("change", ["delete_room", "delete_message"])
async def test_deletes_need_no_owner(world: World, change: str) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await CHANGES[change](world, address, "", turn)


async def test_a_claim_tells_what_the_owner_has_to_know(world: World) -> None:
    address = await world.created()
    claimed = await world.rooms.claim(address.room_id, "claim-1")
    assert claimed is not None
    assert (claimed.last_seq, claimed.account_id, claimed.account_db_key, claimed.persona) == (0, "ada", 7, "GPT4O")
    assert claimed.open_replies == []
    assert (claimed.live_message, claimed.live_attempt) == ("", 0)


async def test_a_claim_tells_which_replies_have_not_ended(world: World) -> None:
    address = await world.claimed()
    turns = [await world.send(address, after) for after in (0, 2, 4)]
    await world.start(address, turns[0])
    await world.complete(address, turns[0])
    live = await world.start(address, turns[1], attempt=3)
    claimed = await world.rooms.claim(address.room_id, "claim-2")
    assert claimed is not None
    assert claimed.open_replies == [(turns[1].reply_id, 1), (turns[2].reply_id, 1)]
    assert (claimed.live_message, claimed.live_attempt) == (live, 3)
    assert claimed.last_seq == 6


async def test_claiming_what_is_not_there(world: World) -> None:
    assert await world.rooms.claim(world.address().room_id, "claim-1") is None


async def test_claiming_in_an_unknown_partition(world: World) -> None:
    address = await world.created()
    await world.redis.delete(world.keys.partition(world.partition))
    with pytest.raises(PartitionUnknown):
        await world.rooms.claim(address.room_id, "claim-1")


async def test_a_deleted_room_is_not_claimed(world: World) -> None:
    address = await world.claimed()
    await world.rooms.delete(address, "claim-1", "account")
    with pytest.raises(RoomNotFound):
        await world.rooms.claim(address.room_id, "claim-2")


async def test_a_released_room_takes_nothing_from_its_last_owner(world: World) -> None:
    address = await world.claimed()
    await world.rooms.release(address, "claim-1")
    with pytest.raises(Fenced):
        await world.send(address, 0)


async def test_a_stale_owner_does_not_release_anothers_claim(world: World) -> None:
    address = await world.claimed()
    await world.rooms.claim(address.room_id, "claim-2")
    before = await world.dump()
    await world.rooms.release(address, "claim-1")
    assert await world.dump() == before
    await world.send(address, 0, claim="claim-2")


async def test_a_claim_with_nothing_to_finish_ends_the_rooms_listing_as_generating(world: World) -> None:
    address = await world.created()
    generating = world.keys.generating(world.partition)
    await world.redis.zadd(generating, {address.room_id: 1})
    await world.rooms.claim(address.room_id, "claim-1")
    assert await world.redis.zcard(generating) == 0


async def test_a_claim_keeps_a_room_with_open_replies_listed(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    await world.rooms.claim(address.room_id, "claim-2")
    assert await world.redis.zcard(world.keys.generating(world.partition)) == 1


async def number(world: World, address: RoomAddress, token: str, ticket: int | None) -> int:
    claimed = await world.rooms.claim(address.room_id, token, ticket)
    assert claimed is not None
    return claimed.number


async def test_a_claim_has_a_higher_number_than_those_before_it(world: World) -> None:
    address = await world.created()
    assert await world.reader.claims(address.room_id) == 0
    assert await number(world, address, "claim-1", 0) == 1
    assert await number(world, address, "claim-2", 1) == 2
    assert await number(world, address, "claim-3", None) == 3
    assert await world.reader.claims(address.room_id) == 3


async def test_a_claim_with_a_ticket_from_before_anothers_is_refused(world: World) -> None:
    address = await world.created()
    await number(world, address, "claim-2", 0)
    before = await world.dump()
    with pytest.raises(Fenced):
        await world.rooms.claim(address.room_id, "claim-1", 0)
    assert await world.dump() == before
    await world.rooms.release(address, "claim-2")
    with pytest.raises(Fenced):
        await world.rooms.claim(address.room_id, "claim-1", 0)


async def test_an_owners_claim_goes_above_a_ticket_that_has_seen_it(world: World) -> None:
    address = await world.created()
    assert await number(world, address, "claim-1", 0) == 1
    assert await number(world, address, "claim-1", 0) == 1
    assert await number(world, address, "claim-1", 1) == 2
    with pytest.raises(Fenced):
        await world.rooms.claim(address.room_id, "claim-2", 1)
    assert await number(world, address, "claim-1", None) == 2


async def test_the_numbers_of_a_room_that_redis_lost_go_on_with_its_owners(world: World) -> None:
    address = await world.created()
    for _ in range(3):
        last = await number(world, address, "claim-1", await world.reader.claims(address.room_id))
    await world.forget(address.room_id)
    await world.rooms.load(address, world.room_row(address), [], 0, 1)
    assert await world.reader.claims(address.room_id) == 0
    assert await number(world, address, "claim-1", last) == last + 1
