"""Signing in by OpenID Connect, there and back: who may begin, who comes back, and as whom."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from fastapi import FastAPI

from parlor.model.administration import Action
from parlor.settings import Settings
from tests.openid_issuer import CLIENT_ID, OpenIdIssuer
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.openid.browsing import (
    CALLBACK,
    PERSON,
    SESSION_COOKIE,
    START,
    TAB,
    TRIP_COOKIE,
    agree,
    browser_of,
    cookies_of,
    leave,
    outcome,
    replica,
    with_openid,
)
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit


async def test_somebody_goes_to_the_issuer_and_comes_back_signed_in(
    browser: httpx2.AsyncClient, gateway: FakeGateway, issuer: OpenIdIssuer
) -> None:
    away = await browser.get(START, headers=TAB)
    assert (away.status_code, away.headers["cache-control"]) == (303, "no-store")
    address = urlsplit(away.headers["location"])
    asked = dict(parse_qsl(address.query))
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{issuer.url}/authorize"
    assert asked | {"state": "", "nonce": "", "code_challenge": ""} == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": f"http://parlor{CALLBACK}",
        "scope": "openid",
        "code_challenge_method": "S256",
        "state": "",
        "nonce": "",
        "code_challenge": "",
    }
    assert min(len(asked["state"]), len(asked["nonce"]), len(asked["code_challenge"])) >= 43
    (trip,) = cookies_of(away).values()
    assert (trip.key, trip["path"], trip["samesite"]) == (TRIP_COOKIE, START, "Lax")
    assert (trip["httponly"], trip["secure"], trip["max-age"]) == (True, "", "600")
    assert not {asked["state"], asked["nonce"]} & set(re.split(r"\W", trip.value)), "it is sealed"

    back = await browser.get(await agree(away.headers["location"]), headers=TAB)
    assert (back.status_code, back.headers["location"]) == (303, "/")
    assert back.headers["referrer-policy"] == "no-referrer"
    set_now = cookies_of(back)
    assert (set_now[TRIP_COOKIE].value, set_now[TRIP_COOKIE]["max-age"]) == ("", "0")
    session = set_now[SESSION_COOKIE]
    assert (session["path"], session["samesite"], session["httponly"]) == ("/", "Strict", True)

    signed_in = (await browser.get("/v1/session")).json()
    assert (signed_in["account_id"], signed_in["scopes"]) == (PERSON, ["read", "write"])
    assert signed_in["expires_at"] == "2026-11-30T03:18:06.000Z", "seven days, as by a code"
    ours = {"Sec-Fetch-Site": "same-origin"}
    assert (await browser.post("/v1/rooms", json={}, headers=ours)).status_code == 201
    assert (await browser.post("/v1/rooms", json={})).status_code == 403
    (entry,) = gateway.audit.entries
    assert (entry.action, entry.actor, entry.detail) == (Action.SIGNED_IN, PERSON, "openid")


@pytest.mark.parametrize(
    "change",
    [
        {"state": "x"},
        {"state": ""},
        {"state": None},
        {"iss": "https://id.example"},
        {"iss": None},
        {"code": None},
        {"code": "made-up"},
        {"code": ["a", "b"]},
        {"state": ["a", "b"]},
    ],
    ids=str,
)
async def test_a_way_back_that_was_changed_signs_nobody_in(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, change: dict[str, Any]
) -> None:
    back = urlsplit(await agree(await leave(browser)))
    query = {name: value for name, value in (dict(parse_qsl(back.query)) | change).items() if value is not None}
    answer = await browser.get(CALLBACK, params=query)
    assert outcome(answer) == (401, "unauthenticated")
    assert issuer.asked["/token"] == (change == {"code": "made-up"})


async def test_only_the_browser_that_left_comes_back(
    app: FastAPI, browser: httpx2.AsyncClient, clock: FakeClock, issuer: OpenIdIssuer
) -> None:
    """Else somebody would be signed in as whoever sent the link (CSRF)."""
    back = await agree(await leave(browser))
    trip = browser.cookies[TRIP_COOKIE]
    async with browser_of(app) as other:
        cookies = [
            "",
            f"{TRIP_COOKIE}=x",
            f"{TRIP_COOKIE}={trip[:-2]}AA",
            f"{TRIP_COOKIE}={trip}; {TRIP_COOKIE}={trip}",
        ]
        for cookie in (*cookies, f"{SESSION_COOKIE}={trip}"):
            assert outcome(await other.get(back, headers={"Cookie": cookie})) == (401, "unauthenticated")
        await leave(other)
        assert outcome(await other.get(back)) == (401, "unauthenticated"), "it has left for another state"
    assert issuer.asked["/token"] == 0
    clock.leap(601)
    assert outcome(await browser.get(back)) == (401, "unauthenticated")
    assert issuer.asked["/token"] == 0


async def test_a_way_back_is_good_once(browser: httpx2.AsyncClient) -> None:
    back = await agree(await leave(browser))
    assert (await browser.get(back)).status_code == 303
    assert outcome(await browser.get(back)) == (401, "unauthenticated")


async def test_whoever_does_not_agree_is_told_so(browser: httpx2.AsyncClient) -> None:
    for headers, expected in (({}, (403, "")), (TAB, (303, "/#sign-in-problem=forbidden"))):
        back = await agree(await leave(browser), "deny")
        answer = await browser.get(back, headers=headers)
        assert (answer.status_code, answer.headers.get("location", "")) == expected
        assert SESSION_COOKIE not in cookies_of(answer)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 303), ({"Sec-Fetch-Site": "same-origin"}, 303), ({"Sec-Fetch-Site": "none"}, 303)]
    + [({"Sec-Fetch-Site": site}, 403) for site in ("same-site", "cross-site")]
    + [({"Host": host}, 422) for host in ("evil/..", "a b", "a@b", "a:b", "")],
)
async def test_who_may_begin(browser: httpx2.AsyncClient, headers: dict[str, str], status: int) -> None:
    """A page of others would sign somebody in as whoever the issuer remembers."""
    assert (await browser.get(START, headers=headers)).status_code == status


async def test_behind_tls_all_of_it_is_for_tls(
    settings: Settings, gateway: FakeGateway, clock: FakeClock, browser: httpx2.AsyncClient
) -> None:
    away = await browser.get(START, headers={"X-Forwarded-Proto": "https"})
    assert dict(parse_qsl(urlsplit(away.headers["location"]).query))["redirect_uri"] == f"https://parlor{CALLBACK}"
    assert cookies_of(away)[TRIP_COOKIE]["secure"] is True
    api = settings.api.model_copy(update={"public_url": "https://chat.example.org"})
    async with replica(settings.model_copy(update={"api": api}), gateway, clock) as app, browser_of(app) as other:
        asked = dict(parse_qsl(urlsplit(await leave(other)).query))
        assert asked["redirect_uri"] == f"https://chat.example.org{CALLBACK}"


async def test_bad_answers_count_as_refused_tokens(
    app: FastAPI, browser: httpx2.AsyncClient, settings: Settings
) -> None:
    for _ in range(settings.limits.refused_tokens_burst - 1):
        await app.state.edge.limits.token_refused({"headers": [], "client": ("127.0.0.1", 1)})
    assert outcome(await browser.get(CALLBACK)) == (401, "unauthenticated")
    answer = await browser.get(CALLBACK, headers=TAB)
    assert answer.headers["location"] == "/#sign-in-problem=rate-limited"


async def test_the_page_is_told_how_people_sign_in(
    settings: Settings, gateway: FakeGateway, clock: FakeClock, browser: httpx2.AsyncClient, issuer: OpenIdIssuer
) -> None:
    found = (await browser.get("/v1/session/methods")).json()
    title = f"127.0.0.1:{issuer.port}"
    assert found == {"code": True, "openid": {"title": title, "path": START}, "name": False, "errorCode": 0}
    async with replica(with_openid(settings, title="Example"), gateway, clock) as app, browser_of(app) as other:
        assert (await other.get("/v1/session/methods")).json()["openid"]["title"] == "Example"
