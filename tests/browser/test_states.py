"""What a person sees in each state: nothing that WCAG 2.2 AA forbids, no text outside of the tables of words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from api.web_files import WEB
from tests.browser.scripted_api import (
    ORIGIN,
    PERSONA,
    ROOM_ID,
    Answer,
    Json,
    ScriptedApi,
    composing,
    message,
    page_of,
    tool_call,
)
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MESSAGES = r"GET rooms/[^/]+/messages"
QUIET: Answer = (503, {"code": "overloaded", "retry_after_seconds": 60})
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
DIFFERENT = [("light", WIDE), ("dark", NARROW)]
ALL_FOUR = [*DIFFERENT, ("light", NARROW), ("dark", WIDE)]
RULES = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
RICH = """## Tea

| Tea | Caffeine | Where it comes from, in more words than fit |
|---|---|---|
| Rooibos | none | South Africa |

```python
def brew(tea: str) -> str:  # slowly
    return f"hot {tea}"
```

It is $x^2$ [and more](https://example.org). `code` and > 3.
"""
OTHER = {"name": "POET", "title": "Poet", "description": "Rhymes", "model": "llama3.2:3b"}
RESULT = {
    "room_id": ROOM_ID,
    "message_id": message(1, "")["message_id"],
    "seq": 1,
    "sender_type": "USER",
    "timestamp": "2026-11-23T10:00:00Z",
    "snippet": "Which tea?",
    "highlights": [[6, 9]],
}


def talked() -> list[Json]:
    thought = {"type": "reasoning", "text": "Hm.", "duration_ms": 1200}
    reply = message(
        2, RICH, parts=[thought, {"type": "text", "text": RICH}], usage={"input_tokens": 1, "output_tokens": 2}
    )
    failed = message(4, "", finish_reason="error", error={"code": "llm-error", "detail": "It is away."})
    return [
        message(1, "Which *tea*?\n\n- green\n- black"),
        reply,
        message(3, "And now?"),
        failed,
        message(5, "And?"),
        composing(6)
        | {"parent_message_id": message(5, "")["message_id"], "attempt": 1, "parts": [tool_call(editable=True)]},
        message(7, "Wait"),
        composing(8) | {"parent_message_id": message(7, "")["message_id"]},
    ]


class States:
    """A page with a script behind it, that is brought from state to state."""

    def __init__(self, tab: Tab, scripted: ScriptedApi) -> None:
        self.tab = tab
        self.page = tab.page
        self.scripted = scripted

    async def open(self) -> None:
        self.scripted.answers["GET session"] = lambda _: (401, {"code": "unauthenticated", "detail": "No session"})
        self.scripted.answers["GET session/methods"] = lambda _: (200, {"openid": None, "name": False})
        self.scripted.answers["GET personas"] = lambda _: (200, {"personas": [PERSONA, OTHER]})
        waiting = {"room_id": ROOM_ID, "message_id": message(6, "")["message_id"], "part": tool_call()}
        self.scripted.answers["GET approvals"] = lambda _: (200, {"approvals": [waiting], "next_cursor": None})
        self.scripted.answers[MESSAGES] = lambda _: (200, page_of(talked()))
        self.scripted.answers["GET search"] = lambda _: (200, {"results": [RESULT], "next_cursor": None})
        await self.page.goto(ORIGIN)
        await expect(self.page.locator("#sign-in")).to_be_visible()

    async def walk(self, look: Callable[[str], Awaitable[None]]) -> None:
        """Through all states; ``look`` is called in each."""
        page = self.page
        await self.open()
        await look("sign-in")
        self.scripted.answers["GET session"] = lambda _: (200, {"account_id": "ada", "scopes": [], "expires_at": None})
        await page.reload()
        await expect(page.locator("#first-field")).to_be_visible()
        await look("welcome")
        await page.goto(f"{ORIGIN}/#/rooms/{ROOM_ID}")
        await expect(page.locator("#messages .hljs-keyword").first).to_be_visible()
        await look("conversation")
        await page.locator("#messages [data-action=edit]:visible").last.click()
        await look("editor")
        await page.keyboard.press("Escape")
        for decision in ("deny", "change"):
            await page.click(f"[data-decision={decision}]")
            await look(decision)
            await page.keyboard.press("Escape")
        await self._dialogs(look)
        await page.fill("#search-field", "tea")
        await expect(page.locator("#found mark")).to_be_visible()
        await look("search")
        await page.fill("#search-field", "")
        await page.context.set_offline(True)
        await expect(page.locator("#connection")).to_be_visible()
        await look("offline")
        await page.context.set_offline(False)

    async def _dialogs(self, look: Callable[[str], Awaitable[None]]) -> None:
        page = self.page
        for opener, opened in (
            ("#room-persona", "#menu"),
            ("#rooms .room-menu", "#menu"),
            ("#approvals", "#menu"),
            ("#new-room", "#create-dialog"),
            ("#rename-room", "#rename-dialog"),
            ("#delete-room", "#confirm-dialog"),
            ("#settings", "#settings-dialog"),
        ):
            await page.locator(opener).first.dispatch_event("click")
            await expect(page.locator(opened)).to_be_visible()
            await look(opener)
            await page.keyboard.press("Escape")
            await expect(page.locator(opened)).to_be_hidden()
        await page.keyboard.press("Control+k")
        await expect(page.locator("#palette-list li").first).to_be_visible()
        await look("palette")
        await page.keyboard.press("Escape")


@pytest_asyncio.fixture(loop_scope="module")
async def states(tab: Tab) -> AsyncIterator[States]:
    tab.allow(r"status of (503|401)")
    tab.allow(r"ERR_INTERNET_DISCONNECTED")
    scripted = ScriptedApi()
    await scripted.attach(tab.page)
    yield States(tab, scripted)


async def violations(page: Page) -> list[str]:
    # Colours that were just exchanged change over some frames.
    await page.evaluate(
        """async () => {
            await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
            const ends = (each) => each.effect.getComputedTiming().iterations !== Infinity;
            await Promise.allSettled(document.getAnimations().filter(ends).map((each) => each.finished));
        }"""
    )
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(Axe().axe_script)
    found = (await page.evaluate("(rules) => axe.run(document, rules)", RULES))["violations"]
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.mark.timeout(300)  # some thirty looks at the whole page
async def test_no_state_has_a_barrier(states: States) -> None:
    """Each state in both colours and both widths; what shows most in all four."""
    faults: list[str] = []

    async def look(name: str) -> None:
        for scheme in ("light", "dark"):
            await states.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for size in (WIDE, NARROW):
                await states.page.set_viewport_size(size)  # type: ignore[arg-type]
                faults.extend(f"{name} {scheme} {size['width']}: {fault}" for fault in await violations(states.page))
                wide = await states.page.evaluate("document.documentElement.scrollWidth")
                if wide > size["width"]:
                    faults.append(f"{name} {size['width']}: scrolls sideways, {wide}")
        await states.page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    await states.walk(look)
    assert faults == []


SHOWN = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (node.nodeType === Node.TEXT_NODE) {
            if (!node.parentElement.closest("noscript, .message-body, [data-foreign]")) found.push(node.data);
        } else {
            for (const name of ["aria-label", "title", "placeholder", "alt"]) found.push(node.getAttribute(name) ?? "");
        }
    }
    return [...new Set(found.map((text) => text.trim()).filter(Boolean))];
}"""
# What people, the API and code say is not the page's own; neither is the name of the program.
FOREIGN = re.compile(
    r"Parlor|parlor|sign-in|NAME|ada|Scripted"
    r"|Assistant,?|Poet|Helps|Rhymes|llama3.2:3b|Mail|Which *|tea|\?|Hm\.|It is away\."
    r"|python|English|한국어|[\W\d]*"
)


async def in_brackets(route: Route) -> None:
    """The table of English, with each text in brackets."""
    text = (WEB / "assets/js/words/en.js").read_text(encoding="utf-8")
    marked = re.sub(r'^(  "[^"]+": ")(.*)(",)$', r"\1⟦\2⟧\3", text, flags=re.MULTILINE)
    await route.fulfill(body=marked, content_type="text/javascript; charset=utf-8")


async def test_all_that_the_page_says_is_in_its_tables(states: States) -> None:
    await states.page.route("**/js/words/en.js", in_brackets)
    loose: set[str] = set()

    async def look(name: str) -> None:
        for text in await states.page.evaluate(SHOWN):
            rest = re.sub(r"⟦[^⟦⟧]*(?:⟦[^⟦⟧]*⟧[^⟦⟧]*)*⟧", "", text)
            for word in re.split(r"\s+|·", rest):
                if not FOREIGN.fullmatch(word) and not re.fullmatch(r"\d.*|[A-Z][a-z]{2}|AM|PM|am|pm", word):
                    loose.add(f"{name}: {text}")

    await states.walk(look)
    assert loose == set()


async def test_the_page_speaks_korean(browser: Browser) -> None:
    context = await browser.new_context(locale="ko-KR", viewport=WIDE)  # type: ignore[arg-type]
    tab = Tab(await context.new_page())
    tab.allow(r"status of (401|503)")
    scripted = ScriptedApi()
    await scripted.attach(tab.page)
    await tab.page.goto(ORIGIN)
    await expect(tab.page.locator("html")).to_have_attribute("lang", "ko")
    await expect(tab.page.locator("#new-room")).to_have_text("새 대화방")
    assert await violations(tab.page) == []

    await tab.page.click("#settings")
    await tab.page.select_option("#settings-language", "en")
    await tab.page.select_option("#settings-theme", "dark")
    await tab.page.click("#settings-dialog [type=submit]")
    await expect(tab.page.locator("#new-room")).to_have_text("New room")
    assert await tab.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    await context.close()
    assert tab.errors == []
