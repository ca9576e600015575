"""Signing in with an identity provider on another site: there and back, while its keys rotate, and while it is down."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from tests.browser.scripted_api import ScriptedApi
from tests.browser.tab import Tab
from tests.installation import Installation
from tests.openid_issuer import OpenIdIssuer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)
LINK = "#openid-link"


@pytest.fixture
def issuer(installation: Installation) -> Iterator[OpenIdIssuer]:
    """The one that the installation knows; whoever agrees has an account that nobody else uses."""
    address = urlsplit(installation.settings.openid.issuer)
    found = OpenIdIssuer(time.time, address.hostname or "", address.port or 0)
    found.person = {"sub": f"browser-{uuid4().hex}"}
    found.rotate(forget=True)  # the installation remembers the keys of other tests
    found.start()
    try:
        yield found
    finally:
        found.stop()


async def sign_in(tab: Tab, installation: Installation) -> None:
    await tab.page.goto(installation.base_url)
    await tab.page.click(LINK)
    await tab.page.click("#allow")


async def test_somebody_signs_in_with_an_identity_provider(
    tab: Tab, installation: Installation, issuer: OpenIdIssuer
) -> None:
    page, account = tab.page, str(issuer.person["sub"])
    other = Tab(await page.context.new_page())
    await other.page.goto(installation.base_url)
    await page.goto(f"{installation.base_url}/#/rooms/{uuid4()}")
    await expect(page.locator(LINK)).to_have_text("Sign in with Example")
    await page.click(LINK)
    await page.click("#allow")
    await expect(page.locator("#account")).to_have_text(account)
    assert page.url.startswith(f"{installation.base_url}/"), "back at the page, and where the way began"
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    await expect(other.page.locator("#account")).to_have_text(account)
    tab.allow(r"status of 4\d\d .*/v1/rooms/")
    await tab.create_room("Mine")
    await page.reload()
    await expect(page.locator("#rooms .room-name")).to_have_text(["Mine"])
    assert other.errors == []


async def test_keys_rotate_and_nobody_notices(
    tab: Tab, browser: Browser, installation: Installation, issuer: OpenIdIssuer
) -> None:
    await sign_in(tab, installation)
    await expect(tab.page.locator("#account")).to_have_text(str(issuer.person["sub"]))
    issuer.rotate(forget=True)
    context = await browser.new_context()
    later = Tab(await context.new_page())
    await sign_in(later, installation)
    await expect(later.page.locator("#account")).to_have_text(str(issuer.person["sub"]))
    await tab.page.reload()
    await expect(tab.page.locator("#account")).to_have_text(str(issuer.person["sub"]))
    await context.close()
    assert later.errors == []


async def test_while_it_is_down_the_page_says_so_and_sessions_go_on(
    tab: Tab, browser: Browser, installation: Installation, issuer: OpenIdIssuer
) -> None:
    await sign_in(tab, installation)
    await expect(tab.page.locator("#account")).to_have_text(str(issuer.person["sub"]))
    issuer.stop()
    await tab.page.reload()
    await tab.create_room("Still here")

    context = await browser.new_context()
    stranger = Tab(await context.new_page())
    await stranger.page.goto(installation.base_url)
    problem = stranger.page.locator("#sign-in-problem")
    # Its description was read a moment ago, so the first attempt may still lead there.
    await stranger.page.wait_for_timeout(installation.settings.openid.refresh_min.total_seconds() * 1000)
    await stranger.page.click(LINK)
    await expect(problem).to_contain_text("does not answer right now")
    assert stranger.page.url == f"{installation.base_url}/"

    issuer.start()
    await stranger.page.wait_for_timeout(installation.settings.openid.refresh_min.total_seconds() * 1000)
    await stranger.page.click(LINK)
    await stranger.page.click("#deny")
    await expect(problem).to_contain_text("did not let you in")
    await stranger.page.click(LINK)
    await stranger.page.click("#allow")
    await expect(stranger.page.locator("#account")).to_have_text(str(issuer.person["sub"]))
    await context.close()
    assert stranger.errors == []


async def test_a_name_is_asked_for_where_it_is_enough(tab: Tab) -> None:
    tab.allow(r"status of (401|503)")
    scripted = ScriptedApi()
    scripted.answers["GET session"] = lambda _: (401, {"code": "unauthenticated"})
    scripted.answers["GET session/methods"] = lambda _: (200, {"code": True, "openid": None, "name": True})
    scripted.answers["POST session"] = lambda _: (201, {"account_id": "ada"})
    await scripted.attach(tab.page)
    await tab.page.goto("http://parlor.test")
    await expect(tab.page.locator("#name-form")).to_contain_text("there is no proof")
    await expect(tab.page.locator(LINK)).to_be_hidden()
    await tab.page.fill("#name-field", "ada")
    await tab.page.click("#name-form [type=submit]")
    await expect(tab.page.locator("#account")).to_have_text("ada")
    (request,) = scripted.seen("POST session")
    assert request.post_data_json == {"name": "ada"}


async def test_without_other_ways_none_is_shown(tab: Tab) -> None:
    tab.allow(r"status of (401|404)")
    scripted = ScriptedApi()
    scripted.answers["GET session"] = lambda _: (401, {"code": "unauthenticated"})
    await scripted.attach(tab.page)
    await tab.page.goto("http://parlor.test/#sign-in-problem=%3Cb%3E")
    await expect(tab.page.locator("#token-field")).to_be_visible()
    await expect(tab.page.locator("#sign-in-problem")).to_be_hidden()
    for way in (LINK, "#name-form"):
        await expect(tab.page.locator(way)).to_be_hidden()
    await tab.page.goto("http://parlor.test/#sign-in-problem=made-up")
    await expect(tab.page.locator("#sign-in-problem")).to_have_text(re.compile("^The sign-in did not work"))
