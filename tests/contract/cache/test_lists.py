"""read_list and load_list: an account's rooms, complete and in order."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.ids import AccountId, RoomId
from parlor.store.ports import RoomRow, RoomsBefore
from tests.contract.cache.world import NOW, World

pytestmark = pytest.mark.contract
ADA = AccountId("ada")


def rows(world: World, count: int, *, tie: int = 1) -> list[RoomRow]:
    """Newest activity first, as a shard gives them; ``tie`` rooms share each moment."""
    made = [
        structs.replace(world.room_row(world.address()), last_message_at=NOW - 1000 * (number // tie))
        for number in range(count)
    ]
    return sorted(made, key=lambda row: (row.last_message_at or 0, row.room_id), reverse=True)


async def fill(world: World, found: list[RoomRow]) -> None:
    await world.reader.fill_list(world.partition, ADA, found, first=True, complete=True)


async def walk(world: World, limit: int) -> list[RoomId]:
    """Page by page to the end."""
    seen: list[RoomId] = []
    before: RoomsBefore | None = None
    while True:
        page = await world.reader.list_page(world.partition, ADA, limit, before)
        assert page is not None
        seen += [place.room_id for place in page.places]
        if len(page.places) < limit:
            return seen
        before = page.places[-1]


async def is_complete(world: World) -> bool:
    return await world.reader.list_page(world.partition, ADA, 10, None) is not None


async def test_a_list_is_not_complete_before_it_was_filled(world: World) -> None:
    assert not await is_complete(world)
    await world.created()
    assert not await is_complete(world)
    await fill(world, [])
    assert await is_complete(world)


async def test_an_account_without_rooms_has_nothing_that_could_be_complete(world: World) -> None:
    await fill(world, [])
    assert not await is_complete(world)
    position = await world.reader.account_log(world.partition, ADA)
    assert (position.last, position.start) == (f"{NOW}-0", f"{NOW}-0")


@pytest.mark.parametrize("tie", [1, 7, 300])
@pytest.mark.parametrize("limit", [1, 20, 299, 300, 500])
async def test_paging_300_rooms_repeats_and_skips_none(world: World, tie: int, limit: int) -> None:
    world.live.twice = False
    found = rows(world, 300, tie=tie)
    await fill(world, found)
    if limit == 1 and tie == 1:
        limit = 3  # 300 round trips show nothing more
    assert await walk(world, limit) == [row.room_id for row in found]


async def test_a_page_tells_the_total_and_a_cursor(world: World) -> None:
    await fill(world, rows(world, 5))
    address = await world.created()
    page = await world.reader.list_page(world.partition, ADA, 2, None)
    assert page is not None
    assert page.total == 6
    assert page.places[0] == RoomsBefore(NOW, address.room_id) or page.places[1] == RoomsBefore(NOW, address.room_id)
    assert page.cursor == (await world.reader.account_log(world.partition, ADA)).last


async def test_activity_moves_a_room_to_the_top(world: World) -> None:
    first, second = await world.claimed(), await world.claimed()
    await fill(world, [])
    world.clock.now += 1000
    await world.send(first, 0)
    assert await walk(world, 10) == [first.room_id, second.room_id]
    world.clock.now += 1000
    await world.send(second, 0)
    assert await walk(world, 10) == [second.room_id, first.room_id]


async def test_the_end_of_a_reply_is_activity(world: World) -> None:
    first, second = await world.claimed(), await world.claimed()
    turn = await world.send(first, 0)
    await fill(world, [])
    world.clock.now += 1000
    await world.send(second, 0)
    world.clock.now += 1000
    await world.start(first, turn)
    await world.complete(first, turn)
    assert await walk(world, 10) == [first.room_id, second.room_id]


async def test_a_clock_that_goes_back_moves_no_room_down(world: World) -> None:
    first, second = await world.claimed(), await world.claimed()
    await fill(world, [])
    world.clock.now += 1000
    await world.send(first, 0)
    world.clock.now -= 60_000
    await world.send(first, 2)
    assert await walk(world, 10) == [first.room_id, second.room_id]


async def test_rows_of_the_shard_do_not_move_a_room_back(world: World) -> None:
    address = await world.claimed()
    world.clock.now += 1000
    await world.send(address, 0)
    row = structs.replace(world.room_row(address), last_message_at=NOW - 9000)
    await fill(world, [row])
    page = await world.reader.list_page(world.partition, ADA, 10, None)
    assert page is not None
    assert page.places == [RoomsBefore(NOW + 1000, address.room_id)]


async def test_a_room_without_messages_stands_where_it_was_created(world: World) -> None:
    row = structs.replace(world.room_row(world.address()), created_at=NOW - 77)
    await fill(world, [row])
    page = await world.reader.list_page(world.partition, ADA, 10, None)
    assert page is not None
    assert page.places == [RoomsBefore(NOW - 77, row.room_id)]


async def test_a_list_that_expired_is_not_complete_when_something_comes(world: World) -> None:
    await fill(world, rows(world, 3))
    await world.redis.delete(world.keys.rooms(world.partition, ADA))
    assert not await is_complete(world)
    await world.created()
    assert not await is_complete(world)
    await fill(world, rows(world, 3))
    assert await is_complete(world)


@pytest.mark.parametrize("stored", [False, True])
async def test_a_room_that_was_deleted_while_its_row_was_on_its_way_does_not_come_back(
    world: World, stored: bool
) -> None:
    gone, stays = await world.claimed(), await world.claimed()
    found = [world.room_row(gone), world.room_row(stays)]
    await world.rooms.delete(gone, "claim-1", "account")
    if stored:
        await world.stored(gone)
    await fill(world, found)
    assert await walk(world, 10) == [stays.room_id]


async def test_a_list_that_is_filled_in_pages_is_complete_with_the_last(world: World) -> None:
    found = rows(world, 6)
    for number in (0, 2, 4):
        page = found[number : number + 2]
        assert not await is_complete(world)
        await world.reader.fill_list(world.partition, ADA, page, first=number == 0, complete=number == 4)
    assert await walk(world, 4) == [row.room_id for row in found]


@pytest.mark.parametrize("touched", [False, True])
async def test_a_list_that_was_lost_while_it_was_filled_is_not_complete(world: World, touched: bool) -> None:
    found = rows(world, 4)
    await world.reader.fill_list(world.partition, ADA, found[:2], first=True, complete=False)
    await world.redis.delete(world.keys.rooms(world.partition, ADA))
    if touched:
        await world.created()
    await world.reader.fill_list(world.partition, ADA, found[2:], first=False, complete=True)
    assert not await is_complete(world)


async def test_a_filled_list_and_its_account_expire_unless_work_is_under_way(world: World) -> None:
    await fill(world, rows(world, 2))
    account, listed = world.keys.account(world.partition, ADA), world.keys.rooms(world.partition, ADA)
    dumped = await world.dump()
    assert dumped[account][1]
    assert dumped[listed][1]
    await world.created()
    await fill(world, rows(world, 2))
    dumped = await world.dump()
    assert not dumped[account][1]
    assert not dumped[listed][1]


async def test_accounts_do_not_see_each_others_rooms(world: World) -> None:
    mine = await world.created("ada")
    await world.created("bob")
    await fill(world, [])
    assert await walk(world, 10) == [mine.room_id]
