"""replay_dead and drop_dead: a parked operation goes back into line, or is given up (I6)."""

from __future__ import annotations

import pytest

from parlor.cache.letters import DeadLetter, LetterCache
from parlor.cache.live import RoomAddress
from parlor.errors import Overloaded
from parlor.states import MessageState
from tests.contract.cache.test_deletes import delete
from tests.contract.cache.world import LEASE, World

pytestmark = pytest.mark.contract


async def parked(world: World, address: RoomAddress, *seqs: int) -> list[DeadLetter]:
    """Everything of the room is stored but for the saves of these places, which are dead letters."""
    mine = [entry for entry in await world.queued() if entry.address.room_id == address.room_id]
    await world.begin(address, mine)
    for entry in mine:
        if entry.seq in seqs and entry.op == "CHAT_MESSAGE_SAVE":
            await world.queue.park(LEASE, entry, "row-refused: no")
    await world.finish(address, [entry for entry in mine if entry.seq not in seqs])
    return await LetterCache(world.live).letters(world.partition)


async def test_letters_tell_what_was_parked_and_why(world: World) -> None:
    address = await world.claimed()
    ids = await world.sent(address, 2)
    (letter,) = await parked(world, address, 2)
    assert (letter.entry.op, letter.entry.seq, letter.entry.message_id) == ("CHAT_MESSAGE_SAVE", 2, ids[1])
    assert letter.entry.address == address
    assert (letter.reason, letter.parked_at) == ("row-refused: no", world.clock.now)
    assert letter.letter_id == f"{world.partition}:{letter.place}"


async def test_a_replayed_letter_is_the_last_in_line_and_counts_once(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 2)
    (letter,) = await parked(world, address, 1)
    await world.send(address, 2, reply=False)
    pending = (await world.hash("room", address))[b"pending"]
    assert await LetterCache(world.live).replay(letter)
    third, again = await world.queued()
    assert (third.seq, again.seq) == (3, 1)
    assert again.position > third.position > letter.entry.position
    assert again.doc == letter.entry.doc
    assert await LetterCache(world.live).letters(world.partition) == []
    assert (await world.hash("room", address))[b"pending"] == pending == b"2"


async def test_a_replayed_save_tells_the_counters_of_today(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 2)
    (letter,) = await parked(world, address, 1)
    world.clock.now += 5000
    await world.send(address, 2, reply=False)
    await delete(world, address, 2)
    await LetterCache(world.live).replay(letter)
    again = (await world.queued())[-1]
    assert (again.seq, again.last_seq, again.count) == (1, 3, 2)
    assert again.active == world.clock.now


async def test_a_replayed_save_that_is_committed_moves_the_watermark(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 3)
    (letter,) = await parked(world, address, 1)
    assert (await world.room(address)).room.persisted_seq == 0
    await LetterCache(world.live).replay(letter)
    await world.stored(address)
    assert (await world.room(address)).room.persisted_seq == 3
    assert await world.state(address, 1) is MessageState.SENT
    dumped = await world.dump()
    assert all(dumped[world.key(name, address)][1] for name in ("room", "states", "messages"))


async def test_a_replayed_create_is_followed_by_the_rooms_counters(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 2)
    create, *saves = await world.queued()
    await world.begin(address, [create, *saves])
    await world.queue.park(LEASE, create, "row-refused: title")
    await world.finish(address, saves)
    (letter,) = await LetterCache(world.live).letters(world.partition)
    await LetterCache(world.live).replay(letter)
    again, counters = await world.queued()
    assert (again.op, again.title) == ("CHAT_ROOM_CREATE", "A room")
    assert (counters.seq, counters.last_seq, counters.count, counters.final) == (2, 2, 2, False)
    assert (await world.hash("room", address))[b"pending"] == b"2"
    await world.stored(address)
    assert await world.state(address, 2) is MessageState.SENT
    assert (await world.room(address)).room.state == "ACTIVE"
    assert (await world.hash("room", address))[b"pending"] == b"0"


async def test_a_full_queue_refuses_a_replay(world: World) -> None:
    world.live.twice = False
    address = await world.claimed()
    await world.sent(address, 1)
    (letter,) = await parked(world, address, 1)
    for after in range(1, 501):
        await world.send(address, after, reply=False)
    with pytest.raises(Overloaded):
        await LetterCache(world.live).replay(letter)
    assert await LetterCache(world.live).letters(world.partition) == [letter]


async def test_a_letter_that_is_gone_is_not_replayed(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 1)
    (letter,) = await parked(world, address, 1)
    letters = LetterCache(world.live)
    assert await letters.drop(letter)
    before = await world.dump()
    assert not await letters.replay(letter)
    assert not await letters.drop(letter)
    assert await world.dump() == before


async def test_a_dropped_letter_does_not_hold_its_room(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 1)
    (letter,) = await parked(world, address, 1)
    dumped = await world.dump()
    names = ("room", "states", "messages", "account", "rooms")
    assert not any(dumped[world.key(name, address)][1] for name in names)
    assert await LetterCache(world.live).drop(letter)
    dumped = await world.dump()
    assert all(dumped[world.key(name, address)][1] for name in names)
    assert (await world.hash("room", address))[b"pending"] == b"0"


async def test_a_dropped_letter_leaves_what_else_is_under_way(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 1)
    (letter,) = await parked(world, address, 1)
    await world.send(address, 1)
    await LetterCache(world.live).drop(letter)
    assert (await world.hash("room", address))[b"pending"] == b"2"
    assert not (await world.dump())[world.key("room", address)][1]


async def test_a_letter_of_a_room_that_redis_forgot_makes_no_room(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 1)
    (letter,) = await parked(world, address, 1)
    await world.forget(address.room_id)
    await LetterCache(world.live).replay(letter)
    assert not await world.redis.exists(world.key("room", address))
    (again,) = await world.queued()
    await world.queue.park(LEASE, again, "again")
    (letter,) = await LetterCache(world.live).letters(world.partition)
    await LetterCache(world.live).drop(letter)
    assert not await world.redis.exists(world.key("room", address))
