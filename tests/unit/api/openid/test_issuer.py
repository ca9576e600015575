"""The issuer: what it says is checked, its keys rotate, and it may be down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from structlog.typing import EventDict

from tests.openid_issuer import CLIENT_ID, CLIENT_SECRET, WELL_KNOWN, IssuerKey, OpenIdIssuer
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.openid.browsing import (
    NOW,
    PERSON,
    SESSION_COOKIE,
    START,
    TAB,
    agree,
    browser_of,
    cookies_of,
    leave,
    outcome,
    sign_in,
)
from tests.unit.api.signing import hmac_signed
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

FORGED: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "somebody"},
    "several audiences without a party": {"aud": [CLIENT_ID, "somebody"]},
    "another party": {"aud": [CLIENT_ID, "somebody"], "azp": "somebody"},
    "another issuer": {"iss": "https://id.example"},
    "expired": {"exp": NOW - 11},
    "issued in the future": {"iat": NOW + 11},
    "not valid yet": {"nbf": NOW + 11},
    "no end": {"exp": None},
    "no beginning": {"iat": None},
    "nobody": {"sub": None},
    "odd times": {"exp": "soon"},
    "another access token": {"at_hash": "x"},
}


@pytest.mark.parametrize("case", FORGED)
async def test_a_token_that_does_not_say_who_came_back_signs_nobody_in(
    browser: httpx2.AsyncClient, gateway: FakeGateway, issuer: OpenIdIssuer, case: str
) -> None:
    issuer.claims = FORGED[case]
    answer = await sign_in(browser)
    assert outcome(answer) == (401, "unauthenticated")
    assert SESSION_COOKIE not in cookies_of(answer)
    assert gateway.calls == []
    issuer.claims = {"aud": [CLIENT_ID, "somebody"], "azp": CLIENT_ID}
    assert (await sign_in(browser)).status_code == 303


def _by_public_key(issuer: OpenIdIssuer, claims: dict[str, Any]) -> str:
    pem = issuer.keys[-1].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac_signed(claims, pem, kid="first")


SIGNED: dict[str, Any] = {
    "alg none": lambda _, claims: jwt.encode(claims, "", algorithm="none", headers={"kid": "first"}),
    "the client's secret": lambda _, claims: hmac_signed(claims, CLIENT_SECRET.encode(), kid="first"),
    "the public key as a secret": _by_public_key,
    "another key by a known name": lambda _, claims: IssuerKey("first").sign(claims),
    "a key that there is not": lambda _, claims: IssuerKey("other").sign(claims),
    "no JWT": lambda *_: "x.y.z",
    "a huge one": lambda issuer, claims: issuer.keys[-1].sign(claims | {"more": "x" * 70_000}),
}


@pytest.mark.parametrize("case", SIGNED)
async def test_a_token_that_the_issuer_has_not_signed_signs_nobody_in(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, clock: FakeClock, case: str
) -> None:
    issuer.sign = lambda claims: str(SIGNED[case](issuer, claims))
    back = await agree(await leave(browser))
    finishing = asyncio.create_task(browser.get(back))
    while not finishing.done():  # a key that is not known is asked for once more, as soon as that is allowed
        await asyncio.sleep(0.01)
        clock.leap(1)
    assert outcome(finishing.result()) == (401, "unauthenticated")
    assert issuer.asked["/keys"] <= 2


async def test_sessions_go_on_while_the_issuer_is_down(
    browser: httpx2.AsyncClient, app: FastAPI, clock: FakeClock, issuer: OpenIdIssuer, logs: Sequence[EventDict]
) -> None:
    await sign_in(browser)
    async with browser_of(app) as other:
        back = await agree(await leave(other))
        issuer.stop()
        clock.leap(1)
        for path in (START, back):
            answer = await other.get(path)
            assert (outcome(answer), answer.headers["retry-after"]) == ((503, "provider-unavailable"), "1")
        seen = await other.get(START, headers=TAB)
        assert seen.headers["location"] == "/#sign-in-problem=provider-unavailable"
        assert (await browser.get("/v1/session")).json()["account_id"] == PERSON
        assert "openid_issuer_not_read" in [entry["event"] for entry in logs]
        issuer.start()
        clock.leap(1)
        assert (await sign_in(other)).status_code == 303


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://id.example"},
        {"token_endpoint": None},
        {"jwks_uri": "http://id.example/keys"},
        {"token_endpoint": "ftp://127.0.0.1/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": 7},
    ],
    ids=str,
)
async def test_nobody_is_sent_where_a_description_is_not_to_be_trusted(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, metadata: dict[str, Any]
) -> None:
    issuer.metadata = metadata
    assert outcome(await browser.get(START)) == (503, "provider-unavailable")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((400, b'{"error":"invalid_grant"}'), (401, "unauthenticated")),
        ((401, b'{"error":"invalid_client"}'), (503, "provider-unavailable")),
        ((302, b""), (503, "provider-unavailable")),
        ((500, b"oops"), (503, "provider-unavailable")),
        ((200, b"not JSON"), (503, "provider-unavailable")),
        ((200, b"[]"), (503, "provider-unavailable")),
        ((200, b'{"access_token":"x","token_type":"Bearer"}'), (401, "unauthenticated")),
        ((200, b'{"access_token":"x","token_type":"Bearer","id_token":7}'), (401, "unauthenticated")),
    ],
)
async def test_an_answer_without_a_token_is_told_apart(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, answer: tuple[int, bytes], code: tuple[int, str]
) -> None:
    issuer.answer = answer
    assert outcome(await sign_in(browser)) == code


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"], None])
async def test_the_client_proves_itself_as_the_issuer_wants(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, methods: list[str] | None
) -> None:
    issuer.metadata = {"token_endpoint_auth_methods_supported": methods}
    assert (await sign_in(browser)).status_code == 303


async def test_keys_rotate_without_a_failed_sign_in(app: FastAPI, issuer: OpenIdIssuer, clock: FakeClock) -> None:
    async def one() -> int:
        async with browser_of(app) as browser:
            return (await sign_in(browser)).status_code

    assert await one() == 303
    for forget in (False, True, False):
        issuer.rotate(forget=forget)
        signing = [asyncio.create_task(one()) for _ in range(5)]
        while not all(task.done() for task in signing):
            await asyncio.sleep(0.01)
            clock.leap(0.2)
        assert [task.result() for task in signing] == [303] * 5
    assert issuer.asked["/keys"] == 4, "once for each new key"


async def test_a_key_that_is_gone_is_forgotten(app: FastAPI, issuer: OpenIdIssuer, clock: FakeClock) -> None:
    old = issuer.keys[0]
    async with browser_of(app) as browser:
        assert (await sign_in(browser)).status_code == 303
        issuer.rotate(forget=True)
        issuer.sign = old.sign
        clock.leap(600)
        back = await agree(await leave(browser))
        finishing = asyncio.create_task(browser.get(back))
        while not finishing.done():
            await asyncio.sleep(0.01)
            clock.leap(1)
        assert outcome(finishing.result()) == (401, "unauthenticated")


async def test_known_keys_stay_good_while_the_key_set_is_down(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, clock: FakeClock
) -> None:
    assert (await sign_in(browser)).status_code == 303
    issuer.broken = {"/keys"}
    clock.leap(600)
    assert (await sign_in(browser)).status_code == 303


async def test_the_issuer_is_not_asked_for_each_stranger(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, clock: FakeClock
) -> None:
    for _ in range(2):
        answers = await asyncio.gather(*(browser.get(START) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {303}
        clock.leap(1)
    assert issuer.asked == {WELL_KNOWN: 2}
