"""Signing out, here and at the issuer (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from parlor.settings import Settings
from tests.openid_issuer import CLIENT_ID, OpenIdIssuer
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.openid.browsing import SESSION_COOKIE, browser_of, replica, sign_in
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


async def sign_out(browser: httpx2.AsyncClient) -> httpx2.Response:
    answer = await browser.delete("/v1/session", headers=OWN_PAGE)
    assert answer.status_code == 204, answer.text
    assert SESSION_COOKIE not in browser.cookies
    return answer


@pytest.mark.parametrize(
    ("path", "more"),
    [("/logout", {}), ("/logout?tenant=a%26b", {"tenant": ["a&b"]})],
)
async def test_whoever_signs_out_is_led_to_where_the_issuer_forgets_them(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, path: str, more: dict[str, Any]
) -> None:
    issuer.metadata["end_session_endpoint"] = f"{issuer.url}{path}"
    await sign_in(browser)
    address = urlsplit((await sign_out(browser)).headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{issuer.url}/logout"
    expected = {"client_id": [CLIENT_ID], "post_logout_redirect_uri": ["http://parlor/"], **more}
    assert parse_qs(address.query) == expected
    assert (await browser.get("/v1/session")).status_code == 401


async def test_the_page_that_is_come_back_to_has_its_public_address(
    settings: Settings, gateway: FakeGateway, clock: FakeClock, issuer: OpenIdIssuer
) -> None:
    issuer.metadata["end_session_endpoint"] = f"{issuer.url}/logout"
    async with replica(settings, gateway, clock) as app, browser_of(app) as browser:
        await sign_in(browser)
        cookies = browser.cookies
    api = settings.api.model_copy(update={"public_url": "https://chat.example.org"})
    public = settings.model_copy(update={"api": api})
    async with replica(public, gateway, clock) as app, browser_of(app) as browser:
        browser.cookies = cookies
        address = urlsplit((await sign_out(browser)).headers["location"])
    assert parse_qs(address.query)["post_logout_redirect_uri"] == ["https://chat.example.org/"]


async def test_an_issuer_without_such_an_address_is_left_alone(browser: httpx2.AsyncClient) -> None:
    await sign_in(browser)
    assert "location" not in (await sign_out(browser)).headers


async def test_one_signs_out_while_the_issuer_is_down(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, clock: FakeClock
) -> None:
    issuer.metadata["end_session_endpoint"] = f"{issuer.url}/logout"
    await sign_in(browser)
    issuer.stop()
    clock.leap(timedelta(minutes=1).total_seconds())
    assert "location" not in (await sign_out(browser)).headers


async def test_whoever_signed_in_with_a_code_signs_out_here_alone(
    settings: Settings, gateway: FakeGateway, clock: FakeClock, issuer: OpenIdIssuer
) -> None:
    issuer.metadata["end_session_endpoint"] = f"{issuer.url}/logout"
    by_name = settings.model_copy(update={"auth": settings.auth.model_copy(update={"sign_in_by_name": True})})
    async with replica(by_name, gateway, clock) as app, browser_of(app) as browser:
        browser.base_url = httpx2.URL("http://localhost")
        assert (await browser.post("/v1/session", json={"name": "ada"})).status_code == 201
        assert "location" not in (await sign_out(browser)).headers


@pytest.mark.parametrize("address", ["http://id.example/logout", "javascript:alert(1)", "logout"])
async def test_an_address_that_is_not_to_be_trusted_spoils_the_description(
    browser: httpx2.AsyncClient, issuer: OpenIdIssuer, address: str
) -> None:
    issuer.metadata["end_session_endpoint"] = address
    assert (await browser.get("/v1/session/openid")).status_code == 503
