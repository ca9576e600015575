"""Signing in: a link that is good once, one session for all tabs, and nothing written is lost when it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from tests.browser.scripted_api import ORIGIN, ROOM_ID, SESSION, Answer, ScriptedApi, page_of
from tests.browser.tab import Tab
from tests.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)
REFUSED = (401, {"code": "unauthenticated", "detail": "The token has expired"})
CODE = f"17-{'a' * 32}"
MESSAGES = f"POST rooms/{ROOM_ID}/messages"


async def link_of(installation: Installation, account: str) -> str:
    """What `parlor sign-in` prints, at the address of the installation."""
    done = await asyncio.to_thread(installation.parlor, "sign-in", account)
    assert done.returncode == 0, done.stderr
    link = done.stdout.strip()
    assert link.startswith(f"{installation.base_url}/#code=")
    return link


@contextlib.asynccontextmanager
async def another_page() -> AsyncIterator[str]:
    """A page on another port of the same host."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def account() -> str:
    return f"browser-{uuid4().hex}"


async def test_a_link_signs_in_once_and_leaves_the_address_bar(
    tab: Tab, browser: Browser, installation: Installation, account: str
) -> None:
    link = await link_of(installation, account)
    await tab.page.goto(link)
    await expect(tab.page.locator("#account")).to_have_text(account)
    assert "#code=" not in tab.page.url
    (cookie,) = await tab.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    assert await tab.page.evaluate("document.cookie") == ""
    await tab.create_room("Mine")
    await tab.page.reload()
    await expect(tab.page.locator("#rooms .room-name")).to_have_text(["Mine"])

    context = await browser.new_context()
    elsewhere = Tab(await context.new_page())
    await elsewhere.page.goto(link)
    await expect(elsewhere.page.locator("#sign-in-problem")).to_contain_text("used already")
    await expect(elsewhere.page.locator("#workspace")).to_be_hidden()
    await context.close()
    assert elsewhere.errors == []


async def test_a_link_can_be_pasted_too(tab: Tab, installation: Installation, account: str) -> None:
    await tab.page.goto(installation.base_url)
    await tab.page.fill("#token-field", await link_of(installation, account))
    await tab.page.click("#sign-in-form [type=submit]")
    await expect(tab.page.locator("#account")).to_have_text(account)


async def test_a_link_of_another_account_asks_first(tab: Tab, installation: Installation, account: str) -> None:
    tab.allow(r"status of 409 .*/v1/session$")
    other = f"other-{uuid4().hex}"
    await tab.page.goto(await link_of(installation, account))
    await expect(tab.page.locator("#account")).to_have_text(account)

    await tab.page.goto(await link_of(installation, account))
    await expect(tab.page.locator("#workspace")).to_be_visible()
    await expect(tab.page.locator("#confirm-dialog")).to_be_hidden()

    link = await link_of(installation, other)
    for answer in ("#confirm-dialog [data-close]", "#confirm-button"):
        await tab.page.goto("about:blank")
        await tab.page.goto(link)
        await expect(tab.page.locator("#confirm-text")).to_contain_text(f"signed in as {account}")
        await tab.page.click(answer)
        now = other if answer == "#confirm-button" else account
        await expect(tab.page.locator("#account")).to_have_text(now)
        await expect(tab.page.locator("#workspace")).to_be_visible()


async def test_all_tabs_are_signed_in_and_out_together(tab: Tab, installation: Installation, account: str) -> None:
    other = Tab(await tab.page.context.new_page())
    await other.page.goto(installation.base_url)
    await expect(other.page.locator("#sign-in")).to_be_visible()

    await tab.page.goto(await link_of(installation, account))
    await expect(other.page.locator("#account")).to_have_text(account)
    await tab.create_room("Ours")
    await expect(other.page.locator("#rooms .room-name")).to_have_text(["Ours"])

    await other.page.click("#sign-out")
    await expect(tab.page.locator("#sign-in-problem")).to_contain_text("signed out in another tab")
    for each in (tab, other):
        await expect(each.page.locator("#sign-in")).to_be_visible()
        await each.page.reload()
        await expect(each.page.locator("#sign-in")).to_be_visible()
    assert other.errors == []


async def test_a_native_event_source_is_let_in(tab: Tab, installation: Installation, account: str) -> None:
    await tab.page.goto(await link_of(installation, account))
    await expect(tab.page.locator("#account")).to_have_text(account)
    opened = await tab.page.evaluate(
        """() => new Promise((resolve) => {
            const source = new EventSource("/v1/events");
            source.onopen = () => (source.close(), resolve("open"));
            source.onerror = () => (source.close(), resolve("refused"));
        })"""
    )
    assert opened == "open"


