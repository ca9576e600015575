"""An account's tokens end when it is revoked, in every replica."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fastapi import FastAPI

from api.tokens import issue
from parlor.model.access import Credential, Session, TicketHolder
from parlor.model.ids import AccountId
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.api.test_signing_keys import bearer, followed, status
from tests.unit.api.test_sse import reconnect_of
from tests.unit.fake_clock import NOW_MS, FakeClock

pytestmark = pytest.mark.unit

ALICE = AccountId("alice")


def token_of(settings: Settings, now_ms: int, account: str = "alice") -> str:
    return issue(settings.auth, account, timedelta(hours=1), datetime.fromtimestamp(now_ms / 1000, UTC))


async def test_earlier_tokens_end_and_later_ones_and_others_do_not(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    old, bob = token(settings), token(settings, "bob")
    assert [await status(client, text) for text in (old, bob)] == [200, 200]
    clock.leap(1)
    await gateway.access.revoke_account(ALICE, clock.ms)
    new = token_of(settings, clock.ms)
    await followed(gateway, clock)
    assert [await status(client, text) for text in (old, new, bob)] == [401, 200, 200]


async def test_the_streams_of_a_revoked_account_end_and_others_go_on(
    app: FastAPI, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    path = f"/v1/rooms/{ROOM}/events"
    async with (
        Exchange(app, "GET", path, bearer(token(settings))) as ends,
        Exchange(app, "GET", path, bearer(token(settings, "bob"))) as stays,
    ):
        for stream in (ends, stays):
            await stream.start()
            await stream.chunk()
        clock.leap(1)
        await gateway.access.revoke_account(ALICE, clock.ms)
        await followed(gateway, clock)
        _, data = await reconnect_of(ends)
        assert data["reason"] == "token-revoked"
        await ends.finished()
        gateway.subscription.batches.put_nowait([])
        assert await stays.chunk() == b": ping\n\n"


async def test_what_was_read_before_the_revocation_is_not_kept(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    """The account's row is on its way while the replica is told to forget it."""
    assert await status(client, token(settings, "bob")) == 200
    read, may_go_on, resolve = asyncio.Event(), asyncio.Event(), gateway.session

    async def slow(account_id: str) -> Session:
        found = await resolve(account_id)
        read.set()
        await may_go_on.wait()
        return found

    gateway.session = slow  # type: ignore[method-assign]
    late = asyncio.create_task(status(client, token(settings)))
    await read.wait()
    clock.leap(1)
    await gateway.access.revoke_account(ALICE, clock.ms)
    await followed(gateway, clock)
    may_go_on.set()
    await late
    assert await status(client, token(settings)) == 401


async def test_the_tickets_of_a_revoked_account_end(
    client: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    gateway.holder = TicketHolder(ALICE, Credential("secret", NOW_MS, NOW_MS + 60_000))
    await gateway.access.revoke_account(ALICE, NOW_MS + 1)
    del client.headers["authorization"]
    assert (await client.get("/v1/events?ticket=17-t")).status_code == 401
    del clock
