"""A long history: few elements are on the page, wherever the reader is in it. The API is a script."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.long_history import COUNT, history
from tests.browser.scripted_api import ORIGIN, ROOM_ID, Answer, ScriptedApi, composing, frame, message, page_of
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MESSAGES = r"GET rooms/[^/]+/messages"
EVENTS = r"GET rooms/[^/]+/events"
QUIET: Answer = (503, {"code": "overloaded", "retry_after_seconds": 60})
MOST_ELEMENTS = 3_000
"""The page has some 400 without any message, and a message about 30."""


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(tab: Tab) -> ScriptedApi:
    tab.allow(r"status of 503")
    made = ScriptedApi()
    made.answers[MESSAGES] = history
    await made.attach(tab.page)
    return made


async def elements(tab: Tab) -> int:
    found: int = await tab.page.evaluate("document.querySelectorAll('*').length")
    return found


async def test_ten_thousand_messages_are_few_elements(tab: Tab, scripted: ScriptedApi) -> None:
    page = tab.page
    await scripted.open_room(page)
    last, scroller = page.locator(f"#messages [data-seq='{COUNT - 1}']"), page.locator("#scroller")
    await expect(last).to_be_in_viewport()
    assert await elements(tab) < MOST_ELEMENTS
    height = await scroller.evaluate("scroller => scroller.scrollHeight")
    assert height > COUNT * 30, "the scroll bar is that of all messages"

    # Dragged to the beginning, to the middle and back: only what comes near the screen is loaded.
    await scroller.evaluate("scroller => { scroller.scrollTop = 0; }")
    await expect(page.locator("#messages [data-seq='1']")).to_be_in_viewport()
    await expect(last).to_have_count(0)
    assert await elements(tab) < MOST_ELEMENTS
    await scroller.evaluate("scroller => { scroller.scrollTop = scroller.scrollHeight / 2; }")
    await expect(page.locator("#messages .message").first).to_have_attribute("data-seq", re.compile(r"[3-6]\d{3}"))
    assert await elements(tab) < MOST_ELEMENTS
    assert len(scripted.seen(MESSAGES)) < 12
    await page.click("#to-newest")
    await expect(last).to_be_in_viewport()

    # What is deleted leaves no gap, and what is written meanwhile stays.
    await page.fill("#composer-field", "Still here")
    await expect(page.locator(f"#messages [data-seq='{COUNT}']")).to_have_count(0)
    await expect(page.locator("#composer-field")).to_have_value("Still here")


async def test_the_reader_stays_in_place_while_older_messages_come(tab: Tab, scripted: ScriptedApi) -> None:
    page = tab.page
    await scripted.open_room(page)
    await expect(page.locator(f"#messages [data-seq='{COUNT - 1}']")).to_be_in_viewport()
    moved = await page.evaluate(
        """async () => {
            const scroller = document.getElementById("scroller");
            const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
            let worst = 0;
            for (let step = 0; step < 40; step += 1) {
                const edge = scroller.getBoundingClientRect().top;
                const seen = [...document.querySelectorAll("#messages .message")]
                    .find((one) => one.getBoundingClientRect().bottom > edge);
                const before = seen.getBoundingClientRect().top;
                scroller.scrollTop -= 150;
                await frame();
                await frame();
                const shift = seen.getBoundingClientRect().top - before;
                if (seen.isConnected) worst = Math.max(worst, Math.abs(shift - 150));
            }
            return worst;
        }"""
    )
    assert moved < 3
    assert await elements(tab) < MOST_ELEMENTS


async def test_a_hit_of_the_search_and_a_day_are_gone_to(tab: Tab, scripted: ScriptedApi) -> None:
    page = tab.page
    hit = {
        "room_id": ROOM_ID,
        "message_id": message(4321, "")["message_id"],
        "seq": 4321,
        "sender_type": "USER",
        "timestamp": "2026-02-13T12:00:21Z",
        "snippet": "Message 4321",
        "highlights": [[8, 12]],
    }
    scripted.answers["GET search"] = lambda _: (200, {"results": [hit], "next_cursor": None})
    await scripted.open_room(page)
    await expect(page.locator(f"#messages [data-seq='{COUNT - 1}']")).to_be_in_viewport()
    await page.fill("#search-field", "4321")
    await page.click("#found a:has(mark)")
    found = page.locator("#messages [data-seq='4321']")
    await expect(found).to_be_in_viewport()
    await expect(found).to_be_focused()

    await page.fill("#search-field", "")
    await page.locator("#rooms .room-menu").first.dispatch_event("click")
    await page.get_by_role("menuitem", name="Go to a day").click()
    await page.fill("#day-field", "2026-02-01")
    await page.click("#day-dialog [type=submit]")
    await expect(page.locator("#messages [data-seq='3101']")).to_be_in_viewport()

    # By its address, from anywhere.
    await page.goto(f"{ORIGIN}/#/rooms/{ROOM_ID}/77")
    await page.reload()
    await expect(page.locator("#messages [data-seq='77']")).to_be_in_viewport()
    assert await elements(tab) < MOST_ELEMENTS


async def test_a_long_reply_is_rendered_piece_by_piece(tab: Tab, scripted: ScriptedApi) -> None:
    """2,000 pieces: each touches the end of the text, not all of it, so that no frame is long."""
    begun = composing(2)
    scripted.answers[MESSAGES] = lambda _: (200, page_of([message(1, "Hi"), begun]))
    text, told = "", []
    for number in range(2_000):
        piece = f"word{number} " if number % 10 else f"\n\nParagraph {number} "
        about = {"message_id": begun["message_id"], "attempt": 1, "offset": len(text), "text": piece, "index": 0}
        told.append(frame(f"1-{number + 1}", "message.delta", about))
        text += piece
    answers: list[Answer] = [(200, "".join(told)), QUIET]
    scripted.answers[EVENTS] = lambda _: answers.pop(0) if len(answers) > 1 else answers[0]
    await tab.page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
            window.added = 0;
            new MutationObserver((all) => { for (const each of all) window.added += each.addedNodes.length; })
                .observe(document.getElementById("messages"), { childList: true, subtree: true });
        });"""
    )
    await scripted.open_room(tab.page)
    await expect(tab.bodies.last).to_contain_text("word1999")
    assert await tab.bodies.last.locator("p").count() == 200
    frames = await tab.page.evaluate("window.added")
    assert frames < 8_000
