"""The sessions of people who signed in by OpenID Connect."""

from __future__ import annotations

from typing import Any

import httpx2
import jwt
import pytest

from api.key_ring import SESSION
from api.session_keys import SessionSigner
from parlor.model.ids import AccountId
from parlor.settings import Settings
from parlor.settings.openid import OpenIdSettings
from tests.openid_issuer import OpenIdIssuer
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.openid.browsing import (
    CALLBACK,
    NOW,
    PERSON,
    SESSION_COOKIE,
    START,
    TAB,
    agree,
    browser_of,
    leave,
    outcome,
    replica,
    sign_in,
    with_openid,
)
from tests.unit.api.test_signing_keys import followed
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("claim", "person", "account"),
    [
        ("sub", {}, PERSON),
        ("sub", {"sub": " "}, None),
        ("sub", {"sub": "x" * 129}, None),
        ("preferred_username", {"preferred_username": "ada"}, "ada"),
        ("preferred_username", {}, None),
        ("preferred_username", {"preferred_username": 7}, None),
        ("email", {"email": "ada@example.org", "email_verified": True}, "ada@example.org"),
        ("email", {"email": "ada@example.org", "email_verified": False}, None),
        ("email", {"email": "ada@example.org", "email_verified": "true"}, None),
        ("email", {"email": "ada@example.org"}, None),
    ],
)
async def test_the_account_is_what_the_claim_says(
    settings: Settings,
    gateway: FakeGateway,
    clock: FakeClock,
    issuer: OpenIdIssuer,
    claim: str,
    person: dict[str, Any],
    account: str | None,
) -> None:
    issuer.person |= person
    async with replica(with_openid(settings, account_claim=claim), gateway, clock) as app, browser_of(app) as browser:
        answer = await sign_in(browser)
        if account is None:
            assert outcome(answer) == (403, "forbidden")
        else:
            assert (await browser.get("/v1/session")).json()["account_id"] == account


async def test_an_account_that_is_shut_out_stays_out(
    browser: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    gateway.administration.numbers[PERSON] = 7
    await gateway.administration.set_disabled(AccountId(PERSON), True)
    assert outcome(await sign_in(browser)) == (403, "forbidden")
    await gateway.administration.set_disabled(AccountId(PERSON), False)
    await followed(gateway, clock)
    answer = await sign_in(browser, **TAB)
    assert answer.headers["location"] == "/"


async def test_a_revoked_session_ends_and_a_later_one_does_not(
    browser: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock
) -> None:
    await sign_in(browser)
    assert (await browser.get("/v1/session")).status_code == 200
    clock.leap(1)
    await gateway.access.revoke_account(AccountId(PERSON), clock.ms)
    await followed(gateway, clock)
    assert (await browser.get("/v1/session")).status_code == 401
    await sign_in(browser)
    assert (await browser.get("/v1/session")).status_code == 200


async def test_any_replica_takes_somebody_back(
    settings: Settings, gateway: FakeGateway, clock: FakeClock, browser: httpx2.AsyncClient
) -> None:
    back = await agree(await leave(browser))
    async with replica(settings, gateway, clock) as app, browser_of(app) as other:
        other.cookies = browser.cookies
        assert (await other.get(back)).status_code == 303
        session = other.cookies[SESSION_COOKIE]
    answer = await browser.get("/v1/session", headers={"Cookie": f"{SESSION_COOKIE}={session}"})
    assert answer.json()["account_id"] == PERSON


async def test_what_replicas_sign_is_never_an_operators(
    settings: Settings, gateway: FakeGateway, clock: FakeClock, browser: httpx2.AsyncClient
) -> None:
    key = SessionSigner(settings.auth, clock).key
    claims = {"sub": "eve", "iss": "parlor", "aud": "parlor-api", "iat": NOW, "exp": NOW + 60, "scope": "admin"}
    bearer = {"Authorization": f"Bearer {jwt.encode(claims, key, algorithm='HS256', headers={'kid': SESSION})}"}
    assert (await browser.get("/v1/session", headers=bearer)).json()["scopes"] == ["read", "write"]
    assert (await browser.get("/v1/admin/status", headers=bearer)).status_code == 403
    without = settings.model_copy(update={"openid": OpenIdSettings()})
    async with replica(without, gateway, clock) as app, browser_of(app) as other:
        assert (await other.get("/v1/session", headers=bearer)).status_code == 401, "nobody signs with it"
        assert outcome(await other.get(START)) == outcome(await other.get(CALLBACK)) == (403, "forbidden")
