"""Several keys sign tokens at once; replicas learn which while they run."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence

import httpx2
import jwt
import msgspec
import pytest
from fastapi import FastAPI
from structlog.typing import EventDict

from api.access import INTERVAL, LOOK_INTERVAL
from parlor.errors import StoreUnavailable
from parlor.settings import Settings
from parlor.store.access import SigningKey
from tests.unit.api.bearer_tokens import SECRET, token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.api.signing import TestKey, hmac_signed
from tests.unit.api.test_sse import reconnect_of
from tests.unit.fake_clock import NOW_MS, FakeClock

pytestmark = pytest.mark.unit

OLD, NEW = TestKey("old"), TestKey("new")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def status(client: httpx2.AsyncClient, text: str) -> int:
    return (await client.get("/v1/rooms", headers=bearer(text))).status_code


async def followed(gateway: FakeGateway, clock: FakeClock) -> None:
    """Returns when the next round of the follower is over."""
    gateway.access.questions = asyncio.Event()
    clock.leap(INTERVAL)
    async with asyncio.timeout(10):
        await gateway.access.questions.wait()
        # The fake answers at once, so the round ends without waiting for anything else.
        await asyncio.sleep(0)


async def test_old_and_new_keys_are_accepted_side_by_side(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    await gateway.access.add_signing_key(OLD.known)
    await gateway.access.add_signing_key(NEW.known)
    for text in (OLD.token(settings.auth), NEW.token(settings.auth), token(settings)):
        assert await status(client, text) == 200


async def test_a_new_key_is_accepted_at_its_first_use(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    assert await status(client, token(settings)) == 200
    await gateway.access.add_signing_key(NEW.known)
    clock.leap(LOOK_INTERVAL)
    assert await status(client, NEW.token(settings.auth)) == 200


async def test_unknown_keys_are_looked_for_once_in_a_while(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    assert await status(client, token(settings)) == 200
    clock.leap(LOOK_INTERVAL)
    asked = gateway.access.asked
    for _ in range(20):
        assert await status(client, NEW.token(settings.auth)) == 401
    assert gateway.access.asked == asked + 1


@pytest.mark.parametrize("kid", ["old", "secret"])
async def test_a_retired_key_is_refused_within_the_interval_and_the_others_go_on(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock, kid: str
) -> None:
    await gateway.access.add_signing_key(OLD.known)
    await gateway.access.add_signing_key(NEW.known)
    tokens = {"old": OLD.token(settings.auth), "new": NEW.token(settings.auth), "secret": token(settings)}
    assert [await status(client, text) for text in tokens.values()] == [200, 200, 200]
    await gateway.access.retire_signing_key(kid, NOW_MS)
    await followed(gateway, clock)
    refused = [name for name, text in tokens.items() if await status(client, text) == 401]
    assert refused == [kid]


async def test_the_stream_of_a_retired_key_ends_with_its_cursor(
    app: FastAPI, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    await gateway.access.add_signing_key(OLD.known)
    path = f"/v1/rooms/{ROOM}/events"
    async with (
        Exchange(app, "GET", path, bearer(OLD.token(settings.auth)), "") as ends,
        Exchange(app, "GET", path, bearer(token(settings)), "") as stays,
    ):
        for stream in (ends, stays):
            await stream.start()
            await stream.chunk()
        await gateway.access.retire_signing_key("old", NOW_MS)
        await followed(gateway, clock)
        _, data = await reconnect_of(ends)
        assert data["reason"] == "token-revoked"
        gateway.subscription.batches.put_nowait([])
        assert await stays.chunk() == b": ping\n\n"


async def test_a_key_that_is_retired_while_its_stream_is_opened_ends_it(
    app: FastAPI, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    await gateway.access.add_signing_key(OLD.known)
    entered, may_go_on = asyncio.Event(), asyncio.Event()
    resolve = gateway.session

    async def slow_session(account_id: str):  # type: ignore[no-untyped-def]
        entered.set()
        await may_go_on.wait()
        return await resolve(account_id)

    gateway.session = slow_session  # type: ignore[method-assign]
    async with Exchange(app, "GET", f"/v1/rooms/{ROOM}/events", bearer(OLD.token(settings.auth)), "") as stream:
        await entered.wait()
        await gateway.access.retire_signing_key("old", NOW_MS)
        await followed(gateway, clock)
        may_go_on.set()
        await stream.start()
        await stream.chunk()
        _, data = await reconnect_of(stream)
        assert data["reason"] == "token-revoked"


async def test_changes_that_are_gone_make_everything_be_read_anew(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    await gateway.access.add_signing_key(OLD.known)
    text = OLD.token(settings.auth)
    assert await status(client, text) == 200
    await gateway.access.retire_signing_key("old", NOW_MS)
    gateway.access.tell("a-newer-program's", "x")
    gateway.access.lost = 2
    await followed(gateway, clock)
    assert await status(client, text) == 401


async def test_a_database_that_was_put_back_makes_everything_be_read_anew(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    await gateway.access.add_signing_key(OLD.known)
    text = OLD.token(settings.auth)
    assert await status(client, text) == 200
    gateway.access.keys.clear()
    gateway.access.log.clear()
    await followed(gateway, clock)
    assert await status(client, text) == 401


async def test_while_the_database_is_away_what_is_known_holds(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock, logs: Sequence[EventDict]
) -> None:
    assert await status(client, token(settings)) == 200
    gateway.access.fails = StoreUnavailable(debug="away")
    for _ in range(3):
        clock.leap(INTERVAL)
        await asyncio.sleep(0.01)
    assert await status(client, token(settings)) == 200
    assert [entry["event"] for entry in logs].count("access_not_followed") == 1


@pytest.fixture
def keys_unreachable(gateway: FakeGateway) -> None:
    gateway.access.fails = StoreUnavailable()


@pytest.mark.usefixtures("keys_unreachable")
async def test_without_the_keys_nobody_gets_in(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    assert (await client.get("/v1/rooms")).json()["code"] == "store-unavailable"
    gateway.access.fails = None
    assert await status(client, token(settings)) == 200


async def test_a_public_key_is_never_an_hmac_secret(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    await gateway.access.add_signing_key(OLD.known)
    claims = jwt.decode(OLD.token(settings.auth), options={"verify_signature": False})
    x = json.loads(OLD.known.jwk)["x"]
    raw = base64.urlsafe_b64decode(x + "=")
    for secret in (raw, x.encode(), OLD.known.jwk.encode()):
        assert await status(client, hmac_signed(claims, secret, kid="old")) == 401
    assert await status(client, hmac_signed(claims, SECRET.encode())) == 200, "forged well"
    assert await status(client, hmac_signed(claims, SECRET.encode(), kid="old")) == 401
    swapped = jwt.encode(claims, OLD.signer.key, algorithm="EdDSA")  # names no key, so it has to be the secret's
    assert await status(client, swapped) == 401
    assert await status(client, jwt.encode(claims, NEW.signer.key, algorithm="EdDSA", headers={"kid": "old"})) == 401


@pytest.mark.parametrize(
    "row",
    [
        SigningKey("odd", "ML-DSA-65", "{}", 1),
        SigningKey("odd", "EdDSA", "{}", 1),
        SigningKey("odd", "EdDSA", "not json", 1),
        msgspec.structs.replace(OLD.known, kid="secret"),
    ],
)
async def test_a_row_that_is_no_key_of_ours_harms_no_other(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, row: SigningKey
) -> None:
    await gateway.access.add_signing_key(row)
    await gateway.access.add_signing_key(NEW.known)
    assert await status(client, NEW.token(settings.auth)) == 200
    assert await status(client, token(settings)) == 200
