"""Positions in event logs: they only go up, and a log tells what it has lost (I7)."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.reads import LogPosition
from parlor.model.cursors import EPOCH, parse_event_cursor, reaches_back
from parlor.model.ids import AccountId
from tests.contract.cache.fixtures import CLAIM_1, NOW, CacheFixtures, plain

pytestmark = pytest.mark.contract


async def ids(fixtures: CacheFixtures, address: RoomAddress, name: str = "events") -> list[tuple[int, int]]:
    return [
        parse_event_cursor(entry_id.decode()) for entry_id, _ in await fixtures.entries(fixtures.key(name, address))
    ]


@pytest.mark.parametrize("step", [1000, 0, -1000])
async def test_ids_go_up_whatever_the_clock_does(fixtures: CacheFixtures, step: int) -> None:
    address = await fixtures.claimed()
    for number in range(6):
        await fixtures.send(address, number, reply=False)
        fixtures.clock.ms += step
    for name in ("events", "account_events"):
        found = await ids(fixtures, address, name)
        assert found == sorted(set(found)), name
        assert len(found) >= 6


async def test_ids_follow_the_clock_where_it_goes_ahead(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    fixtures.clock.ms += 50
    await fixtures.send(address, 0)
    assert await ids(fixtures, address) == [(NOW + 50, EPOCH), (NOW + 50, EPOCH + 1)]


async def test_ids_go_up_across_an_expired_log(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    (_, last) = await ids(fixtures, address)
    await fixtures.redis.delete(fixtures.key("events", address))
    fixtures.clock.ms -= 100_000
    await fixtures.send(address, 2, reply=False)
    (first,) = await ids(fixtures, address)
    assert first > last


async def test_the_room_remembers_where_its_log_ends(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    position = await fixtures.reader.room_log(address.room_id)
    assert position is not None
    assert parse_event_cursor(position.last) == (await ids(fixtures, address))[-1]
    assert parse_event_cursor(position.start) < (await ids(fixtures, address))[0]


async def test_an_expired_log_begins_where_it_ended(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    before = await fixtures.reader.room_log(address.room_id)
    assert before is not None
    await fixtures.redis.delete(fixtures.key("events", address))
    quiet = await fixtures.reader.room_log(address.room_id)
    assert quiet is not None
    assert quiet.start == quiet.last == before.last
    await fixtures.send(address, 2)
    after = await fixtures.reader.room_log(address.room_id)
    assert after is not None
    assert after.start == before.last
    assert parse_event_cursor(after.last) > parse_event_cursor(before.last)


async def test_a_log_that_was_cut_begins_where_it_was_cut(fixtures: CacheFixtures) -> None:
    fixtures.live.twice = False
    address = await fixtures.claimed()
    reply = await fixtures.start(address, await fixtures.send(address, 0))
    for number in range(fixtures.settings.cache.events_per_room):
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(number, "x"))
    found = await ids(fixtures, address)
    limit = fixtures.settings.cache.events_per_room
    assert 0.7 * limit <= len(found) <= limit
    position = await fixtures.reader.room_log(address.room_id)
    assert position is not None
    assert parse_event_cursor(position.start) == found[0]
    assert parse_event_cursor(position.last) == found[-1]


async def test_a_log_expires_after_its_last_event(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    for name in ("events", "account_events"):
        assert 290_000 < await fixtures.redis.pttl(fixtures.key(name, address)) <= 300_000


async def test_an_account_that_was_forgotten_refuses_every_cursor_from_before(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    before = await fixtures.reader.account_log(fixtures.partition, address.account_id)
    await fixtures.redis.delete(fixtures.key("account", address), fixtures.key("account_events", address))
    fixtures.clock.ms += 90_000_000
    await fixtures.created()
    after = await fixtures.reader.account_log(fixtures.partition, address.account_id)
    assert parse_event_cursor(before.last) < parse_event_cursor(after.start)
    assert parse_event_cursor(after.start) < (await ids(fixtures, address, "account_events"))[0]


async def test_an_account_that_was_never_seen_has_no_events(fixtures: CacheFixtures) -> None:
    position = await fixtures.reader.account_log(fixtures.partition, AccountId("nobody"))
    assert (position.last, position.start) == ("0-0", "0-0")
    assert await fixtures.reader.room_log(fixtures.address().room_id) is None


@pytest.mark.parametrize("log", ["room", "account"])
async def test_a_cursor_of_a_lost_redis_is_known_as_such_whatever_the_clocks_say(
    fixtures: CacheFixtures, log: str
) -> None:
    """The log begins anew with a clock that is behind, and catches up with the cursor (simulation, seed 90476)."""

    async def position() -> LogPosition:
        if log == "account":
            return await fixtures.reader.account_log(fixtures.partition, address.account_id)
        found = await fixtures.reader.room_log(address.room_id)
        assert found is not None
        return found

    address = await fixtures.claimed()
    fixtures.clock.ms += 60_000
    await fixtures.send(address, 0, reply=False)
    before = await position()
    await fixtures.redis.flushall()
    await fixtures.live.init_partition(fixtures.partition, 2)
    fixtures.clock.ms -= 60_000
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    fixtures.clock.ms += 120_000
    await fixtures.send(address, 1, reply=False)
    after = await position()
    assert parse_event_cursor(after.start) < parse_event_cursor(before.last) < parse_event_cursor(after.last)
    assert not reaches_back(after.start, before.last)
    assert reaches_back(after.start, after.last)
