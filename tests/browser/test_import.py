"""Conversations of other programs are brought along from their export files. The API is a script."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Request, expect

from tests.browser.export_files import chatgpt, open_webui
from tests.browser.room_script import NEW_ROOM, SEND, Kept
from tests.browser.scripted_api import ORIGIN, Answer, Json, ScriptedApi
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(tab: Tab) -> ScriptedApi:
    tab.allow(r"status of (409|503)")
    made = ScriptedApi()
    await made.attach(tab.page)
    return made


async def choose(tab: Tab, text: str) -> None:
    await tab.page.goto(ORIGIN)
    await expect(tab.page.locator("#rooms a")).to_be_visible()
    await tab.page.click("#settings")
    await tab.page.click("#import")
    await expect(tab.page.locator("#import-dialog")).to_be_visible()
    file: FilePayload = {"name": "conversations.json", "mimeType": "application/json", "buffer": text.encode()}
    await tab.page.set_input_files("#import-file", file)


async def bring(tab: Tab, text: str) -> None:
    await choose(tab, text)
    await tab.page.click("#import-submit")
    await expect(tab.page.locator("#import-said")).to_have_text("1 conversations are there now.")


@pytest.mark.parametrize(
    ("export", "room", "turns", "lost"),
    [
        (
            chatgpt,
            {
                "title": "Tea 🍵",
                "ai_persona": "GPT4O",
                "external_id": "import:ChatGPT:6631f0a2-aaaa-8001-9fff-000000000001",
            },
            [
                ("user", "Which tea is this?"),
                ("assistant", "ChatGPT (gpt-4o):\n\nIt is **rooibos**.\n\nFrom South Africa."),
                ("user", "Thank you"),
            ],
            ["branches are left out: 2", "files are left out: 1", "results are left out: 2", "thought is left out: 1"],
        ),
        (
            open_webui,
            {
                "title": "Hello",
                "ai_persona": "GPT4O",
                "external_id": "import:Open WebUI:0d2e6f9c-1111-4222-8333-444455556666",
            },
            [("user", "Hello"), ("assistant", "Open WebUI (llama3.2:3b):\n\nYes")],
            ["branches are left out: 1", "files are left out: 1", "thought is left out: 1"],
        ),
    ],
)
async def test_an_export_becomes_rooms_and_what_is_lost_is_said(
    tab: Tab,
    scripted: ScriptedApi,
    export: Callable[[], str],
    room: Json,
    turns: list[tuple[str, str]],
    lost: list[str],
) -> None:
    kept = Kept(scripted)
    await choose(tab, export())
    about = tab.page.locator("#import-about li")
    await expect(about).to_have_count(2 + len(lost))
    for number, words in enumerate(lost):
        await expect(about.nth(2 + number)).to_contain_text(words)
    await tab.page.click("#import-submit")
    await expect(tab.page.locator("#import-said")).to_have_text("1 conversations are there now.")

    assert kept.rooms == [room]
    assert [(body["metadata"]["imported"]["role"], body["content"]) for body in kept.sent] == turns
    assert {body["reply"] for body in kept.sent} == {"none"}


async def test_an_answer_that_was_given_elsewhere_looks_like_one(tab: Tab, scripted: ScriptedApi) -> None:
    kept = Kept(scripted)
    scripted.answers[r"GET rooms/[^/]+"] = kept.room
    await bring(tab, chatgpt())
    await tab.page.click("#import-close")
    await tab.page.goto(f"{ORIGIN}/#/rooms/{NEW_ROOM}")

    answer = tab.page.locator("#messages .message").nth(1)
    await expect(answer).to_have_class("message ai")
    await expect(answer.locator(".message-author")).to_have_text("ChatGPT · gpt-4o")
    await expect(answer.locator("time").first).to_contain_text("2024")
    await expect(answer.locator(".message-body")).to_have_text(re.compile(r"It is rooibos\.\s*From South Africa\."))
    await expect(answer.locator("[data-action=edit]")).to_be_hidden()


async def test_what_broke_off_goes_on_and_nothing_comes_twice(tab: Tab, scripted: ScriptedApi) -> None:
    kept = Kept(scripted)
    full: Answer = (409, {"code": "limit-reached", "detail": "Full"})
    busy: Answer = (503, {"code": "overloaded", "retry_after_seconds": 0.01})
    await choose(tab, chatgpt())
    kept.refusals = [busy]
    original = kept.send

    def after_one(request: Request) -> Answer:
        return full if kept.sent else original(request)

    scripted.answers[SEND] = after_one
    await tab.page.click("#import-submit")
    said = tab.page.locator("#import-said")
    await expect(said).to_contain_text("0 of 1 are there now. There is as much of it as there may be.")
    assert len(kept.sent) == 1

    scripted.answers[SEND] = original
    await tab.page.click("#import-submit")
    await expect(said).to_have_text("1 conversations are there now.")
    assert [body["metadata"]["imported"]["id"] for body in kept.sent] == ["asked", "answer", "thanks"]


async def test_another_file_is_refused_with_words(tab: Tab, scripted: ScriptedApi) -> None:
    Kept(scripted)
    for text in ("no JSON", "[]", '{"rooms": []}', "[1]"):
        await choose(tab, text)
        await expect(tab.page.locator("#import-said")).to_have_text("That is no export of ChatGPT or Open WebUI.")
        await expect(tab.page.locator("#import-submit")).to_be_disabled()
        await tab.page.click("#import-close")


async def test_a_long_answer_is_kept_in_pieces(tab: Tab, scripted: ScriptedApi) -> None:
    await tab.page.goto(ORIGIN)
    script = """async ([text, most]) => (await import("/assets/js/foreign_turns.js")).pieces(text, most)"""
    text = "😀" * 60 + "\n" + "b" * 60
    found = await tab.page.evaluate(script, [text, 100])
    assert found == ["😀" * 60 + "\n", "b" * 60]
    assert await tab.page.evaluate(script, ["x" * 250, 100]) == ["x" * 100, "x" * 100, "x" * 50]