async def test_a_page_of_the_same_host_and_another_port_changes_nothing(
    tab: Tab, installation: Installation, account: str
) -> None:
    """To the browser the two are one site, so that it sends the cookie; but they are not one origin."""
    tab.allow(r"status of 403")
    await tab.page.goto(await link_of(installation, account))
    await expect(tab.page.locator("#account")).to_have_text(account)
    other = await tab.page.context.new_page()
    async with another_page() as elsewhere:
        await other.goto(elsewhere)
        async with other.expect_response(f"{installation.base_url}/v1/rooms") as answered:
            await other.evaluate(
                """(url) => fetch(url, {method: "POST", mode: "no-cors", credentials: "include"}).catch(() => {})""",
                f"{installation.base_url}/v1/rooms",
            )
        response = await answered.value
    assert response.status == 403, "401: the browser did not send the cookie, and this shows nothing"
    await expect(tab.page.locator("#rooms-note")).to_have_text("No rooms yet.")


async def test_what_was_being_written_survives_the_end_of_the_session(tab: Tab) -> None:
    tab.allow(r"status of (401|503)")
    scripted = ScriptedApi()
    ended = False
    sent: list[Answer] = [REFUSED, (503, {"code": "overloaded", "retry_after_seconds": 60})]

    def send(_: object) -> Answer:
        nonlocal ended
        ended = True
        return sent.pop(0)

    scripted.answers[f"GET rooms/{ROOM_ID}/messages"] = lambda _: (200, page_of([]))
    scripted.answers[MESSAGES] = send
    scripted.answers["GET session"] = lambda _: REFUSED if ended else (200, SESSION)
    await scripted.attach(tab.page)
    await scripted.open_room(tab.page)
    await tab.write("Sent too late")
    await expect(tab.page.locator("#sign-in-problem")).to_contain_text("session has ended")
    await expect(tab.page.locator("#workspace")).to_be_hidden()

    scripted.answers["POST session"] = lambda _: (201, SESSION)
    await tab.page.fill("#token-field", "another-token")
    await tab.page.click("#sign-in-form [type=submit]")
    await expect(tab.page.locator("#outbox article")).to_contain_text("Sent too late")
    await tab.page.fill("#composer-field", "half a thou")

    ended = False
    await tab.page.reload()
    await expect(tab.page.locator("#composer-field")).to_have_value("half a thou")
    await expect(tab.page.locator("#outbox article")).to_contain_text("Sent too late")


async def test_drafts_are_an_accounts_own(tab: Tab) -> None:
    tab.allow(r"status of 503")
    scripted = ScriptedApi()
    signed_in = {"account_id": "ada"}
    scripted.answers["GET session"] = lambda _: (200, SESSION | signed_in)
    scripted.answers["DELETE session"] = lambda _: (200, {})
    await scripted.attach(tab.page)
    await scripted.open_room(tab.page)
    for account, found, written in (("ada", "", "ada's"), ("bob", "", "bob's"), ("ada", "ada's", "ada's")):
        signed_in["account_id"] = account
        await tab.page.reload()
        await expect(tab.page.locator("#account")).to_have_text(account)
        await expect(tab.page.locator("#conversation")).to_be_visible()
        await expect(tab.page.locator("#composer-field")).to_have_value(found)
        await tab.page.fill("#composer-field", written)

    await tab.page.click("#sign-out")
    await expect(tab.page.locator("#sign-in")).to_be_visible()
    kept = await tab.page.evaluate("Object.entries(sessionStorage)")
    assert [value for _, value in kept] == ["bob's"], "signing out forgets what was ada's"


async def test_a_code_in_the_address_of_an_open_page_is_taken(tab: Tab) -> None:
    tab.allow(r"status of 503")
    scripted = ScriptedApi()
    used: list[object] = []

    def sign_in(request: object) -> Answer:
        used.append(request)
        return 201, SESSION

    scripted.answers["POST session"] = sign_in
    await scripted.attach(tab.page)
    await scripted.open_room(tab.page)
    await tab.page.evaluate(f"location.hash = '#code={CODE}'")
    await tab.page.wait_for_url(f"{ORIGIN}/")
    await expect(tab.page.locator("#workspace")).to_be_visible()
    (request,) = scripted.seen("POST session")
    assert request.post_data_json == {"code": CODE, "account_id": "ada"}
    assert len(used) == 1
