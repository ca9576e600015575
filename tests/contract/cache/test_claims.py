"""claim_room, release_room, and the fence of every script that changes a room on its owner's behalf (I3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from parlor.cache.changes import Appended, PartChange
from parlor.cache.live import RoomAddress
from parlor.cache.summaries import SummaryCache
from parlor.errors import Fenced, OutOfStep, ParlorError, PartitionUnknown, RoomNotFound, Uncounted
from parlor.model.budgets import Ask
from parlor.model.ids import Claim
from parlor.model.parts import ToolCallPart
from parlor.model.tools import ToolState
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, CLAIM_3, CacheFixtures, plain

pytestmark = pytest.mark.contract

Change = Callable[[CacheFixtures, RoomAddress, Claim, Appended], Awaitable[object]]


async def _append(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> object:
    return await fixtures.rooms.append(address, claim, turn.seq + 1, fixtures.turn())


async def _start(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    assert turn.reply_id is not None
    await fixtures.rooms.start_attempt(address, claim, turn.reply_id, turn.seq + 1, 2)


async def _delta(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    assert turn.reply_id is not None
    await fixtures.rooms.append_delta(address, claim, turn.reply_id, 1, plain(0, "x"))


async def _record(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    assert turn.reply_id is not None
    call = ToolCallPart("c", "t", "T", "{}", "sha256:0", ToolState.APPROVED)
    await fixtures.calls.record(address, claim, turn.reply_id, turn.seq + 1, 1, PartChange(1, 0, call, (call,)))


async def _reserve(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    assert turn.reply_id is not None
    with suppress(Uncounted):  # Nothing is counted here; the claim is checked first.
        await fixtures.rooms.reserve_step(address, claim, turn.reply_id, 1, Ask(1, 1, 0, 0))


async def _renew(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    await fixtures.rooms.renew_reply(address, claim)


async def _complete(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    await fixtures.rooms.complete_reply(address, claim, turn.seq + 1, fixtures.ending(turn), "message.completed")


async def _rename(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    await fixtures.rooms.update(address, claim, "Another", None)


async def _give_title(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    await SummaryCache(fixtures.live).give_title(address, claim, 0, "Tea")


async def _delete_room(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> None:
    await fixtures.rooms.delete(address, claim, "account")


async def _delete_message(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, turn: Appended) -> object:
    doc = fixtures.doc(message_id=turn.message_id)
    return await fixtures.states.delete_message(address, claim, turn.seq, doc, stored=False, by="account")


CHANGES: dict[str, Change] = {
    "append_turn": _append,
    "start_attempt": _start,
    "append_delta": _delta,
    "record_part": _record,
    "reserve_step": _reserve,
    "renew_reply": _renew,
    "complete_reply": _complete,
    "update_room": _rename,
    "give_title": _give_title,
    "delete_room": _delete_room,
    "delete_message": _delete_message,
}
changes = pytest.mark.parametrize("change", list(CHANGES))


async def refused(
    fixtures: CacheFixtures, change: str, address: RoomAddress, claim: Claim, turn: Appended
) -> type[ParlorError]:
    """The error of a change that must leave everything as it is."""
    before = await fixtures.dump()
    with pytest.raises(ParlorError) as error:
        await CHANGES[change](fixtures, address, claim, turn)
    assert await fixtures.dump() == before
    return type(error.value)


@changes
async def test_a_second_claim_fences_the_first_owner(fixtures: CacheFixtures, change: str) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    await fixtures.claim(address.room_id, CLAIM_2)
    assert await refused(fixtures, change, address, CLAIM_1, turn) is Fenced
    await CHANGES[change](fixtures, address, CLAIM_2, turn)


@changes
async def test_a_room_that_redis_does_not_have_has_to_be_loaded(fixtures: CacheFixtures, change: str) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.forget(address.room_id)
    assert await refused(fixtures, change, address, CLAIM_1, turn) is OutOfStep


@changes
async def test_an_unknown_partition_is_refused(fixtures: CacheFixtures, change: str) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    assert await refused(fixtures, change, address, CLAIM_1, turn) is PartitionUnknown


@changes
@pytest.mark.parametrize("stored", [False, True])
async def test_a_deleted_room_takes_nothing(fixtures: CacheFixtures, change: str, stored: bool) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    if stored:
        await fixtures.stored(address)
    if change == "delete_room":
        before = await fixtures.dump()
        await fixtures.rooms.delete(address, CLAIM_1, "account")
        assert await fixtures.dump() == before
    else:
        assert await refused(fixtures, change, address, CLAIM_1, turn) is RoomNotFound


async def test_a_claim_tells_what_the_owner_has_to_know(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    claimed = await fixtures.claim(address.room_id, CLAIM_1)
    assert claimed is not None
    assert (claimed.last_seq, claimed.account_id, claimed.account_db_key, claimed.persona) == (0, "ada", 7, "GPT4O")
    assert claimed.open_replies == []
    assert (claimed.live_message, claimed.live_attempt) == ("", 0)


async def test_a_claim_tells_which_replies_have_not_ended(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turns = [await fixtures.send(address, after) for after in (0, 2, 4)]
    await fixtures.start(address, turns[0])
    await fixtures.complete(address, turns[0])
    live = await fixtures.start(address, turns[1], attempt=3)
    claimed = await fixtures.claim(address.room_id, CLAIM_2)
    assert claimed is not None
    assert claimed.open_replies == [turns[1].reply_id, turns[2].reply_id]
    assert (claimed.live_message, claimed.live_attempt) == (live, 3)
    assert claimed.last_seq == 6


async def test_claiming_what_is_not_there(fixtures: CacheFixtures) -> None:
    assert await fixtures.claim(fixtures.address().room_id, CLAIM_1) is None


async def test_claiming_in_an_unknown_partition(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    with pytest.raises(PartitionUnknown):
        await fixtures.claim(address.room_id, CLAIM_1)


async def test_a_deleted_room_is_not_claimed(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    with pytest.raises(RoomNotFound):
        await fixtures.claim(address.room_id, CLAIM_2)


async def test_a_released_room_takes_nothing_from_its_last_owner(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.release(address, CLAIM_1)
    with pytest.raises(Fenced):
        await fixtures.send(address, 0)


async def test_a_stale_owner_does_not_release_anothers_claim(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.claim(address.room_id, CLAIM_2)
    before = await fixtures.dump()
    await fixtures.rooms.release(address, CLAIM_1)
    assert await fixtures.dump() == before
    await fixtures.send(address, 0, claim=CLAIM_2)


async def test_a_claim_with_nothing_to_finish_ends_the_rooms_listing_as_generating(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    generating = fixtures.keys.generating(fixtures.partition)
    await fixtures.redis.zadd(generating, {address.room_id: 1})
    await fixtures.claim(address.room_id, CLAIM_1)
    assert await fixtures.redis.zcard(generating) == 0


async def test_a_claim_keeps_a_room_with_open_replies_listed(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    await fixtures.claim(address.room_id, CLAIM_2)
    assert await fixtures.redis.zcard(fixtures.keys.generating(fixtures.partition)) == 1


async def number(fixtures: CacheFixtures, address: RoomAddress, claim: Claim, ticket: int) -> int:
    claimed = await fixtures.rooms.claim(address.room_id, claim, ticket)
    assert claimed is not None
    return claimed.number


async def test_a_claim_has_a_higher_number_than_those_before_it(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    assert await fixtures.reader.claims(address.room_id) == 0
    assert await number(fixtures, address, CLAIM_1, 0) == 1
    assert await number(fixtures, address, CLAIM_2, 1) == 2
    assert await number(fixtures, address, CLAIM_3, 2) == 3
    assert await fixtures.reader.claims(address.room_id) == 3


async def test_a_claim_with_a_ticket_from_before_anothers_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    await number(fixtures, address, CLAIM_2, 0)
    before = await fixtures.dump()
    with pytest.raises(Fenced):
        await fixtures.rooms.claim(address.room_id, CLAIM_1, 0)
    assert await fixtures.dump() == before
    await fixtures.rooms.release(address, CLAIM_2)
    with pytest.raises(Fenced):
        await fixtures.rooms.claim(address.room_id, CLAIM_1, 0)


async def test_an_owners_claim_goes_above_a_ticket_that_has_seen_it(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    assert await number(fixtures, address, CLAIM_1, 0) == 1
    assert await number(fixtures, address, CLAIM_1, 0) == 1
    assert await number(fixtures, address, CLAIM_1, 1) == 2
    with pytest.raises(Fenced):
        await fixtures.rooms.claim(address.room_id, CLAIM_2, 1)
    assert await number(fixtures, address, CLAIM_1, 1) == 2


async def test_the_numbers_of_a_room_that_redis_lost_go_on_with_its_owners(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    for _ in range(3):
        last = await number(fixtures, address, CLAIM_1, await fixtures.reader.claims(address.room_id))
    await fixtures.forget(address.room_id)
    await fixtures.rooms.load(address, fixtures.room_row(address), [], 0, 1)
    assert await fixtures.reader.claims(address.room_id) == 0
    assert await number(fixtures, address, CLAIM_1, last) == last + 1
