"""Stop, regenerate, edit and messages that wait, on the page against a running installation."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.browser.tab import REPLY_MS, Installation, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)
ENDLESS = "Tell me everything [[tokens=2000 delay=50ms]]"


def message(tab: Tab, seq: int) -> Locator:
    return tab.page.locator(f"#messages [data-seq='{seq}']")


async def act(tab: Tab, seq: int, name: str) -> None:
    await message(tab, seq).locator(f"[data-action={name}]").click()


async def ended(tab: Tab, seq: int) -> None:
    await expect(message(tab, seq)).to_have_attribute("data-open", "false", timeout=REPLY_MS)


async def test_a_stopped_reply_keeps_its_text(tab: Tab, installation: Installation, token: str) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Stop")
    await tab.write(ENDLESS)
    await expect(tab.bodies.last).to_contain_text("quick brown fox", timeout=REPLY_MS)
    await tab.page.click("#stop")
    await ended(tab, 2)
    await expect(message(tab, 2).locator(".message-ending")).to_have_text("The reply was stopped.")
    shown = await tab.bodies.all_inner_texts()

    await tab.page.reload()
    await expect(tab.bodies).to_have_count(2)
    assert await tab.bodies.all_inner_texts() == shown
    await expect(tab.page.locator("#stop")).to_be_hidden()


async def test_what_was_said_before_stays_a_version_in_every_tab(
    tab: Tab, browser: Browser, installation: Installation, token: str
) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Versions")
    first = await tab.send("One")
    context = await browser.new_context()
    other = Tab(await context.new_page())
    await other.sign_in(installation.base_url, token)
    await other.page.goto(tab.page.url)
    await expect(other.bodies).to_have_count(2)

    await act(tab, 2, "regenerate")
    await expect(message(tab, 2)).to_have_attribute("data-attempt", "2", timeout=REPLY_MS)
    await ended(tab, 2)
    await act(tab, 1, "edit")
    await tab.page.locator(".message-editor textarea").fill("Two")
    await tab.page.keyboard.press("Enter")
    await expect(message(tab, 2)).to_have_attribute("data-attempt", "3", timeout=REPLY_MS)
    await ended(tab, 2)

    for each in (tab, other):
        await expect(each.bodies.first).to_have_text("Two")
        await ended(each, 2)
        await expect(message(each, 1).locator(".versions-place")).to_have_text("2/2")
        await message(each, 1).get_by_role("button", name="Version before").click()
        await expect(each.bodies.first).to_have_text("One")
        # The answers of then come with the question of then.
        await expect(message(each, 2).locator(".versions-place")).to_have_text("2/2")
        await message(each, 2).get_by_role("button", name="Version before").click()
        assert await message(each, 2).locator(".message-body").inner_text() == first
        await expect(message(each, 1).locator(".message-note:visible")).to_have_count(0)
    await expect(tab.page.locator("#messages [data-durability=persisted]")).to_have_count(2, timeout=REPLY_MS)
    assert await tab.bodies.all_inner_texts() == await other.bodies.all_inner_texts()
    await context.close()
    assert other.errors == []


async def test_messages_wait_are_edited_and_withdrawn_and_one_interrupts(
    tab: Tab, installation: Installation, token: str
) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Queue")
    await tab.write(ENDLESS)
    await expect(tab.bodies.last).to_contain_text("quick brown fox", timeout=REPLY_MS)
    await tab.write("Second")
    await tab.write("Third")
    waits = tab.page.locator("#messages [data-waits=true].user")
    await expect(waits).to_have_count(2)
    await act(tab, 3, "edit")
    await tab.page.locator(".message-editor textarea").fill("Second, edited")
    await tab.page.keyboard.press("Enter")
    await expect(waits.first.locator(".message-body")).to_have_text("Second, edited")
    await act(tab, 5, "withdraw")
    await tab.page.get_by_role("button", name="Withdraw", exact=True).click()
    await expect(waits).to_have_count(1)
    await expect(message(tab, 6)).to_have_count(0)
    await expect(message(tab, 2)).to_have_attribute("data-open", "true")

    await tab.page.select_option("#on-busy", "interrupt")
    await tab.write("Fourth")
    await ended(tab, 8)
    await expect(message(tab, 2).locator(".message-ending")).to_have_text("The reply was stopped.")
    await expect(message(tab, 4)).to_have_count(0)
    await expect(waits).to_have_count(0)
    await expect(message(tab, 8)).to_contain_text("Fourth")
    shown = await tab.bodies.all_inner_texts()
    assert len(shown) == 5
    await tab.page.reload()
    await expect(tab.bodies).to_have_count(5)
    assert await tab.bodies.all_inner_texts() == shown
