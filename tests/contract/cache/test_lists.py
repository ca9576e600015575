"""read_list and load_list: an account's rooms, complete and in order."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.model.cursors import EPOCH
from parlor.model.ids import AccountId, RoomId
from parlor.model.rooms import RoomRow, RoomsBefore
from tests.contract.cache.fixtures import CLAIM_1, NOW, CacheFixtures

pytestmark = pytest.mark.contract
ADA = AccountId("ada")


def rows(fixtures: CacheFixtures, count: int, *, tie: int = 1) -> list[RoomRow]:
    """Newest activity first, as a shard gives them; ``tie`` rooms share each moment."""
    made = [
        structs.replace(fixtures.room_row(fixtures.address()), last_message_at=NOW - 1000 * (number // tie))
        for number in range(count)
    ]
    return sorted(made, key=lambda row: (row.last_message_at or 0, row.room_id), reverse=True)


async def fill(fixtures: CacheFixtures, found: list[RoomRow]) -> None:
    await fixtures.reader.fill_list(fixtures.partition, ADA, found, first=True, complete=True)


async def walk(fixtures: CacheFixtures, limit: int) -> list[RoomId]:
    """Page by page to the end."""
    seen: list[RoomId] = []
    before: RoomsBefore | None = None
    while True:
        page = await fixtures.reader.list_page(fixtures.partition, ADA, limit, before)
        assert page is not None
        seen += [each.room_id for each in page.positions]
        if len(page.positions) < limit:
            return seen
        before = page.positions[-1]


async def is_complete(fixtures: CacheFixtures) -> bool:
    return await fixtures.reader.list_page(fixtures.partition, ADA, 10, None) is not None


async def test_a_list_is_not_complete_before_it_was_filled(fixtures: CacheFixtures) -> None:
    assert not await is_complete(fixtures)
    await fixtures.created()
    assert not await is_complete(fixtures)
    await fill(fixtures, [])
    assert await is_complete(fixtures)


async def test_an_account_without_rooms_has_nothing_that_could_be_complete(fixtures: CacheFixtures) -> None:
    await fill(fixtures, [])
    assert not await is_complete(fixtures)
    position = await fixtures.reader.account_log(fixtures.partition, ADA)
    assert (position.last, position.start) == (f"{NOW}-{EPOCH}", f"{NOW}-{EPOCH}")


@pytest.mark.parametrize("tie", [1, 7, 300])
@pytest.mark.parametrize("limit", [1, 20, 299, 300, 500])
async def test_paging_300_rooms_repeats_and_skips_none(fixtures: CacheFixtures, tie: int, limit: int) -> None:
    fixtures.live.twice = False
    found = rows(fixtures, 300, tie=tie)
    await fill(fixtures, found)
    if limit == 1 and tie == 1:
        limit = 3  # 300 round trips show nothing more
    assert await walk(fixtures, limit) == [row.room_id for row in found]


async def test_a_page_tells_the_total_and_a_cursor(fixtures: CacheFixtures) -> None:
    await fill(fixtures, rows(fixtures, 5))
    address = await fixtures.created()
    page = await fixtures.reader.list_page(fixtures.partition, ADA, 2, None)
    assert page is not None
    assert page.total == 6
    assert page.positions[0] == RoomsBefore(NOW, address.room_id) or page.positions[1] == RoomsBefore(
        NOW, address.room_id
    )
    assert page.cursor == (await fixtures.reader.account_log(fixtures.partition, ADA)).last


async def test_activity_moves_a_room_to_the_top(fixtures: CacheFixtures) -> None:
    first, second = await fixtures.claimed(), await fixtures.claimed()
    await fill(fixtures, [])
    fixtures.clock.ms += 1000
    await fixtures.send(first, 0)
    assert await walk(fixtures, 10) == [first.room_id, second.room_id]
    fixtures.clock.ms += 1000
    await fixtures.send(second, 0)
    assert await walk(fixtures, 10) == [second.room_id, first.room_id]


async def test_the_end_of_a_reply_is_activity(fixtures: CacheFixtures) -> None:
    first, second = await fixtures.claimed(), await fixtures.claimed()
    turn = await fixtures.send(first, 0)
    await fill(fixtures, [])
    fixtures.clock.ms += 1000
    await fixtures.send(second, 0)
    fixtures.clock.ms += 1000
    await fixtures.start(first, turn)
    await fixtures.complete(first, turn)
    assert await walk(fixtures, 10) == [first.room_id, second.room_id]


async def test_a_clock_that_goes_back_moves_no_room_down(fixtures: CacheFixtures) -> None:
    first, second = await fixtures.claimed(), await fixtures.claimed()
    await fill(fixtures, [])
    fixtures.clock.ms += 1000
    await fixtures.send(first, 0)
    fixtures.clock.ms -= 60_000
    await fixtures.send(first, 2)
    assert await walk(fixtures, 10) == [first.room_id, second.room_id]


async def test_rows_of_the_shard_do_not_move_a_room_back(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    fixtures.clock.ms += 1000
    await fixtures.send(address, 0)
    row = structs.replace(fixtures.room_row(address), last_message_at=NOW - 9000)
    await fill(fixtures, [row])
    page = await fixtures.reader.list_page(fixtures.partition, ADA, 10, None)
    assert page is not None
    assert page.positions == [RoomsBefore(NOW + 1000, address.room_id)]


async def test_a_room_without_messages_stands_where_it_was_created(fixtures: CacheFixtures) -> None:
    row = structs.replace(fixtures.room_row(fixtures.address()), created_at=NOW - 77)
    await fill(fixtures, [row])
    page = await fixtures.reader.list_page(fixtures.partition, ADA, 10, None)
    assert page is not None
    assert page.positions == [RoomsBefore(NOW - 77, row.room_id)]


async def test_a_list_that_expired_is_not_complete_when_something_comes(fixtures: CacheFixtures) -> None:
    await fill(fixtures, rows(fixtures, 3))
    await fixtures.redis.delete(fixtures.keys.rooms(fixtures.partition, ADA))
    assert not await is_complete(fixtures)
    await fixtures.created()
    assert not await is_complete(fixtures)
    await fill(fixtures, rows(fixtures, 3))
    assert await is_complete(fixtures)


@pytest.mark.parametrize("stored", [False, True])
async def test_a_room_that_was_deleted_while_its_row_was_on_its_way_does_not_come_back(
    fixtures: CacheFixtures, stored: bool
) -> None:
    gone, stays = await fixtures.claimed(), await fixtures.claimed()
    found = [fixtures.room_row(gone), fixtures.room_row(stays)]
    await fixtures.rooms.delete(gone, CLAIM_1, "account")
    if stored:
        await fixtures.stored(gone)
    await fill(fixtures, found)
    assert await walk(fixtures, 10) == [stays.room_id]


async def test_a_list_that_is_filled_in_pages_is_complete_with_the_last(fixtures: CacheFixtures) -> None:
    found = rows(fixtures, 6)
    for number in (0, 2, 4):
        page = found[number : number + 2]
        assert not await is_complete(fixtures)
        await fixtures.reader.fill_list(fixtures.partition, ADA, page, first=number == 0, complete=number == 4)
    assert await walk(fixtures, 4) == [row.room_id for row in found]


@pytest.mark.parametrize("touched", [False, True])
async def test_a_list_that_was_lost_while_it_was_filled_is_not_complete(fixtures: CacheFixtures, touched: bool) -> None:
    found = rows(fixtures, 4)
    await fixtures.reader.fill_list(fixtures.partition, ADA, found[:2], first=True, complete=False)
    await fixtures.redis.delete(fixtures.keys.rooms(fixtures.partition, ADA))
    if touched:
        await fixtures.created()
    await fixtures.reader.fill_list(fixtures.partition, ADA, found[2:], first=False, complete=True)
    assert not await is_complete(fixtures)


async def test_a_filled_list_and_its_account_expire_unless_work_is_under_way(fixtures: CacheFixtures) -> None:
    await fill(fixtures, rows(fixtures, 2))
    account, listed = fixtures.keys.account(fixtures.partition, ADA), fixtures.keys.rooms(fixtures.partition, ADA)
    dumped = await fixtures.dump()
    assert dumped[account][1]
    assert dumped[listed][1]
    await fixtures.created()
    await fill(fixtures, rows(fixtures, 2))
    dumped = await fixtures.dump()
    assert not dumped[account][1]
    assert not dumped[listed][1]


async def test_accounts_do_not_see_each_others_rooms(fixtures: CacheFixtures) -> None:
    mine = await fixtures.created("ada")
    await fixtures.created("bob")
    await fill(fixtures, [])
    assert await walk(fixtures, 10) == [mine.room_id]
