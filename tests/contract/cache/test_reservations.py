"""Calls that belong to no turn, and the sweep that settles what nothing needs any more (I23)."""

from __future__ import annotations

import pytest

from parlor.cache.budgets import PATIENCE_MS, BudgetCache
from parlor.errors import QuotaExceeded
from parlor.model.messages import Usage
from tests.contract.cache.fixtures import CacheFixtures
from tests.contract.cache.spending import ASK, ask, limit, load, payer_of, spent, start

pytestmark = pytest.mark.contract


@pytest.fixture
def budgets(fixtures: CacheFixtures) -> BudgetCache:
    return BudgetCache(fixtures.live)


async def test_a_call_reserves_is_settled_once_and_leaves_nothing(
    fixtures: CacheFixtures, budgets: BudgetCache
) -> None:
    limit(fixtures, tokens_per_day=1000)
    await load(fixtures)
    payer = payer_of(fixtures)
    reservation = await budgets.reserve(payer, fixtures.message_id(), ASK)
    assert (reservation.answer_tokens, await spent(fixtures)) == (80, (0, 100))
    await budgets.renew(reservation, Usage(20, 1))
    await budgets.settle(reservation, Usage(20, 5))
    assert await spent(fixtures) == (25, 0)
    (entry,) = await fixtures.queued()
    assert (entry.usage, entry.cost) == (Usage(20, 5), 90)
    await fixtures.finish(entry.address, [entry])
    assert await fixtures.queued() == []
    assert fixtures.keys.room(fixtures.partition, entry.address.room_id) not in await fixtures.dump()


async def test_a_call_without_a_limit_is_counted_all_the_same(fixtures: CacheFixtures, budgets: BudgetCache) -> None:
    limit(fixtures)
    reservation = await budgets.reserve(payer_of(fixtures), fixtures.message_id(), ASK)
    assert reservation.answer_tokens is None
    await budgets.settle(reservation, Usage(3, 4))
    assert [entry.usage for entry in await fixtures.queued()] == [Usage(3, 4)]


async def test_a_call_is_refused_like_a_turn(fixtures: CacheFixtures, budgets: BudgetCache) -> None:
    limit(fixtures, tokens_per_day=30)
    await load(fixtures)
    with pytest.raises(QuotaExceeded):
        await budgets.reserve(payer_of(fixtures), fixtures.message_id(), ASK)


# The sweep


async def sweep(fixtures: CacheFixtures) -> int:
    """As the Supervisor does it; how many reservations it settled."""
    budgets, done = BudgetCache(fixtures.live), 0
    for payer in await budgets.due(fixtures.partition, 10):
        for held in await budgets.held(payer):
            done += await budgets.sweep(held)
    return done


async def pass_time(fixtures: CacheFixtures, seconds: int) -> int:
    done = 0
    for _ in range(0, seconds, 10):
        fixtures.clock.ms += 10_000
        done += await sweep(fixtures)
    return done


async def test_what_an_open_turn_has_reserved_stays(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    await load(fixtures)
    await ask(fixtures, address, 0)
    assert await pass_time(fixtures, 600) == 0
    assert await spent(fixtures) == (0, 100)


@pytest.mark.parametrize(("begun", "used"), [(False, 0), (True, 20)])
async def test_what_no_turn_owns_any_more_is_found_within_a_minute(
    fixtures: CacheFixtures, begun: bool, used: int
) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    await load(fixtures)
    reply = await ask(fixtures, address, 0)
    if begun:
        await start(fixtures, address, reply)
    await fixtures.redis.zrem(fixtures.key("open", address), reply)
    assert await pass_time(fixtures, 60) == 1
    assert await spent(fixtures) == (used, 0)
    assert await pass_time(fixtures, 60) == 0


async def test_a_call_that_is_not_heard_of_is_charged_what_it_told_last(
    fixtures: CacheFixtures, budgets: BudgetCache
) -> None:
    limit(fixtures, tokens_per_day=1000)
    await load(fixtures)
    kept, lost = [await budgets.reserve(payer_of(fixtures), fixtures.message_id(), ASK) for _ in range(2)]
    await budgets.renew(lost, Usage(20, 9))
    for _ in range(6):
        await budgets.renew(kept, Usage(20, 1))
        await pass_time(fixtures, 10)
    assert await spent(fixtures) == (29, 100)
    await budgets.settle(lost, Usage(20, 80))
    assert await spent(fixtures) == (29, 100)


async def test_an_account_without_reservations_is_not_looked_at(fixtures: CacheFixtures, budgets: BudgetCache) -> None:
    limit(fixtures, tokens_per_day=1000)
    await load(fixtures)
    reservation = await budgets.reserve(payer_of(fixtures), fixtures.message_id(), ASK)
    await budgets.settle(reservation, Usage(1, 1))
    fixtures.clock.ms += PATIENCE_MS
    (payer,) = await budgets.due(fixtures.partition, 10)
    await budgets.unlist(payer)
    assert await budgets.due(fixtures.partition, 10) == []
