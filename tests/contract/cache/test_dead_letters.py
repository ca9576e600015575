"""replay_dead and drop_dead: a parked operation goes back into line, or is given up (I6)."""

from __future__ import annotations

import pytest

from parlor.cache.dead_letters import DeadLetter, DeadLetterCache
from parlor.cache.live import RoomAddress
from parlor.errors import Overloaded
from parlor.model.states import MessageState
from tests.contract.cache.fixtures import LEASE, CacheFixtures
from tests.contract.cache.test_deletes import delete

pytestmark = pytest.mark.contract


async def parked(fixtures: CacheFixtures, address: RoomAddress, *seqs: int) -> list[DeadLetter]:
    """Everything of the room is stored but for the saves of these seqs, which are dead letters."""
    mine = [entry for entry in await fixtures.queued() if entry.address.room_id == address.room_id]
    await fixtures.begin(address, mine)
    for entry in mine:
        if entry.seq in seqs and entry.op == "CHAT_MESSAGE_SAVE":
            await fixtures.queue.park(LEASE, entry, "row-refused: no")
    await fixtures.finish(address, [entry for entry in mine if entry.seq not in seqs])
    return await DeadLetterCache(fixtures.live).of_partition(fixtures.partition)


async def test_dead_letters_tell_what_was_parked_and_why(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    ids = await fixtures.sent(address, 2)
    (dead_letter,) = await parked(fixtures, address, 2)
    assert (dead_letter.entry.op, dead_letter.entry.seq, dead_letter.entry.message_id) == (
        "CHAT_MESSAGE_SAVE",
        2,
        ids[1],
    )
    assert dead_letter.entry.address == address
    assert (dead_letter.reason, dead_letter.parked_at) == ("row-refused: no", fixtures.clock.ms)
    assert dead_letter.id == f"{fixtures.partition}:{dead_letter.stream_id}"


async def test_a_replayed_dead_letter_is_the_last_in_line_and_counts_once(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    (dead_letter,) = await parked(fixtures, address, 1)
    await fixtures.send(address, 2, reply=False)
    pending = (await fixtures.hash("room", address))[b"pending"]
    assert await DeadLetterCache(fixtures.live).replay(dead_letter)
    third, again = await fixtures.queued()
    assert (third.seq, again.seq) == (3, 1)
    assert again.position > third.position > dead_letter.entry.position
    assert again.doc == dead_letter.entry.doc
    assert await DeadLetterCache(fixtures.live).of_partition(fixtures.partition) == []
    assert (await fixtures.hash("room", address))[b"pending"] == pending == b"2"


async def test_a_replayed_save_tells_the_counters_of_today(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    (dead_letter,) = await parked(fixtures, address, 1)
    fixtures.clock.ms += 5000
    await fixtures.send(address, 2, reply=False)
    await delete(fixtures, address, 2)
    await DeadLetterCache(fixtures.live).replay(dead_letter)
    again = (await fixtures.queued())[-1]
    assert (again.seq, again.last_seq, again.count) == (1, 3, 2)
    assert again.active == fixtures.clock.ms


async def test_a_replayed_save_that_is_committed_moves_the_watermark(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 3)
    (dead_letter,) = await parked(fixtures, address, 1)
    assert (await fixtures.room(address)).room.persisted_seq == 0
    await DeadLetterCache(fixtures.live).replay(dead_letter)
    await fixtures.stored(address)
    assert (await fixtures.room(address)).room.persisted_seq == 3
    assert await fixtures.state(address, 1) is MessageState.SENT
    dumped = await fixtures.dump()
    assert all(dumped[fixtures.key(name, address)][1] for name in ("room", "states", "messages"))


async def test_a_replayed_create_is_followed_by_the_rooms_counters(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    create, *saves = await fixtures.queued()
    await fixtures.begin(address, [create, *saves])
    await fixtures.queue.park(LEASE, create, "row-refused: title")
    await fixtures.finish(address, saves)
    (dead_letter,) = await DeadLetterCache(fixtures.live).of_partition(fixtures.partition)
    await DeadLetterCache(fixtures.live).replay(dead_letter)
    again, counters = await fixtures.queued()
    assert (again.op, again.title) == ("CHAT_ROOM_CREATE", "A room")
    assert (counters.seq, counters.last_seq, counters.count, counters.final) == (2, 2, 2, False)
    assert (await fixtures.hash("room", address))[b"pending"] == b"2"
    await fixtures.stored(address)
    assert await fixtures.state(address, 2) is MessageState.SENT
    assert (await fixtures.room(address)).room.state == "ACTIVE"
    assert (await fixtures.hash("room", address))[b"pending"] == b"0"


async def test_a_full_queue_refuses_a_replay(fixtures: CacheFixtures) -> None:
    fixtures.live.twice = False
    address = await fixtures.claimed()
    await fixtures.sent(address, 1)
    (dead_letter,) = await parked(fixtures, address, 1)
    for after in range(1, 501):
        await fixtures.send(address, after, reply=False)
    with pytest.raises(Overloaded):
        await DeadLetterCache(fixtures.live).replay(dead_letter)
    assert await DeadLetterCache(fixtures.live).of_partition(fixtures.partition) == [dead_letter]


async def test_a_dead_letter_that_is_gone_is_not_replayed(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 1)
    (dead_letter,) = await parked(fixtures, address, 1)
    cache = DeadLetterCache(fixtures.live)
    assert await cache.drop(dead_letter)
    before = await fixtures.dump()
    assert not await cache.replay(dead_letter)
    assert not await cache.drop(dead_letter)
    assert await fixtures.dump() == before


async def test_a_dropped_dead_letter_does_not_hold_its_room(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 1)
    (dead_letter,) = await parked(fixtures, address, 1)
    dumped = await fixtures.dump()
    names = ("room", "states", "messages", "account", "rooms")
    assert not any(dumped[fixtures.key(name, address)][1] for name in names)
    assert await DeadLetterCache(fixtures.live).drop(dead_letter)
    dumped = await fixtures.dump()
    assert all(dumped[fixtures.key(name, address)][1] for name in names)
    assert (await fixtures.hash("room", address))[b"pending"] == b"0"


async def test_a_dropped_dead_letter_leaves_what_else_is_under_way(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 1)
    (dead_letter,) = await parked(fixtures, address, 1)
    await fixtures.send(address, 1)
    await DeadLetterCache(fixtures.live).drop(dead_letter)
    assert (await fixtures.hash("room", address))[b"pending"] == b"2"
    assert not (await fixtures.dump())[fixtures.key("room", address)][1]


async def test_a_dead_letter_of_a_room_that_redis_forgot_makes_no_room(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 1)
    (dead_letter,) = await parked(fixtures, address, 1)
    await fixtures.forget(address.room_id)
    await DeadLetterCache(fixtures.live).replay(dead_letter)
    assert not await fixtures.redis.exists(fixtures.key("room", address))
    (again,) = await fixtures.queued()
    await fixtures.queue.park(LEASE, again, "again")
    (dead_letter,) = await DeadLetterCache(fixtures.live).of_partition(fixtures.partition)
    await DeadLetterCache(fixtures.live).drop(dead_letter)
    assert not await fixtures.redis.exists(fixtures.key("room", address))
