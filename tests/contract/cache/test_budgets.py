"""Budgets: reserved by the scripts that append, settled by those that end, exact whatever is lost (I23)."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from parlor.cache.budgets import BudgetCache, Sums
from parlor.cache.live import RoomAddress
from parlor.cache.usage import UsageCache
from parlor.errors import ForeignCache, OutOfStep, QuotaExceeded, Uncounted
from parlor.model.budgets import BILLION, DAY_MS, Budget, Period
from parlor.model.ids import MessageId
from parlor.model.messages import Usage
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, NOW, THEIRS, CacheFixtures
from tests.contract.cache.spending import ASK, ask, end, limit, load, payer_of, spent, standing, start
from tests.contract.cache.test_deletes import delete

pytestmark = pytest.mark.contract


async def test_a_turn_reserves_and_its_end_settles(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000, cost_per_month=1.0)
    address = await fixtures.claimed()
    await load(fixtures, Sums(300, 300, 5000, 9000))
    reply = await ask(fixtures, address, 0)
    assert await spent(fixtures) == (300, 100)
    assert await standing(fixtures, "cost_per_month") == Budget(
        "cost_per_month", BILLION, 9000, 840, Period.at(NOW).month_ends
    )
    assert await start(fixtures, address, reply, structs.replace(ASK, prompt=35)) == 80
    assert await spent(fixtures) == (300, 115)
    await end(fixtures, address, reply, Usage(30, 11))
    assert await spent(fixtures) == (341, 0)
    assert (await standing(fixtures, "cost_per_month")).used == 9000 + 60 + 110
    (entry,) = [entry for entry in await fixtures.queued() if entry.cost]
    assert (entry.cost, entry.since) == (170, NOW)


async def test_of_200_sends_at_once_those_are_taken_that_the_budget_has_room_for(fixtures: CacheFixtures) -> None:
    fixtures.live.twice = False
    limit(fixtures, tokens_per_day=1000)
    rooms = [await fixtures.claimed() for _ in range(20)]
    await load(fixtures)
    refused: list[QuotaExceeded] = []
    replies: list[tuple[RoomAddress, MessageId]] = []

    async def send(address: RoomAddress) -> None:
        for _ in range(10):
            try:
                replies.append((address, await ask(fixtures, address, 0)))
            except QuotaExceeded as error:
                refused.append(error)
            except OutOfStep:
                continue  # The room has its turn.

    await asyncio.gather(*map(send, rooms))
    assert len(replies) == 10
    assert {error.retry_after for error in refused} == {5.0}
    assert await spent(fixtures) == (0, 1000)
    # However long they wait.
    fixtures.clock.ms += 600_000
    for address, reply in replies:
        assert await start(fixtures, address, reply) == 80
        await end(fixtures, address, reply, Usage(20, 80))
    assert await spent(fixtures) == (1000, 0)
    with pytest.raises(QuotaExceeded) as over:
        await ask(fixtures, rooms[-1], 0)
    assert over.value.extra == {"limit": "tokens_per_day"}
    assert over.value.retry_after == (Period.at(NOW).day_ends - fixtures.clock.ms) / 1000


@pytest.mark.parametrize(
    ("limits", "answer"),
    [
        ({"tokens_per_day": 60}, 40),
        ({"tokens_per_month": 36}, 16),
        ({"tokens_per_month": 35}, None),
        ({"cost_per_day": 541e-9}, 50),
        ({"cost_per_day": 541e-9, "tokens_per_day": 45}, 25),
        ({"cost_per_month": 199e-9}, None),
        ({"cost_per_month": 200e-9}, 16),
        ({"tokens_per_day": 0}, None),
        ({"tokens_per_day": 100}, 80),
    ],
)
async def test_an_answer_may_have_what_is_left(
    fixtures: CacheFixtures, limits: dict[str, float], answer: int | None
) -> None:
    limit(fixtures, **limits)
    address = await fixtures.claimed()
    await load(fixtures)
    before = await fixtures.dump()
    if answer is None:
        with pytest.raises(QuotaExceeded) as over:
            await ask(fixtures, address, 0)
        assert over.value.extra == {"limit": next(iter(limits))}
        assert await fixtures.dump() == before
    else:
        reply = await ask(fixtures, address, 0)
        assert await start(fixtures, address, reply) == answer


async def test_without_a_limit_nothing_is_counted_and_nothing_is_asked_for(fixtures: CacheFixtures) -> None:
    limit(fixtures)
    address = await fixtures.claimed()
    reply = await ask(fixtures, address, 0)
    assert await start(fixtures, address, reply) is None
    await end(fixtures, address, reply, Usage(20, 80))
    assert await BudgetCache(fixtures.live).standings(payer_of(fixtures)) is None


async def test_what_redis_does_not_know_is_loaded_first(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    before = await fixtures.dump()
    with pytest.raises(Uncounted):
        await ask(fixtures, address, 0)
    assert await fixtures.dump() == before
    await load(fixtures, Sums(950, 950, 0, 0))
    with pytest.raises(QuotaExceeded):
        await ask(fixtures, address, 0, structs.replace(ASK, prompt=40))
    await load(fixtures, Sums(1, 1, 0, 0))
    assert await spent(fixtures) == (950, 0)


async def test_another_installations_redis_keeps_its_counters(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000)
    await fixtures.claimed()
    await fixtures.redis.hset(fixtures.keys.partition(fixtures.partition), "installation", THEIRS)
    before = await fixtures.dump()
    with pytest.raises(ForeignCache):
        await load(fixtures)
    with pytest.raises(ForeignCache):
        await BudgetCache(fixtures.live).reserve(payer_of(fixtures), fixtures.message_id(), ASK)
    assert await fixtures.dump() == before


async def test_what_is_not_committed_yet_is_not_forgotten_by_loading(fixtures: CacheFixtures) -> None:
    """Something was counted while there was no budget: the shard's sums are not exact before it has that."""
    limit(fixtures)
    address = await fixtures.claimed()
    reply = await ask(fixtures, address, 0)
    await start(fixtures, address, reply)
    await end(fixtures, address, reply, Usage(20, 80))
    limit(fixtures, tokens_per_day=1000)
    with pytest.raises(OutOfStep):
        await load(fixtures)
    last = max(entry.position for entry in await fixtures.queued())
    await load(fixtures, Sums(100, 100, 0, 0), last)
    assert await spent(fixtures) == (100, 0)


