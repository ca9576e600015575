"""Any message can be edited or gone on from: where the room has gone on, in a new room. The API is a script."""

from __future__ import annotations

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.room_script import NEW_ROOM, Kept
from tests.browser.scripted_api import PERSONA, Json, ScriptedApi, message
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = {"type": "file", "file_id": "f1", "name": "a.txt", "media_type": "text/plain", "size": 3}


@pytest_asyncio.fixture(loop_scope="module")
async def kept(tab: Tab) -> Kept:
    tab.allow(r"status of 503")
    scripted = ScriptedApi()
    with_file = [{"type": "text", "text": "Second"}, FILE]
    said = (message(1, "First"), message(2, "One"), message(3, "Second", parts=with_file), message(4, "Two"))
    made = Kept(scripted, *said)
    await scripted.attach(tab.page)
    await scripted.open_room(tab.page)
    return made


def notes(kept: Kept) -> list[tuple[str, str]]:
    return [
        (body["metadata"]["imported"]["role"], body["content"]) for body in kept.sent if body.get("reply") == "none"
    ]


def asked(kept: Kept) -> list[Json]:
    return [body for body in kept.sent if body.get("reply") != "none"]


@pytest.mark.parametrize(
    ("seq", "before", "files"),
    [
        (1, [], []),
        (3, [("user", "First"), ("assistant", f"{PERSONA['title']}:\n\nOne")], [{"type": "file", "file_id": "f1"}]),
    ],
)
async def test_an_earlier_message_is_asked_anew_in_a_room_of_its_own(
    tab: Tab, kept: Kept, seq: int, before: list[tuple[str, str]], files: list[Json]
) -> None:
    mine = tab.page.locator(f"#messages [data-seq='{seq}']")
    await mine.hover()
    await mine.locator("[data-action=edit]").click()
    await expect(mine.locator(".message-editor .message-note")).to_contain_text("this is asked in a new room")
    await mine.locator("textarea").fill("Better")
    await tab.page.keyboard.press("Enter")

    await expect(tab.page.locator("#room-title")).to_have_text("Scripted (branch)")
    await expect(tab.bodies.last).to_have_text("Better")
    assert tab.page.url.endswith(NEW_ROOM)
    assert notes(kept) == before
    assert [(body["content"], body.get("parts", [])) for body in asked(kept)] == [("Better", files)]
    assert kept.rooms == [{"title": "Scripted (branch)", "ai_persona": "GPT4O"}]


async def test_any_answer_can_be_gone_on_from(tab: Tab, kept: Kept) -> None:
    answer = tab.page.locator("#messages [data-seq='2']")
    await answer.hover()
    await answer.locator("[data-action=branch]").click()

    await expect(tab.page.locator("#room-title")).to_have_text("Scripted (branch)")
    # What was answered there looks as it did.
    await expect(tab.replies).to_have_count(1)
    await expect(tab.replies.locator(".message-body")).to_have_text("One")
    await expect(tab.replies.locator(".message-author")).to_have_text("Assistant")
    assert notes(kept) == [("user", "First"), ("assistant", "Assistant:\n\nOne")]
    assert asked(kept) == []
