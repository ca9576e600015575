"""Sessions of the page, at two replicas of a running installation."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.installation import Installation
from tests.integration.sse import reading
from tests.integration.test_access import REFUSED_WITHIN, STREAMS_END_WITHIN, parlor, statuses, undisturbed
from tests.integration.user import EVENTS, User
from tests.integration.waiting import patience

pytestmark = pytest.mark.integration
KINDS = ("embedded",)


async def code_of(installation: Installation, account: str) -> str:
    return (await parlor(installation, "sign-in", account)).partition("#code=")[2]


@contextlib.asynccontextmanager
async def browsers(installation: Installation, other_door: str) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Two programs that keep cookies as browsers do, one at each replica."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=30))
            for url in (installation.base_url, other_door)
        ]


async def test_of_two_who_use_a_code_at_two_replicas_one_is_signed_in(
    installation: Installation, other_door: str, user: User
) -> None:
    body = {"code": await code_of(installation, user.account)}
    async with browsers(installation, other_door) as clients:
        answers = await asyncio.gather(*(each.post("/v1/session", json=body) for each in clients))
        assert sorted(answer.status_code for answer in answers) == [201, 401]
        assert sorted(await statuses(clients)) == [200, 401]


async def test_a_session_is_good_everywhere_until_its_account_is_revoked(
    installation: Installation, other_door: str, user: User, stranger: User
) -> None:
    async with undisturbed(stranger), browsers(installation, other_door) as clients:
        for each in clients:
            signed_in = await each.post("/v1/session", json={"code": await code_of(installation, user.account)})
            assert signed_in.json()["account_id"] == user.account
        here, there = clients
        there.cookies = here.cookies
        assert await statuses(clients) == [200, 200], "whichever replica gave it"
        room = await here.post("/v1/rooms", json={}, headers={"Origin": installation.base_url})
        assert room.status_code == 201
        async with reading(there, "GET", "/v1/events", headers=EVENTS) as stream:
            await parlor(installation, "revoke", user.account)
            revoked = time.monotonic()
            while await statuses(clients) != [401, 401]:
                assert time.monotonic() - revoked < patience(REFUSED_WITHIN)
                await asyncio.sleep(0.1)
            left = revoked + patience(STREAMS_END_WITHIN) - time.monotonic()
            events = await stream.until("stream.reconnect", seconds=left)
            assert events[-1].data["reason"] == "token-revoked"
