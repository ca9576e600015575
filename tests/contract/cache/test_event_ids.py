"""Positions in event logs: they only go up, and a log tells what it has lost (I7)."""

from __future__ import annotations

import pytest

from parlor.cache.events import parse_cursor
from parlor.cache.live import RoomAddress
from parlor.ids import AccountId
from tests.contract.cache.world import NOW, World

pytestmark = pytest.mark.contract


async def ids(world: World, address: RoomAddress, name: str = "events") -> list[tuple[int, int]]:
    return [parse_cursor(entry_id.decode()) for entry_id, _ in await world.entries(world.key(name, address))]


@pytest.mark.parametrize("step", [1000, 0, -1000])
async def test_ids_go_up_whatever_the_clock_does(world: World, step: int) -> None:
    address = await world.claimed()
    for number in range(6):
        await world.send(address, number, reply=False)
        world.clock.now += step
    for name in ("events", "account_events"):
        found = await ids(world, address, name)
        assert found == sorted(set(found)), name
        assert len(found) >= 6


async def test_ids_follow_the_clock_where_it_goes_ahead(world: World) -> None:
    address = await world.claimed()
    world.clock.now += 50
    await world.send(address, 0)
    assert await ids(world, address) == [(NOW + 50, 0), (NOW + 50, 1)]


async def test_ids_go_up_across_an_expired_log(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    (_, last) = await ids(world, address)
    await world.redis.delete(world.key("events", address))
    world.clock.now -= 100_000
    await world.send(address, 2, reply=False)
    (first,) = await ids(world, address)
    assert first > last


async def test_the_room_remembers_where_its_log_ends(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    position = await world.reader.room_log(address.room_id)
    assert position is not None
    assert parse_cursor(position.last) == (await ids(world, address))[-1]
    assert parse_cursor(position.start) < (await ids(world, address))[0]


async def test_an_expired_log_begins_where_it_ended(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    before = await world.reader.room_log(address.room_id)
    assert before is not None
    await world.redis.delete(world.key("events", address))
    quiet = await world.reader.room_log(address.room_id)
    assert quiet is not None
    assert quiet.start == quiet.last == before.last
    await world.send(address, 2)
    after = await world.reader.room_log(address.room_id)
    assert after is not None
    assert after.start == before.last
    assert parse_cursor(after.last) > parse_cursor(before.last)


async def test_a_log_that_was_cut_begins_where_it_was_cut(world: World) -> None:
    world.live.twice = False
    address = await world.claimed()
    reply = await world.start(address, await world.send(address, 0))
    for number in range(world.settings.cache.events_per_room):
        await world.rooms.append_delta(address, "claim-1", reply, 1, number, "x")
    found = await ids(world, address)
    limit = world.settings.cache.events_per_room
    assert 0.7 * limit <= len(found) <= limit
    position = await world.reader.room_log(address.room_id)
    assert position is not None
    assert parse_cursor(position.start) == found[0]
    assert parse_cursor(position.last) == found[-1]


async def test_a_log_expires_after_its_last_event(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0)
    for name in ("events", "account_events"):
        assert 290_000 < await world.redis.pttl(world.key(name, address)) <= 300_000


async def test_an_account_that_was_forgotten_refuses_every_cursor_from_before(world: World) -> None:
    address = await world.created()
    before = await world.reader.account_log(world.partition, address.account_id)
    await world.redis.delete(world.key("account", address), world.key("account_events", address))
    world.clock.now += 90_000_000
    await world.created()
    after = await world.reader.account_log(world.partition, address.account_id)
    assert parse_cursor(before.last) < parse_cursor(after.start)
    assert parse_cursor(after.start) < (await ids(world, address, "account_events"))[0]


async def test_an_account_that_was_never_seen_has_no_events(world: World) -> None:
    position = await world.reader.account_log(world.partition, AccountId("nobody"))
    assert (position.last, position.start) == ("0-0", "0-0")
    assert await world.reader.room_log(world.address().room_id) is None
