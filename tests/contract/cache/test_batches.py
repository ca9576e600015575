"""begin_batch and finish_batch: the way into the shard, the watermark, and what the cache keeps (I5)."""

from __future__ import annotations

import pytest

from parlor.cache.codes import Code
from parlor.cache.live import RoomAddress
from parlor.cache.loader import Argument, load
from parlor.cache.queue import Lease
from parlor.errors import LeaseLost
from parlor.model.states import MessageState, RoomState
from tests.contract.cache.fixtures import APPLIED, LEASE, CacheFixtures
from tests.contract.cache.test_deletes import delete

pytestmark = pytest.mark.contract


async def persisted(fixtures: CacheFixtures, address: RoomAddress) -> int:
    return (await fixtures.room(address)).room.persisted_seq


async def test_a_room_goes_from_pending_over_processing_to_active(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    entries = await fixtures.queued()
    assert await fixtures.begin(address, entries) == [True]
    assert await fixtures.room_state(address) is RoomState.PROCESSING
    await fixtures.finish(address, entries)
    found = await fixtures.states.room_state(address.room_id)
    assert found is not None
    assert [step.to_state for step in found[1]] == ["PENDING", "PROCESSING", "ACTIVE"]
    assert await fixtures.account_events(address) == [
        ("room.created", address.room_id),
        ("room.updated", address.room_id),
    ]
    assert await fixtures.queued() == []


async def test_a_message_goes_from_pending_over_processing_to_sent(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    entries = await fixtures.queued()
    assert await fixtures.begin(address, entries) == [True, True]
    assert await fixtures.state(address, 1) is MessageState.PROCESSING
    assert await persisted(fixtures, address) == 0
    await fixtures.finish(address, entries)
    assert await fixtures.state(address, 1) is MessageState.SENT
    assert await persisted(fixtures, address) == 1


async def test_a_reserved_reply_stays_composing_when_its_row_is_written(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    await fixtures.stored(address)
    assert await fixtures.state(address, 2) is MessageState.COMPOSING
    assert await persisted(fixtures, address) == 1


async def test_the_watermark_waits_for_an_open_reply_and_then_passes_it(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first = await fixtures.send(address, 0)
    await fixtures.send(address, 2, reply=False)
    await fixtures.send(address, 3, reply=False)
    await fixtures.stored(address)
    assert await persisted(fixtures, address) == 1
    await fixtures.start(address, first)
    await fixtures.complete(address, first)
    assert await persisted(fixtures, address) == 1
    await fixtures.stored(address)
    assert await persisted(fixtures, address) == 4


async def test_the_watermark_waits_for_a_save_that_is_not_committed(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 4)
    create, one, two, three, four = await fixtures.queued()
    await fixtures.begin(address, [create, one, two, three, four])
    await fixtures.finish(address, [create, one, three, four])
    assert await persisted(fixtures, address) == 1
    await fixtures.finish(address, [two])
    assert await persisted(fixtures, address) == 4


async def test_the_watermark_waits_for_the_tombstone_of_a_cancelled_message(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    await delete(fixtures, address, 1)
    create, one, two, tombstone = await fixtures.queued()
    assert await fixtures.begin(address, [create, one, two]) == [False, True, True]
    await fixtures.finish(address, [create, one, two])
    assert await fixtures.state(address, 1) is MessageState.DELETED
    assert await persisted(fixtures, address) == 0
    await fixtures.finish(address, [tombstone])
    assert await persisted(fixtures, address) == 2


async def test_the_watermark_passes_a_stopped_and_deleted_reply(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    await delete(fixtures, address, 2)
    await fixtures.send(address, 2, reply=False)
    await fixtures.stored(address)
    assert await persisted(fixtures, address) == 3


async def test_deleting_what_is_stored_does_not_move_the_watermark_back(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 3)
    await fixtures.stored(address)
    await delete(fixtures, address, 2)
    await fixtures.send(address, 3, reply=False)
    assert await persisted(fixtures, address) == 3
    await fixtures.stored(address)
    assert await persisted(fixtures, address) == 4


async def test_finishing_a_batch_a_second_time_counts_nothing_twice(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    entries = await fixtures.queued()
    await fixtures.begin(address, entries)
    await fixtures.send(address, 2, reply=False)
    await fixtures.finish(address, entries)
    before = await fixtures.dump()
    await fixtures.finish(address, entries)
    assert await fixtures.dump() == before
    # One operation is still under way: nothing may expire.
    assert (await fixtures.hash("room", address))[b"pending"] == b"1"
    assert not before[fixtures.key("room", address)][1]


async def test_nothing_expires_while_a_reply_is_open(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    await fixtures.stored(address)
    dumped = await fixtures.dump()
    assert not any(dumped[fixtures.key(name, address)][1] for name in ("room", "states", "messages", "open"))


async def test_one_rooms_work_keeps_the_accounts_list(fixtures: CacheFixtures) -> None:
    busy, quiet = await fixtures.claimed(), await fixtures.claimed()
    await fixtures.stored(quiet)
    dumped = await fixtures.dump()
    assert dumped[fixtures.key("room", quiet)][1]
    assert not dumped[fixtures.key("rooms", quiet)][1]
    await fixtures.stored(busy)
    assert (await fixtures.dump())[fixtures.key("rooms", quiet)][1]


async def test_the_cache_keeps_a_tail_of_messages_and_a_longer_one_of_states(fixtures: CacheFixtures) -> None:
    fixtures.live.twice = False
    address = await fixtures.claimed()
    await fixtures.sent(address, 70)
    fixtures.live.twice = True
    await fixtures.stored(address)
    docs = sorted(int(name[2:]) for name in await fixtures.hash("messages", address))
    assert docs == list(range(21, 71))
    states = sorted(int(name[2:]) for name in await fixtures.hash("states", address) if name.startswith(b"s:"))
    assert states == list(range(11, 71))
    assert len(await fixtures.hash("states", address)) == 4 * 60
    assert await persisted(fixtures, address) == 70


async def test_trimming_keeps_what_the_shard_does_not_know_is_deleted(fixtures: CacheFixtures) -> None:
    fixtures.live.twice = False
    address = await fixtures.claimed()
    await fixtures.sent(address, 5)
    await fixtures.stored(address)
    await delete(fixtures, address, 3)
    (tombstone,) = await fixtures.queued()
    for after in range(5, 70):
        await fixtures.send(address, after, reply=False)
    entries = [entry for entry in await fixtures.queued() if entry.position != tombstone.position]
    await fixtures.begin(address, entries)
    fixtures.live.twice = True
    await fixtures.finish(address, entries)
    assert await fixtures.state(address, 3) is MessageState.DELETING
    assert await fixtures.state(address, 2) is None
    await fixtures.finish(address, [tombstone])
    assert await fixtures.state(address, 3) is None
    assert await fixtures.state(address, 11) is MessageState.SENT


async def test_a_cancelled_message_stays_readable_until_its_tombstone_is_stored(fixtures: CacheFixtures) -> None:
    fixtures.live.twice = False
    address = await fixtures.claimed()
    await fixtures.sent(address, 70)
    await delete(fixtures, address, 1)
    *saves, tombstone = await fixtures.queued()
    await fixtures.begin(address, saves)
    await fixtures.finish(address, saves)
    assert await fixtures.states.message_doc(address.room_id, 1) is not None
    assert await fixtures.states.message_doc(address.room_id, 2) is not None
    await fixtures.finish(address, [tombstone])
    assert await fixtures.states.message_doc(address.room_id, 1) is None
    assert await persisted(fixtures, address) == 70


async def test_another_lease_refuses_every_step_of_a_writer(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    entries = await fixtures.queued()
    await fixtures.begin(address, entries)
    assert isinstance(await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-1"), Lease)
    before = await fixtures.dump()
    with pytest.raises(LeaseLost):
        await fixtures.begin(address, entries)
    with pytest.raises(LeaseLost):
        await fixtures.finish(address, entries)
    with pytest.raises(LeaseLost):
        await fixtures.queue.park(LEASE, entries[0], "reason")
    assert not await fixtures.queue.renew(fixtures.partition, LEASE, APPLIED)
    await fixtures.queue.release(fixtures.partition, LEASE, APPLIED)
    assert await fixtures.dump() == before


async def test_an_expired_lease_refuses_too(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    entries = await fixtures.queued()
    await fixtures.redis.delete(fixtures.keys.lease(fixtures.partition))
    before = await fixtures.dump()
    with pytest.raises(LeaseLost):
        await fixtures.begin(address, entries)
    with pytest.raises(LeaseLost):
        await fixtures.finish(address, entries)
    assert await fixtures.dump() == before


async def test_a_batch_of_a_room_that_redis_forgot_is_written_and_finished(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    entries = await fixtures.queued()
    await fixtures.forget(address.room_id)
    assert await fixtures.begin(address, entries) == [True, True]
    await fixtures.finish(address, entries)
    assert await fixtures.queued() == []
    assert not await fixtures.redis.exists(*(fixtures.key(name, address) for name in ("room", "states", "messages")))


async def test_a_commit_wakes_the_rooms_readers(server_fixtures: CacheFixtures) -> None:
    fixtures = server_fixtures
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    pubsub = fixtures.redis.pubsub()
    try:
        await pubsub.subscribe(fixtures.key("events", address))
        confirmed = await pubsub.get_message(timeout=5)
        assert confirmed is not None
        await fixtures.stored(address)
        heard = await pubsub.get_message(timeout=5)
        assert heard is not None
        assert heard["type"] == "message"
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]


async def test_a_batch_of_one_room_may_be_as_large_as_the_setting_allows(server_fixtures: CacheFixtures) -> None:
    fixtures = server_fixtures
    fixtures.live.twice = False
    address = await fixtures.claimed()
    seqs = list(range(1, 20_001))
    assert await fixtures.queue.begin(LEASE, address, [*seqs]) == [True] * len(seqs)


async def test_dead_letters_take_an_entry_out_of_the_way_and_keep_it(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    create, save = await fixtures.queued()
    await fixtures.queue.park(LEASE, save, "row-refused: no")
    assert [entry.position for entry in await fixtures.queued()] == [create.position]
    ((_, dead_letter),) = await fixtures.entries(fixtures.keys.dead(fixtures.partition))
    assert dead_letter[b"entry"] == str(save.position).encode()
    assert dead_letter[b"reason"] == b"row-refused: no"
    assert int(dead_letter[b"parked"]) == fixtures.clock.ms
    assert {name: dead_letter[name] for name in save.raw} == save.raw
    assert await fixtures.queue.depth(fixtures.partition) == (1, create.at, 1)


async def test_parking_again_adds_no_second_dead_letter(fixtures: CacheFixtures) -> None:
    await fixtures.created()
    (create,) = await fixtures.queued()
    await fixtures.queue.park(LEASE, create, "one")
    before = await fixtures.dump()
    await fixtures.queue.park(LEASE, create, "two")
    assert await fixtures.dump() == before


async def test_what_is_parked_does_not_expire_from_the_cache(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.sent(address, 2)
    create, one, two = await fixtures.queued()
    await fixtures.begin(address, [create, one, two])
    await fixtures.queue.park(LEASE, one, "row-refused")
    await fixtures.finish(address, [create, two])
    await fixtures.send(address, 2, reply=False)
    await fixtures.stored(address)
    dumped = await fixtures.dump()
    assert not any(dumped[fixtures.key(name, address)][1] for name in ("room", "states", "messages"))
    assert await persisted(fixtures, address) == 0


async def test_the_depth_tells_what_waits_and_since_when(fixtures: CacheFixtures) -> None:
    assert await fixtures.queue.depth(fixtures.partition) == (0, 0, 0)
    began = fixtures.clock.ms
    address = await fixtures.claimed()
    fixtures.clock.ms += 100
    await fixtures.send(address, 0)
    assert await fixtures.queue.depth(fixtures.partition) == (3, began, 0)


@pytest.mark.parametrize("version", ["", "x", 0])
async def test_a_save_that_does_not_say_its_version_settles_nothing_that_has_one(
    fixtures: CacheFixtures, version: str | int
) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    entries = await fixtures.queued()
    await fixtures.begin(address, entries)
    await fixtures.redis.hset(fixtures.key("states", address), "v:1", "2")
    save = entries[-1]
    keys = fixtures.live.room_keys(address, *load("finish_batch").keys)
    arguments: dict[str, Argument] = dict.fromkeys(load("finish_batch").arguments, 1)
    arguments |= {"room": address.room_id, "lease": LEASE}
    rest: list[Argument] = [str(save.position), save.op, save.seq, str(save.message_id), version]
    assert (await fixtures.live.attempt("finish_batch", keys, arguments, rest))[0] == Code.OK
    assert await fixtures.state(address, 1) is MessageState.PROCESSING
