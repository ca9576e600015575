"""Whoever has no mouse gets at everything: each control of each state, and a conversation from its begin to its end."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Page, Request, expect

from tests.browser.room_script import NEW_ROOM, Kept
from tests.browser.scripted_api import ORIGIN, Answer, Json, ScriptedApi
from tests.browser.states import States
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

CONTROLS = """() => {
    const top = document.querySelector("dialog[open], [popover]:popover-open") ?? document.body;
    const shown = (each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled;
    // Arrows go from one of these to the next; what lies behind the drawer is Escape, for a finger.
    const within = "[role=menuitem], [role=menuitemradio], [role=option], #drawer-backdrop";
    const found = [...top.querySelectorAll("a[href], button, input, select, textarea, summary")];
    window.controls = found.filter((each) => shown(each) && !each.matches(within));
    window.before = document.activeElement;
    return window.controls.length;
}"""
FOCUSED = """() => {
    const at = document.activeElement;
    const same = (each) => each === at || (each.type === "radio" && each.name === at.name);
    window.controls = window.controls.filter((each) => !same(each));
    return window.controls.length;
}"""
LEFT = """() => {
    window.before.focus();
    return window.controls.map((each) => each.id || each.getAttribute("aria-label") || each.textContent.trim());
}"""


async def out_of_reach(page: Page) -> list[str]:
    """The controls that are shown and that Tab does not come to."""
    count = await page.evaluate(CONTROLS)
    assert count
    # What scrolls is a stop too.
    for _ in range(2 * count + 10):
        if await page.evaluate(FOCUSED) == 0:
            break
        await page.keyboard.press("Tab")
    left: list[str] = await page.evaluate(LEFT)
    return left


@pytest.mark.timeout(300)  # some twenty states
async def test_every_control_of_each_state_is_reached_with_tab(states: States) -> None:
    left: dict[str, list[str]] = {}

    async def look(name: str) -> None:
        if name.startswith("#") and await states.page.locator("#menu").is_visible():
            return  # of a menu: arrows
        if found := await out_of_reach(states.page):
            left[name] = found

    await states.walk(look)
    assert left == {}


async def test_a_conversation_is_had_without_a_mouse(tab: Tab) -> None:
    tab.allow(r"status of 503")
    scripted = ScriptedApi()
    room = Kept(scripted)
    changed: list[Json] = []

    def rename(request: Request) -> Answer:
        changed.append(json.loads(request.post_data or ""))
        return 200, {**room.room(request)[1], **changed[-1]}  # type: ignore[dict-item]  # it is an object

    scripted.answers[rf"PATCH rooms/{NEW_ROOM}"] = rename
    scripted.answers[rf"DELETE rooms/{NEW_ROOM}"] = lambda request: (
        200,
        {**room.room(request)[1], "state": "DELETED"},  # type: ignore[dict-item]  # it is an object
    )
    await scripted.attach(tab.page)
    page, press, write = tab.page, tab.page.keyboard.press, tab.page.keyboard.type

    async def palette(text: str) -> None:
        await press("Control+k")
        await expect(page.locator("#palette-field")).to_be_focused()
        await write(text)
        await expect(page.locator("#palette-list li").first).to_contain_text(text)
        await press("Enter")

    await page.goto(ORIGIN)
    await expect(page.locator("#first-field")).to_be_visible()
    await palette("New room")
    await expect(page.locator("#create-title")).to_be_focused()
    await write("Tea")
    await press("Enter")
    await expect(page.locator("#composer-field")).to_be_focused()
    await write("Which one?")
    await press("Enter")
    await expect(tab.bodies).to_have_text(["Which one?"])
    assert [body["content"] for body in room.sent] == ["Which one?"]

    await palette("Rename the room")
    await expect(page.locator("#rename-title")).to_be_focused()
    await press("Control+a")
    await write("Green tea")
    await press("Enter")
    await expect(page.locator("#room-title")).to_have_text("Green tea")
    assert changed == [{"title": "Green tea"}]

    await palette("Delete the room")
    await expect(page.locator("#confirm-dialog")).to_be_visible()
    for _ in range(3):
        if await page.locator("#confirm-button").evaluate("(each) => each === document.activeElement"):
            break
        await press("Tab")
    await press("Enter")
    await expect(page.locator("#welcome")).to_be_visible()
    await expect(page.locator("#rooms a")).to_have_count(1)
