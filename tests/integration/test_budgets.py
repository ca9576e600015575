"""Budgets on the running program: however many send at once, as much is accepted as fits, and no more (I23)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from uuid import uuid4

import httpx2
import pytest

from parlor_cli.bearer import issue_token
from tests.installation import Installation
from tests.integration.user import Json, User, of, signed_in
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

ROUNDS = int(os.environ.get("PARLOR_TEST_BUDGET_ROUNDS", "1"))
"""How often; 20 says something about races."""
ROOMS, SENDS, FITTING = 5, 200, 10
HELD = "[[tokens=9000 delay=200ms]]"
"""A reply that stays open, and keeps what it has reserved: one that says nothing for a while would end."""


@pytest.fixture
async def admin(installation: Installation) -> AsyncIterator[User]:
    # In this process: a command takes a second of a processor.
    headers = {"Authorization": f"Bearer {issue_token(installation.data_dir, 'olga', None, ['admin'])}"}
    async with httpx2.AsyncClient(base_url=installation.base_url, headers=headers, timeout=30) as http:
        yield User(http, "olga")


async def budget_of(user: User) -> Json:
    found: Json = (await user.get("/v1/usage"))["limits"]["tokens_per_day"]
    return found


async def attempt(user: User, room: str) -> str:
    """Sends; returns what became of it."""
    answer = await user.http.post(f"{of(room)}/messages", json={"content": HELD})
    return "accepted" if answer.status_code == 201 else str(answer.json()["code"])


async def all_at_once(user: User, rooms: list[str], sends: int) -> Counter[str]:
    return Counter(await asyncio.gather(*(attempt(user, rooms[number % len(rooms)]) for number in range(sends))))


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_of_many_sends_at_once_as_many_are_accepted_as_the_budget_is_for(
    installation: Installation, admin: User, number: int
) -> None:
    async with signed_in(installation, f"spender-{number}-{uuid4().hex}") as user:
        account = f"/v1/admin/accounts/{user.account}"
        rooms = [await user.create_room() for _ in range(ROOMS)]
        for room in rooms:
            await user.converse(room, "[[tokens=5]]")
            # Its reply is being written, so those behind it wait, with what their turns have reserved.
            held = await user.send(room, HELD)
            started = f"{of(room)}/messages/{held['reply']['message_id']}"
            await eventually(partial(user.get, started), lambda found: found["attempt"] == 1)
        before = await eventually(lambda: budget_of(user), lambda found: found["reserved"] > 0)
        await user.send(rooms[0], HELD)
        each = (await budget_of(user))["reserved"] - before["reserved"]
        assert each > 0
        taken = (await budget_of(user))["used"] + (await budget_of(user))["reserved"]
        assert (await admin.http.patch(account, json={"limits": {"tokens_per_day": taken}})).status_code == 200
        # Each room's owner follows what an operator sets.
        for room in rooms:
            await eventually(partial(attempt, user, room), lambda became: became == "quota-exceeded")
        taken = (await budget_of(user))["used"] + (await budget_of(user))["reserved"]
        limit = taken + FITTING * each
        assert (await admin.http.patch(account, json={"limits": {"tokens_per_day": limit}})).status_code == 200

        found: Counter[str] = Counter()
        while found["accepted"] < FITTING:
            found += await all_at_once(user, rooms, SENDS)
        found += await all_at_once(user, rooms, SENDS)
        assert found["accepted"] == FITTING
        assert found.keys() == {"accepted", "quota-exceeded"}
        full = await budget_of(user)
        assert (full["limit"], full["left"], full["used"] + full["reserved"]) == (limit, 0, limit)
        refused = await user.http.post(f"{of(rooms[0])}/messages", json={"content": HELD})
        assert refused.headers["retry-after"]
        assert refused.headers["ratelimit"].startswith('"tokens_per_day";r=0;')

        for room in rooms:
            assert (await user.http.delete(of(room))).status_code == 202
        spent = await eventually(lambda: budget_of(user), lambda now: now["reserved"] == 0, 60)
        assert spent["used"] <= limit
        days = await eventually(
            lambda: user.get("/v1/usage"),
            lambda now: now["total"]["input_tokens"] + now["total"]["output_tokens"] == spent["used"],
        )
        assert days["limits"]["tokens_per_day"]["used"] == spent["used"], "the shard and Redis agree"
