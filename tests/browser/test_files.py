"""Files on the page: chosen, pasted and dropped, sent with a message, and shown. The API is a script."""

from __future__ import annotations

import base64
import json

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.scripted_api import Answer, Json, ScriptedApi, message, page_of
from tests.browser.tab import Tab
from tests.sample_files import png

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SEND = r"POST rooms/[^/]+/messages"
IMAGE: Json = {"type": "image", "file_id": "f-1", "name": "dot.png", "media_type": "image/png", "size": 70}
FILE: Json = {"type": "file", "file_id": "f-2", "name": "notes.txt", "media_type": "text/plain", "size": 5}


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(tab: Tab) -> ScriptedApi:
    tab.allow(r"status of (404|415|503)")
    made = ScriptedApi()
    uploads: list[Json] = [IMAGE, FILE]

    def upload(_: object) -> Answer:
        part = dict(uploads.pop(0))
        del part["type"]
        return 201, part

    made.answers[r"POST files"] = upload
    await made.attach(tab.page)
    return made


async def choose(tab: Tab, *files: tuple[str, str, bytes]) -> None:
    payloads = [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
    await tab.page.set_input_files("#attach-files", payloads)  # type: ignore[arg-type] # FilePayload is a TypedDict


async def test_chosen_files_go_with_the_message(tab: Tab, scripted: ScriptedApi) -> None:
    scripted.answers[SEND] = lambda _: (201, {"message": message(1, "Look"), "reply": None, "cursor": "1-1"})
    await scripted.open_room(tab.page)
    await choose(tab, ("dot.png", "image/png", png()))
    await expect(tab.page.locator(".attachments li[data-state=ready]")).to_have_text("dot.png")
    await choose(tab, ("notes.txt", "text/plain", b"hello"))
    await expect(tab.page.locator(".attachments li[data-state=ready]")).to_have_count(2)
    await tab.page.fill("#composer-field", "Look")
    await tab.page.click("#send")
    await expect(tab.page.locator(".attachments li")).to_have_count(0)
    await expect(tab.page.locator("#messages .message")).to_have_count(1)
    (sent,) = scripted.seen(SEND)
    body = json.loads(sent.post_data or "")
    assert body["content"] == "Look"
    assert body["parts"] == [{"type": "image", "file_id": "f-1"}, {"type": "file", "file_id": "f-2"}]


@pytest.mark.parametrize("way", ["paste", "drop"])
async def test_a_file_that_is_pasted_or_dropped_can_be_sent_alone(tab: Tab, scripted: ScriptedApi, way: str) -> None:
    scripted.answers[SEND] = lambda _: (201, {"message": message(1, ""), "reply": None, "cursor": "1-1"})
    await scripted.open_room(tab.page)
    await expect(tab.page.locator("#send")).to_be_disabled()
    script = """([way, data]) => {
        const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "dot.png", { type: "image/png" }));
        const field = document.getElementById("composer-field");
        const options = { bubbles: true, cancelable: true };
        const event = way === "paste"
            ? new ClipboardEvent("paste", { ...options, clipboardData: transfer })
            : new DragEvent("drop", { ...options, dataTransfer: transfer });
        field.dispatchEvent(event);
    }"""
    await tab.page.evaluate(script, [way, base64.b64encode(png()).decode()])
    await expect(tab.page.locator(".attachments li[data-state=ready]")).to_have_text("dot.png")
    await tab.page.click("#send")
    await expect(tab.page.locator("#messages .message")).to_have_count(1)
    (sent,) = scripted.seen(SEND)
    body = json.loads(sent.post_data or "")
    assert ("content" in body, body["parts"]) == (False, [{"type": "image", "file_id": "f-1"}])


async def test_a_file_that_is_refused_is_said(tab: Tab, scripted: ScriptedApi) -> None:
    problem = {"code": "unsupported-media-type", "detail": "Files of this type are not taken", "status": 415}
    scripted.answers[r"POST files"] = lambda _: (415, problem)
    await scripted.open_room(tab.page)
    await choose(tab, ("a.zip", "application/zip", b"PK"))
    await expect(tab.page.locator("#notices")).to_contain_text("Files of this type are not taken")
    await expect(tab.page.locator(".attachments li")).to_have_count(0)


async def test_a_file_that_is_taken_off_is_deleted(tab: Tab, scripted: ScriptedApi) -> None:
    scripted.answers[r"DELETE files/f-1"] = lambda _: (200, {})
    await scripted.open_room(tab.page)
    await choose(tab, ("dot.png", "image/png", png()))
    await tab.page.click(".attachments li[data-state=ready] button")
    await expect(tab.page.locator(".attachments li")).to_have_count(0)
    async with tab.page.expect_event("requestfinished", lambda request: True):
        await tab.page.evaluate("fetch('/assets/icon.svg')")
    assert len(scripted.seen(r"DELETE files/f-1")) == 1


async def test_images_are_shown_and_files_are_links(tab: Tab, scripted: ScriptedApi) -> None:
    named = message(1, "Look", parts=[{"type": "text", "text": "Look"}, IMAGE, FILE])
    scripted.answers[r"GET rooms/[^/]+/messages"] = lambda _: (200, page_of([named]))

    async def picture(route: object) -> None:
        await route.fulfill(body=png(), content_type="image/png")  # type: ignore[attr-defined]

    await tab.page.route("**/v1/files/f-1", picture)
    await scripted.open_room(tab.page)
    image = tab.page.locator("#messages .message-image")
    await expect(image).to_have_attribute("alt", "dot.png")
    await expect(image).to_have_js_property("naturalWidth", 3)
    link = tab.page.locator("#messages .message-file")
    await expect(link).to_have_text("notes.txt (5 bytes)")
    await link.click()
    await expect(tab.page.locator("#messages .message-files")).to_contain_text("notes.txt: not there any more")
