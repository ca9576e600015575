"""The rooms beside the conversation: when they were used, what goes on in them, what can be done with them there."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Request, expect

from tests.browser.events_script import Stream
from tests.browser.scripted_api import ORIGIN, PERSONA, ROOM_ID, Answer, Json, ScriptedApi, message, page_of
from tests.browser.states import MESSAGES, OTHER, talked
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

NOW = datetime.fromisoformat("2026-11-23T12:00:00")
LONG = "W" * 200
FINGER = 36
"""CSS pixels each way of the smallest thing to press; WCAG 2.2 asks for 24."""


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(tab: Tab) -> ScriptedApi:
    tab.allow(r"status of 503")  # how the script keeps a stream quiet
    made = ScriptedApi()
    await made.attach(tab.page)
    return made


def room(number: int, **changed: object) -> Json:
    made: Json = {
        "room_id": ROOM_ID[:-1] + str(number),
        "title": f"Room {number}",
        "ai_persona": "GPT4O",
        "created_at": "2026-11-23T10:00:00Z",
        "last_message_at": None,
        "message_count": 2,
        "state": "ACTIVE",
        "persisted_seq": 2,
    }
    return made | changed


def have(scripted: ScriptedApi, *rooms: Json) -> None:
    page: Json = {"rooms": list(rooms), "total_count": len(rooms), "next_cursor": None, "events_cursor": "1-0"}
    scripted.answers["GET rooms"] = lambda _: (200, page)
    by_id = {str(each["room_id"]): each for each in rooms}
    scripted.answers["GET rooms/[^/]+"] = lambda request: (200, by_id[request.url.rpartition("/")[2]])


async def test_they_stand_under_the_days_on_which_they_were_used_last(tab: Tab, scripted: ScriptedApi) -> None:
    await tab.page.clock.set_fixed_time(NOW)
    days = ["2026-11-23", "2026-11-23", "2026-11-22", "2026-11-18", "2026-11-01", "2026-03-09"]
    have(scripted, *(room(number, last_message_at=f"{day}T09:00:00Z") for number, day in enumerate(days, 1)))
    await tab.page.goto(ORIGIN)
    headings = tab.page.locator("#rooms .room-group:visible")
    await expect(headings).to_have_text(["Today", "Yesterday", "Last 7 days", "Last 30 days", "March 2026"])


async def test_a_long_title_widens_nothing(tab: Tab, scripted: ScriptedApi) -> None:
    have(scripted, room(1), room(2))
    account = Stream(tab, scripted, r"GET events")
    await tab.page.goto(ORIGIN)
    names = tab.page.locator("#rooms .room-name")
    await expect(names).to_have_count(2)
    before = await names.first.bounding_box()
    await account.tell("room.updated", {"room": room(2, title=LONG)})
    await expect(names.filter(has_text=LONG)).to_be_visible()
    assert await names.first.bounding_box() == before
    list_of_rooms = tab.page.locator("#room-nav")
    assert await list_of_rooms.evaluate("(each) => each.scrollWidth - each.clientWidth") == 0


async def test_a_reply_in_another_room_shows_while_it_is_written_and_until_it_is_looked_at(
    tab: Tab, scripted: ScriptedApi
) -> None:
    have(scripted, room(1), room(2))
    account = Stream(tab, scripted, r"GET events")
    await tab.page.goto(f"{ORIGIN}/#/rooms/{room(1)['room_id']}")
    sign = tab.page.locator(f"[data-room-id='{room(2)['room_id']}'] .room-sign")
    await expect(sign).to_be_hidden()
    await account.tell("room.updated", {"room": room(2, message_count=4)})
    await expect(sign).to_have_text("A reply is being written")
    await account.tell("room.updated", {"room": room(2, message_count=4, persisted_seq=4)})
    await expect(sign).to_have_text("New messages")
    await tab.page.get_by_role("link", name="Room 2").click()
    await expect(sign).to_be_hidden()


async def test_one_is_renamed_and_deleted_where_it_stands(tab: Tab, scripted: ScriptedApi) -> None:
    have(scripted, room(1), room(2))
    changed: list[Json] = []

    def rename(request: Request) -> Answer:
        changed.append(json.loads(request.post_data or ""))
        return 200, room(2, **changed[-1])

    scripted.answers["PATCH rooms/[^/]+"] = rename
    scripted.answers["DELETE rooms/[^/]+"] = lambda _: (200, room(2, state="DELETED"))
    page = tab.page
    await page.goto(f"{ORIGIN}/#/rooms/{room(1)['room_id']}")
    await page.get_by_role("button", name="What to do with Room 2").click()
    await page.get_by_role("menuitem", name="Rename").click()
    await page.fill("#rename-title", "Tea")
    await page.press("#rename-title", "Enter")
    await expect(page.get_by_role("link", name="Tea")).to_be_visible()
    assert changed == [{"title": "Tea"}]

    await page.get_by_role("button", name="What to do with Tea").click()
    await page.get_by_role("menuitem", name="Delete").click()
    await page.click("#confirm-button")
    await expect(page.locator("#rooms a")).to_have_count(1)
    await expect(page.locator("#room-title")).to_have_text("Room 1")


async def test_who_answers_is_changed_while_one_talks(tab: Tab, scripted: ScriptedApi) -> None:
    have(scripted, room(1))
    scripted.answers["GET personas"] = lambda _: (200, {"personas": [PERSONA, OTHER]})
    changed: list[Json] = []

    def answer(request: Request) -> Answer:
        changed.append(json.loads(request.post_data or ""))
        return 200, room(1, **changed[-1])

    scripted.answers["PATCH rooms/[^/]+"] = answer
    await scripted.open_room(tab.page)
    await tab.page.click("#room-persona")
    await tab.page.get_by_role("menuitemradio", name="Poet").click()
    await expect(tab.page.locator("#room-persona")).to_have_text("Poet · llama3.2:3b")
    assert changed == [{"ai_persona": "POET"}]


async def test_a_persons_own_markdown_is_shown_as_such(tab: Tab, scripted: ScriptedApi) -> None:
    scripted.answers[MESSAGES] = lambda _: (200, page_of([message(1, "Which *tea*?\n\n- green\n- black")]))
    await scripted.open_room(tab.page)
    await expect(tab.bodies.locator("em")).to_have_text("tea")
    await expect(tab.bodies.locator("li")).to_have_text(["green", "black"])


async def test_a_finger_hits_every_button(browser: Browser) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone, scripted = Tab(await context.new_page()), ScriptedApi()
    scripted.answers[MESSAGES] = lambda _: (200, page_of(talked()))
    await scripted.attach(phone.page)
    await phone.page.goto(f"{ORIGIN}/#/rooms/{ROOM_ID}")
    await expect(phone.replies.first).to_be_visible()
    small = f"""() => [...document.querySelectorAll("button, summary, select")]
        .filter((each) => each.checkVisibility({{ visibilityProperty: true }}))
        .map((each) => [each.id || each.className || each.localName, each.getBoundingClientRect()])
        .filter(([, box]) => box.width && Math.min(box.width, box.height) < {FINGER})
        .map(([name, box]) => `${{name}} ${{box.width}}x${{box.height}}`).join()"""
    assert await phone.page.evaluate(small) == ""
    await phone.page.click("#open-drawer")
    await expect(phone.page.locator("#sidebar")).to_be_visible()
    assert await phone.page.evaluate(small) == ""
    await context.close()
