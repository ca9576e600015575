"""Servers that fail over: what a promoted replica lacks is noticed before anybody reads or writes (I27)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest
from redis import exceptions

from parlor.cache.changes import Appended
from parlor.cache.clients import connect
from parlor.cache.codes import Code
from parlor.cache.events import EventLog
from parlor.cache.hub import EventHub
from parlor.cache.loader import load
from parlor.cache.queue import Lease
from parlor.cache.reopening import Reopening
from parlor.cache.server_check import check_server
from parlor.errors import CacheUnavailable, LeaseLost, OutOfStep
from parlor.model.messages import QueuePosition
from tests.contract.cache.fixtures import APPLIED, LEASE, CacheFixtures
from tests.contract.cache.test_keys_touched import everything
from tests.redis_groups import Group, Node, cut_off, until

pytestmark = [pytest.mark.contract, pytest.mark.timeout(180)]

SOON = 20.0
"""Seconds within which everything here has to happen; nothing waits for so long unless it fails."""


async def test_every_script_does_its_work(fixtures: CacheFixtures) -> None:
    await everything(fixtures)


async def test_a_server_that_loses_nothing_gives_no_warning(fixtures: CacheFixtures) -> None:
    assert (await check_server(fixtures.settings.redis)).warnings == []


async def test_a_wake_up_reaches_a_reader_at_whichever_node_it_is(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    hub = EventHub(connect(fixtures.settings.redis, blocking=True), recheck_every=60.0)
    log = EventLog(fixtures.live)
    try:
        stream = fixtures.key("events", address)
        async with hub.tail(
            stream, None, lambda: fixtures.reader.room_log(address.room_id), log.of_room(address.room_id)
        ) as tail:
            await asyncio.wait_for(hub._watched[stream].subscribed.wait(), SOON)
            await fixtures.send(address, 0, reply=False)
            began = time.monotonic()
            assert [event.type for event in await tail.next(SOON)] == ["message.created"]
            assert time.monotonic() - began < SOON / 2
    finally:
        await hub.close()


async def test_new_entries_of_several_partitions_are_read(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    other = type(fixtures.partition)(fixtures.partition + 1)
    await fixtures.live.init_partition(other, 1)
    found = await fixtures.queue.new([other, fixtures.partition], 10, 1000)
    assert [entry.op for entry in found] == ["CHAT_ROOM_CREATE", "CHAT_MESSAGE_SAVE", "CHAT_MESSAGE_SAVE"]


async def test_a_replica_that_lacks_the_last_messages_is_closed_until_its_writer_opens_it(
    group: Group, fixtures: CacheFixtures
) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    stored = (await fixtures.queued())[0]
    lost = await fail_over(group, fixtures, lambda: fixtures.send(address, 1, reply=False))
    assert lost.seq == 2
    # Nobody reads or writes what may be older than the shard.
    for asked in (
        fixtures.send(address, 1, reply=False),
        fixtures.page(address),
        fixtures.reader.room(address.room_id),
        fixtures.states.message_state(address.room_id, 1),
        fixtures.live.init_partition(fixtures.partition, 9),
    ):
        with pytest.raises(CacheUnavailable):
            await asked
    # A writer that read from the former primary finishes nothing.
    with pytest.raises(LeaseLost):
        await fixtures.queue.finish(LEASE, address, [stored])
    lease = await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1")
    assert isinstance(lease, Lease)
    assert lease.closed
    reopening = Reopening(fixtures.live)
    with pytest.raises(OutOfStep):
        await reopening.open(fixtures.partition, LEASE, lease.history, 2, APPLIED, [])
    # What is left is stored: the create and the first message.
    left = await fixtures.queue.new([fixtures.partition], 10, 1000) or await fixtures.queue.unfinished(
        fixtures.partition, None, 10
    )
    assert [entry.op for entry in left] == ["CHAT_ROOM_CREATE", "CHAT_MESSAGE_SAVE"]
    await fixtures.queue.finish(LEASE, address, left)
    names = (await reopening.names(LEASE, {fixtures.partition: lease.history}))[fixtures.partition]
    assert fixtures.key("room", address) in names
    with pytest.raises(LeaseLost):
        # What another server has is not what this one has.
        await reopening.forget(fixtures.partition, LEASE, "0" * 40, names)
    await reopening.forget(fixtures.partition, LEASE, lease.history, names)
    await reopening.open(fixtures.partition, LEASE, lease.history, 2, APPLIED, [], [address.room_id])
    # A reply that only the shard knows of is overdue: a sweeper finds its room an owner.
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == [address.room_id]
    # It begins anew from the shard, and positions are above all before.
    assert await fixtures.reader.room(address.room_id) is None
    assert await fixtures.reader.incarnation(fixtures.partition) == 2
    again = await fixtures.claimed()
    await fixtures.send(again, 0, reply=False)
    assert (await fixtures.queued())[0].position == QueuePosition(2, 1)


async def test_an_open_partition_is_not_let_go_of(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    reopening = Reopening(fixtures.live)
    lease = await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1")
    assert isinstance(lease, Lease)
    await reopening.forget(fixtures.partition, LEASE, lease.history, [fixtures.key("room", address)])
    await reopening.open(fixtures.partition, LEASE, lease.history, 7, APPLIED, [])
    assert await fixtures.reader.room(address.room_id) is not None
    assert await fixtures.reader.incarnation(fixtures.partition) == 1
    with pytest.raises(LeaseLost):
        await reopening.forget(fixtures.partition, "another", lease.history, [fixtures.key("room", address)])


def test_only_what_opens_a_partition_and_what_a_lease_guards_is_let_in() -> None:
    assert "require_open" not in load("finish_batch", True).source
    closed = f"return {{{Code.CLOSED.value}}}"
    assert closed in load("append_turn", True).source
    assert closed not in load("append_turn").source


async def fail_over(group: Group, fixtures: CacheFixtures, ask: Callable[[], Awaitable[Appended]]) -> Appended:
    """The primary of the partition dies; its replica does not hear of what ``ask`` does."""
    primary = await asyncio.to_thread(primary_of, group, fixtures)
    (replica,) = await asyncio.to_thread(group.replicas_of, primary)
    offset = int((await asyncio.to_thread(primary.info))["master_repl_offset"])
    await asyncio.to_thread(
        until, lambda: int(replica.info()["slave_repl_offset"]) >= offset, "the replica has all of it"
    )
    await asyncio.to_thread(cut_off, primary, [replica])
    try:
        done = await ask()
        await asyncio.to_thread(primary.kill)
    finally:
        replica.wake()
    await asyncio.to_thread(until, lambda: replica in group.primaries, "the replica is promoted")
    await asyncio.to_thread(primary.start)
    await asyncio.to_thread(until, group.whole, "the former primary follows")
    async with asyncio.timeout(SOON):
        while not await reached(fixtures):  # noqa: ASYNC110 - another process, which tells nobody
            await asyncio.sleep(0.1)
    return done


def primary_of(group: Group, fixtures: CacheFixtures) -> Node:
    """Who has the partition."""
    key = fixtures.keys.partition(fixtures.partition)
    for node in group.primaries:
        with contextlib.suppress(exceptions.RedisError):
            if node.ask("EXISTS", key) == 1:
                return node
    raise AssertionError("no primary has the partition")


async def reached(fixtures: CacheFixtures) -> bool:
    """Whether the new primary answers."""
    with contextlib.suppress(CacheUnavailable):
        return bool(await fixtures.live.pipeline.read("EXISTS", fixtures.keys.partition(fixtures.partition)))
    return False
