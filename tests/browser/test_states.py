"""What a person sees in each state: nothing that WCAG 2.2 AA forbids, no text outside of the tables of words."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from api.web_files import WEB
from tests.browser.scripted_api import ORIGIN, ScriptedApi
from tests.browser.states import NARROW, WIDE, States
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

RULES = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


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
