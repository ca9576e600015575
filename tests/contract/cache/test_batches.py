"""begin_batch and finish_batch: the way into the shard, the watermark, and what the cache keeps (I5)."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.errors import LeaseLost
from parlor.states import MessageState, RoomState
from tests.contract.cache.test_deletes import delete
from tests.contract.cache.world import LEASE, World

pytestmark = pytest.mark.contract


async def persisted(world: World, address: RoomAddress) -> int:
    return (await world.room(address)).room.persisted_seq


async def test_a_room_goes_from_pending_over_processing_to_active(world: World) -> None:
    address = await world.created()
    entries = await world.queued()
    assert await world.begin(address, entries) == [True]
    assert await world.room_state(address) is RoomState.PROCESSING
    await world.finish(address, entries)
    found = await world.states.room_state(address.room_id)
    assert found is not None
    assert [step.to_state for step in found[1]] == ["PENDING", "PROCESSING", "ACTIVE"]
    assert await world.account_events(address) == [
        ("room.created", address.room_id),
        ("room.updated", address.room_id),
    ]
    assert await world.queued() == []


async def test_a_message_goes_from_pending_over_processing_to_sent(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    entries = await world.queued()
    assert await world.begin(address, entries) == [True, True]
    assert await world.state(address, 1) is MessageState.PROCESSING
    assert await persisted(world, address) == 0
    await world.finish(address, entries)
    assert await world.state(address, 1) is MessageState.SENT
    assert await persisted(world, address) == 1


async def test_a_reserved_reply_stays_composing_when_its_row_is_written(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    await world.stored(address)
    assert await world.state(address, 2) is MessageState.COMPOSING
    assert await persisted(world, address) == 1


async def test_the_watermark_waits_for_an_open_reply_and_then_passes_it(world: World) -> None:
    address = await world.claimed()
    first = await world.send(address, 0)
    await world.send(address, 2, reply=False)
    await world.send(address, 3, reply=False)
    await world.stored(address)
    assert await persisted(world, address) == 1
    await world.start(address, first)
    await world.complete(address, first)
    assert await persisted(world, address) == 1
    await world.stored(address)
    assert await persisted(world, address) == 4


async def test_the_watermark_waits_for_a_save_that_is_not_committed(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 4)
    create, one, two, three, four = await world.queued()
    await world.begin(address, [create, one, two, three, four])
    await world.finish(address, [create, one, three, four])
    assert await persisted(world, address) == 1
    await world.finish(address, [two])
    assert await persisted(world, address) == 4


async def test_the_watermark_waits_for_the_tombstone_of_a_cancelled_message(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 2)
    await delete(world, address, 1)
    create, one, two, tombstone = await world.queued()
    assert await world.begin(address, [create, one, two]) == [False, True, True]
    await world.finish(address, [create, one, two])
    assert await world.state(address, 1) is MessageState.DELETED
    assert await persisted(world, address) == 0
    await world.finish(address, [tombstone])
    assert await persisted(world, address) == 2


async def test_the_watermark_passes_a_stopped_and_deleted_reply(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    await delete(world, address, 2)
    await world.send(address, 2, reply=False)
    await world.stored(address)
    assert await persisted(world, address) == 3


async def test_deleting_what_is_stored_does_not_move_the_watermark_back(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 3)
    await world.stored(address)
    await delete(world, address, 2)
    await world.send(address, 3, reply=False)
    assert await persisted(world, address) == 3
    await world.stored(address)
    assert await persisted(world, address) == 4


async def test_finishing_a_batch_a_second_time_counts_nothing_twice(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 2)
    entries = await world.queued()
    await world.begin(address, entries)
    await world.send(address, 2, reply=False)
    await world.finish(address, entries)
    before = await world.dump()
    await world.finish(address, entries)
    assert await world.dump() == before
    # One operation is still under way: nothing may expire.
    assert (await world.hash("room", address))[b"pending"] == b"1"
    assert not before[world.key("room", address)][1]


async def test_nothing_expires_while_a_reply_is_open(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    await world.stored(address)
    dumped = await world.dump()
    assert not any(dumped[world.key(name, address)][1] for name in ("room", "states", "messages", "open"))


async def test_one_rooms_work_keeps_the_accounts_list(world: World) -> None:
    busy, quiet = await world.claimed(), await world.claimed()
    await world.stored(quiet)
    dumped = await world.dump()
    assert dumped[world.key("room", quiet)][1]
    assert not dumped[world.key("rooms", quiet)][1]
    await world.stored(busy)
    assert (await world.dump())[world.key("rooms", quiet)][1]


async def test_the_cache_keeps_a_tail_of_messages_and_a_longer_one_of_states(world: World) -> None:
    world.live.twice = False
    address = await world.claimed()
    await world.sent(address, 70)
    world.live.twice = True
    await world.stored(address)
    docs = sorted(int(name[2:]) for name in await world.hash("messages", address))
    assert docs == list(range(21, 71))
    states = sorted(int(name[2:]) for name in await world.hash("states", address) if name.startswith(b"s:"))
    assert states == list(range(11, 71))
    assert len(await world.hash("states", address)) == 4 * 60
    assert await persisted(world, address) == 70


async def test_trimming_keeps_what_the_shard_does_not_know_is_deleted(world: World) -> None:
    world.live.twice = False
    address = await world.claimed()
    await world.sent(address, 5)
    await world.stored(address)
    await delete(world, address, 3)
    (tombstone,) = await world.queued()
    for after in range(5, 70):
        await world.send(address, after, reply=False)
    entries = [entry for entry in await world.queued() if entry.position != tombstone.position]
    await world.begin(address, entries)
    world.live.twice = True
    await world.finish(address, entries)
    assert await world.state(address, 3) is MessageState.DELETING
    assert await world.state(address, 2) is None
    await world.finish(address, [tombstone])
    assert await world.state(address, 3) is None
    assert await world.state(address, 11) is MessageState.SENT


async def test_a_cancelled_message_stays_readable_until_its_tombstone_is_stored(world: World) -> None:
    world.live.twice = False
    address = await world.claimed()
    await world.sent(address, 70)
    await delete(world, address, 1)
    *saves, tombstone = await world.queued()
    await world.begin(address, saves)
    await world.finish(address, saves)
    assert await world.states.message_doc(address.room_id, 1) is not None
    assert await world.states.message_doc(address.room_id, 2) is not None
    await world.finish(address, [tombstone])
    assert await world.states.message_doc(address.room_id, 1) is None
    assert await persisted(world, address) == 70


async def test_another_lease_refuses_every_step_of_a_writer(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    entries = await world.queued()
    await world.begin(address, entries)
    assert await world.queue.hold(world.partition, "lease-2", "writer-1") is not None
    before = await world.dump()
    with pytest.raises(LeaseLost):
        await world.begin(address, entries)
    with pytest.raises(LeaseLost):
        await world.finish(address, entries)
    with pytest.raises(LeaseLost):
        await world.queue.park(LEASE, entries[0], "reason")
    assert not await world.queue.renew(world.partition, LEASE)
    await world.queue.release(world.partition, LEASE)
    assert await world.dump() == before


async def test_an_expired_lease_refuses_too(world: World) -> None:
    address = await world.claimed()
    entries = await world.queued()
    await world.redis.delete(world.keys.lease(world.partition))
    before = await world.dump()
    with pytest.raises(LeaseLost):
        await world.begin(address, entries)
    with pytest.raises(LeaseLost):
        await world.finish(address, entries)
    assert await world.dump() == before


async def test_a_batch_of_a_room_that_redis_forgot_is_written_and_finished(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    entries = await world.queued()
    await world.forget(address.room_id)
    assert await world.begin(address, entries) == [True, True]
    await world.finish(address, entries)
    assert await world.queued() == []
    assert not await world.redis.exists(*(world.key(name, address) for name in ("room", "states", "messages")))


async def test_a_commit_wakes_the_rooms_readers(server_world: World) -> None:
    world = server_world
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    pubsub = world.redis.pubsub()
    try:
        await pubsub.subscribe(world.key("events", address))
        confirmed = await pubsub.get_message(timeout=5)
        assert confirmed is not None
        await world.stored(address)
        heard = await pubsub.get_message(timeout=5)
        assert heard is not None
        assert heard["type"] == "message"
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]


async def test_a_batch_of_one_room_may_be_as_large_as_the_setting_allows(server_world: World) -> None:
    world = server_world
    world.live.twice = False
    address = await world.claimed()
    seqs = list(range(1, 20_001))
    assert await world.queue.begin(LEASE, address, [*seqs]) == [True] * len(seqs)


async def test_dead_letters_take_an_entry_out_of_the_way_and_keep_it(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    create, save = await world.queued()
    await world.queue.park(LEASE, save, "row-refused: no")
    assert [entry.position for entry in await world.queued()] == [create.position]
    ((_, letter),) = await world.entries(world.keys.dead(world.partition))
    assert letter[b"entry"] == str(save.position).encode()
    assert letter[b"reason"] == b"row-refused: no"
    assert int(letter[b"parked"]) == world.clock.now
    assert {name: letter[name] for name in save.raw} == save.raw
    assert await world.queue.depth(world.partition) == (1, create.at, 1)


async def test_parking_again_adds_no_second_letter(world: World) -> None:
    await world.created()
    (create,) = await world.queued()
    await world.queue.park(LEASE, create, "one")
    before = await world.dump()
    await world.queue.park(LEASE, create, "two")
    assert await world.dump() == before


async def test_what_is_parked_does_not_expire_from_the_cache(world: World) -> None:
    address = await world.claimed()
    await world.sent(address, 2)
    create, one, two = await world.queued()
    await world.begin(address, [create, one, two])
    await world.queue.park(LEASE, one, "row-refused")
    await world.finish(address, [create, two])
    await world.send(address, 2, reply=False)
    await world.stored(address)
    dumped = await world.dump()
    assert not any(dumped[world.key(name, address)][1] for name in ("room", "states", "messages"))
    assert await persisted(world, address) == 0


async def test_the_depth_tells_what_waits_and_since_when(world: World) -> None:
    assert await world.queue.depth(world.partition) == (0, 0, 0)
    began = world.clock.now
    address = await world.claimed()
    world.clock.now += 100
    await world.send(address, 0)
    assert await world.queue.depth(world.partition) == (3, began, 0)
