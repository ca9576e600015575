"""However many send at once, as much is accepted as fits into the budget, and no more (I23)."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import QuotaExceeded
from parlor.model.budgets import Budget, Payer
from parlor.model.requests import SendReceipt
from tests.unit.domain import Domain
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit

ROOMS, SENDS, FITTING = 5, 200, 10


async def tokens_of(domain: Domain) -> Budget:
    """Where ada's budget of the day stands."""
    ada = domain.ada
    standings = await domain.loader.standings(Payer(ada.account_id, ada.account_db_key, ada.partition))
    return next(each for each in standings if each.name == "tokens_per_day")


async def test_of_many_sends_at_once_as_many_are_accepted_as_the_budget_is_for(domain: Domain) -> None:
    rooms = [domain.room(await domain.new_room()) for _ in range(ROOMS)]
    for number, room in enumerate(rooms):
        # Its reply is being written, so those behind it wait, with what their turns have reserved.
        await domain.send(room, f"is answered now {number}")
        await settle()
    before = await tokens_of(domain)
    await domain.send(rooms[0], "waits")
    now = await tokens_of(domain)
    each = now.reserved - before.reserved
    assert each > 0
    limit = now.used + now.reserved + FITTING * each
    domain.live.limits.set("ada", {"tokens_per_day": limit})

    sends = (domain.send(rooms[number % ROOMS], f"send {number}") for number in range(SENDS))
    found = await asyncio.gather(*sends, return_exceptions=True)
    assert sum(isinstance(one, SendReceipt) for one in found) == FITTING
    assert sum(isinstance(one, QuotaExceeded) for one in found) == SENDS - FITTING
    full = await tokens_of(domain)
    assert (full.limit, full.used + full.reserved) == (limit, limit)

    for room in rooms:
        await domain.delete_room(room)
    await settle()
    assert (await tokens_of(domain)).reserved == 0
