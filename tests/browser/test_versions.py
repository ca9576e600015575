"""Versions of a question, and the attempts that answer each. The API is a script."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.async_api import Locator, Request, expect

from tests.browser.events_script import Stream
from tests.browser.scripted_api import Answer, Json, ScriptedApi, composing, message, page_of
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MESSAGES = r"GET rooms/[^/]+/messages"


def reply(content: str, attempt: int) -> Json:
    return message(2, content, parent_message_id=message(1, "")["message_id"], attempt=attempt)


def told(variants: list[Json]) -> Callable[[Request], Answer]:
    return lambda _: (200, {"variants": variants})


def place(tab: Tab, seq: int) -> Locator:
    return tab.page.locator(f"#messages [data-seq='{seq}'] .versions-place")


async def test_an_answer_to_what_was_asked_before_an_edit_is_none_of_its_versions(
    tab: Tab,
) -> None:
    tab.allow(r"status of 503")  # how the script keeps a stream quiet
    scripted = ScriptedApi()
    await scripted.attach(tab.page)
    edited = message(1, "Bonjour", metadata={"edited_at": "2026-11-23T10:05:00.000Z", "answered_from": 3})
    answering = [reply(text, number) for number, text in enumerate(["Hello", "Hi you", "Salut", "Allo"], 1)]
    scripted.answers[MESSAGES] = lambda _: (200, page_of([edited, answering[-1]], "1-0"))
    stream = Stream(tab, scripted)
    for variants in ([message(1, "Hi"), edited], answering):
        path = rf"GET rooms/[^/]+/messages/{variants[0]['message_id']}/variants"
        scripted.answers[path] = told(variants)
    await scripted.open_room(tab.page)
    before = tab.page.get_by_role("button", name="Version before")
    await expect(place(tab, 1)).to_have_text("2/2")
    await expect(place(tab, 2)).to_have_text("2/2")
    await before.nth(1).click()
    await expect(tab.bodies).to_have_text(["Bonjour", "Salut"])

    await before.nth(0).click()
    await expect(tab.bodies).to_have_text(["Hi", "Hi you"])
    await expect(place(tab, 2)).to_have_text("2/2")
    await before.nth(1).click()
    await expect(tab.bodies).to_have_text(["Hi", "Hello"])

    # Another attempt begins: it answers what the question says now.
    begun = composing(2) | {"attempt": 5, "parent_message_id": edited["message_id"]}
    await stream.tell("message.updated", {"message": begun})
    piece = {"message_id": begun["message_id"], "attempt": 5, "offset": 0, "text": "Bon"}
    await stream.tell("message.delta", piece)
    await expect(tab.bodies).to_have_text(["Bonjour", "Bon"])
    answering.append(reply("Bonsoir", 5))
    await stream.tell("message.completed", {"message": answering[-1]})
    await expect(place(tab, 2)).to_have_text("3/3")
    await expect(tab.bodies).to_have_text(["Bonjour", "Bonsoir"])