async def test_loading_keeps_what_is_reserved(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    await load(fixtures)
    reply = await ask(fixtures, address, 0)
    await fixtures.redis.hdel(fixtures.key("account", address), "budget_day")
    with pytest.raises(Uncounted):
        await start(fixtures, address, reply)
    await load(fixtures, Sums(7, 7, 0, 0))
    assert await spent(fixtures) == (7, 100)


async def test_a_takeover_charges_what_the_dead_attempt_had_and_reserves_anew(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    await load(fixtures)
    reply = await ask(fixtures, address, 0)
    await start(fixtures, address, reply)
    await fixtures.claim(address.room_id, CLAIM_2)
    may = await fixtures.rooms.start_attempt(address, CLAIM_2, reply, 2, 2, had=7, ask=ASK)
    assert may == 80
    assert await spent(fixtures) == (27, 100)
    (charge,) = [entry for entry in await fixtures.queued() if entry.op == "CHAT_USAGE_ADD"]
    assert (charge.usage, charge.cost, charge.at) == (Usage(20, 7), 20 * 2 + 7 * 10, NOW)


async def test_a_takeover_that_the_budget_does_not_allow_charges_all_the_same(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=100)
    address = await fixtures.claimed()
    await load(fixtures)
    reply = await ask(fixtures, address, 0)
    await start(fixtures, address, reply)
    with pytest.raises(QuotaExceeded):
        await start(fixtures, address, reply, attempt=2, had=70)
    assert await spent(fixtures) == (90, 0)
    await end(fixtures, address, reply, None)
    assert await spent(fixtures) == (90, 0)


async def test_an_owner_that_only_ends_a_dead_attempt_charges_it(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    await load(fixtures)
    reply = await ask(fixtures, address, 0)
    await start(fixtures, address, reply)
    await end(fixtures, address, reply, None, had=13)
    assert await spent(fixtures) == (33, 0)


async def test_a_turn_that_is_stopped_while_it_waits_costs_nothing(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    await load(fixtures)
    reply = await ask(fixtures, address, 0)
    await end(fixtures, address, reply, None, had=0)
    assert await spent(fixtures) == (0, 0)


@pytest.mark.parametrize("whole_room", [False, True])
async def test_a_delete_gives_back_what_has_not_begun(fixtures: CacheFixtures, whole_room: bool) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    await load(fixtures)
    running = await ask(fixtures, address, 0)
    await ask(fixtures, address, 2)
    await start(fixtures, address, running)
    if whole_room:
        await fixtures.rooms.delete(address, CLAIM_1, "account")
    else:
        await delete(fixtures, address, 2)
        await delete(fixtures, address, 4)
    # What the running one has used is told when its owner has noticed.
    assert await spent(fixtures) == (0, 100)
    usage = UsageCache(fixtures.live)
    await usage.add(address, "reply", f"{running}:2", Usage(20, 9), 70, running, 2)
    assert await spent(fixtures) == (0, 100), "that attempt has nothing reserved"
    await usage.add(address, "reply", f"{running}:1", Usage(20, 3), 70, running, 1)
    assert await spent(fixtures) == (23, 0)


async def test_a_new_day_begins_at_zero_and_takes_the_reservations_of_that_day_only(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000, tokens_per_month=2000)
    address, other = await fixtures.claimed(), await fixtures.claimed()
    await load(fixtures, Sums(500, 700, 0, 0))
    late = await ask(fixtures, address, 0)
    await start(fixtures, address, late)
    fixtures.clock.ms += DAY_MS
    await ask(fixtures, other, 0)
    assert await spent(fixtures) == (0, 100)
    month = await standing(fixtures, "tokens_per_month")
    assert (month.used, month.reserved) == (700, 200)
    await end(fixtures, address, late, Usage(20, 30))
    assert await spent(fixtures) == (0, 100)
    month = await standing(fixtures, "tokens_per_month")
    assert (month.used, month.reserved) == (750, 100)


async def test_a_clock_that_is_far_behind_has_the_counters_loaded_again(fixtures: CacheFixtures) -> None:
    limit(fixtures, tokens_per_day=1000)
    address = await fixtures.claimed()
    fixtures.clock.ms += 40 * DAY_MS
    await load(fixtures, Sums(990, 990, 0, 0))
    fixtures.clock.ms = NOW
    with pytest.raises(Uncounted):
        await ask(fixtures, address, 0)
    await load(fixtures, Sums(10, 10, 0, 0))
    assert await spent(fixtures) == (10, 0)
