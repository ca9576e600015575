"""What the page weighs, and what it costs a browser; ``-s`` prints the figures of docs/PERFORMANCE.md.

Bounds are on what a busy machine does not change: bytes, elements, the memory that is kept, the processor time of a
task. Times of the wall are printed only.
"""

from __future__ import annotations

import asyncio
import json
import re
from statistics import median
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, Page, Route, expect

from tests.browser.scripted_api import ScriptedApi, composing, frame, message, page_of
from tests.browser.tab import Installation, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)
MESSAGES = r"GET rooms/[^/]+/messages"
SCRIPTS = re.compile(r"\.js(\?|$)")

WEIGHT = 200_000
"""Bytes over the wire, headers included, from nothing to an open room."""
LOADS = 5
FRAME_MS = 50
PIECES = 2_000
REPLIES = 100
WARM_UP = 20
TASK = "ThreadControllerImpl::RunTask"
KEPT = 20_000
"""Bytes of the heap that a turn may keep: its texts, and what was made of them as long as it is near."""

PUSHED = """(() => {
    const real = window.fetch;
    let stream;
    const encoder = new TextEncoder();
    window.tell = (text) => stream.enqueue(encoder.encode(text));
    let followed;
    window.followed = new Promise((resolve) => { followed = resolve; });
    window.fetch = (url, options) => {
        if (!/\\/rooms\\/[^/]+\\/events/.test(String(url))) return real(url, options);
        const body = new ReadableStream({ start: (controller) => { stream = controller; followed(); } });
        return Promise.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
    };
})();"""
"""The room's events come from the test, one after the other, in a stream that stays open."""

PAINTED = """() => new Promise((resolve) => {
    const found = (list) => list.getEntriesByName("first-contentful-paint").forEach((each) => resolve(each.startTime));
    new PerformanceObserver(found).observe({ type: "paint", buffered: true });
})"""
"""Observed and not polled: Playwright's polling evaluates a string, which the page's policy forbids."""


async def pushing(tab: Tab, *messages: dict[str, Any]) -> CDPSession:
    """The room is open, and ``tell(text)`` tells its events."""
    tab.allow(r"status of 503")  # how the script keeps the account's stream quiet
    scripted = ScriptedApi()
    scripted.answers[MESSAGES] = lambda _: (200, page_of(list(messages)))
    await scripted.attach(tab.page)
    await tab.page.add_init_script(PUSHED)
    await scripted.open_room(tab.page)
    await tab.page.evaluate("followed")
    return await tab.page.context.new_cdp_session(tab.page)


def markdown(number: int) -> str:
    """A piece of an answer: paragraphs, a list, code, a table."""
    if number % 100 == 50:
        return "\n\n```python\nfor each in range(10):\n    print(each)\n```\n\n"
    if number % 100 == 75:
        return "\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    return f"\n\n- point {number} " if number % 10 == 0 else f"word{number} "


def turn(seq: int, pieces: int) -> list[str]:
    """The events of a turn: a question with this seq, and its reply in pieces."""
    asked, begun = message(seq, "And then?"), composing(seq + 1) | {"parent_message_id": message(seq, "")["message_id"]}
    told = [("message.created", {"message": each}) for each in (asked, begun)]
    text = ""
    for number in range(pieces):
        piece = markdown(number)
        about = {"message_id": begun["message_id"], "attempt": 1, "offset": len(text), "text": piece, "index": 0}
        told.append(("message.delta", about))
        text += piece
    told.append(("message.completed", {"message": message(seq + 1, text, finish_reason="stop")}))
    return [frame(f"{seq}-{number}", kind, data) for number, (kind, data) in enumerate(told, 1)]


async def painted(page: Page) -> float:
    """Milliseconds until something was to be seen."""
    return float(await page.evaluate(PAINTED))


async def test_the_page_weighs_little(browser: Browser, tab: Tab, installation: Installation, token: str) -> None:
    await tab.sign_in(installation.base_url, token)
    state = await tab.page.context.storage_state()
    paints, bare, uses, weights = [], [], [], []
    for _ in range(LOADS):
        context = await browser.new_context(viewport={"width": 1200, "height": 800}, storage_state=state)
        page = await context.new_page()
        session = await context.new_cdp_session(page)
        sizes: list[float] = []
        session.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
        await session.send("Network.enable")
        await page.goto(installation.base_url)
        await expect(page.locator("#first-field")).to_be_visible()
        uses.append(float(await page.evaluate("performance.now()")))
        paints.append(await painted(page))
        weights.append(sum(sizes))
        loaded = await page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
        assert not [name for name in loaded if "katex" in name or "highlight" in name], "loaded when needed"
        await page.goto(f"{installation.base_url}/docs/errors")
        bare.append(await painted(page))
        await context.close()
    print(f"\nbytes over the wire: {max(weights):,.0f}")
    for name, found in (("first paint", paints), ("of a page without a script", bare), ("to be used", uses)):
        print(f"{name}: {median(found):.0f} ms ({min(found):.0f} to {max(found):.0f})")
    assert max(weights) < WEIGHT


async def test_the_page_is_painted_before_it_has_run(
    browser: Browser, tab: Tab, installation: Installation, token: str
) -> None:
    await tab.sign_in(installation.base_url, token)
    context = await browser.new_context(storage_state=await tab.page.context.storage_state())
    page = await context.new_page()
    painted_already, held = asyncio.Event(), list[str]()

    async def hold(route: Route) -> None:
        held.append(route.request.url)
        await painted_already.wait()
        await route.continue_()

    await page.route(SCRIPTS, hold)
    await page.goto(installation.base_url, wait_until="commit")
    # The browser's own limit of the evaluation is that of the test: without a paint it does not return.
    await painted(page)
    assert held, "the page has scripts"
    painted_already.set()
    await expect(page.locator("#first-field")).to_be_visible()
    await context.close()


def main_thread_tasks(traced: list[dict[str, Any]]) -> list[float]:
    """Milliseconds of the processor for each task of the page's own thread, in their order."""
    threads = [event for event in traced if event["name"] == "thread_name"]
    pages = {(event["pid"], event["tid"]) for event in threads if event["args"]["name"] == "CrRendererMain"}
    tasks = [event for event in traced if event["name"] == TASK and (event["pid"], event["tid"]) in pages]
    return [event.get("tdur", 0) / 1000 for event in sorted(tasks, key=lambda event: event["ts"])]


async def test_a_long_reply_has_no_long_frame(browser: Browser, tab: Tab) -> None:
    await pushing(tab)
    told = turn(1, PIECES)
    await browser.start_tracing(page=tab.page, categories=["toplevel"])
    frames = await tab.page.evaluate(
        """async (told) => {
            const lengths = [];
            let last = performance.now();
            let going = true;
            const each = (now) => { lengths.push(now - last); last = now; if (going) requestAnimationFrame(each); };
            requestAnimationFrame(each);
            for (const text of told) {
                tell(text);
                await new Promise((resolve) => setTimeout(resolve, 4));
            }
            going = false;
            return lengths.slice(1);
        }""",
        told,
    )
    await expect(tab.replies.last).to_have_attribute("data-open", "false")
    tasks = main_thread_tasks(json.loads(await browser.stop_tracing())["traceEvents"])
    assert tasks
    quarter = len(tasks) // 4
    first, last = sum(tasks[:quarter]), sum(tasks[-quarter:])
    late = sum(each > FRAME_MS for each in frames)
    print(f"\nframes: {len(frames)}, longest {max(frames):.0f} ms, over {FRAME_MS} ms: {late}")
    print(f"longest tasks, of the processor: {[round(each) for each in sorted(tasks)[-5:]]} ms of {len(tasks)}")
    print(f"the first quarter of them: {first:.0f} ms, the last: {last:.0f} ms")
    assert max(tasks) < 2 * FRAME_MS, "a task is not a frame: tracing, and neighbours on the machine, cost too"
    assert sorted(tasks)[-(len(tasks) // 100)] < FRAME_MS / 2
    assert last < 4 * first, "pieces at the end of a long text cost what they cost at its beginning"


async def test_a_hundred_replies_leave_nothing_behind(tab: Tab) -> None:
    session = await pushing(tab)
    await session.send("Performance.enable")
    sizes: list[tuple[float, float]] = []
    for number in range(WARM_UP + REPLIES):
        await tab.page.evaluate("(all) => all.forEach((text) => tell(text))", turn(2 * number + 1, 100))
        await expect(tab.page.locator(f"#messages [data-seq='{2 * number + 2}']")).to_have_attribute(
            "data-open", "false"
        )
        if number + 1 in (WARM_UP, WARM_UP + REPLIES):
            await session.send("HeapProfiler.collectGarbage")
            found = {each["name"]: each["value"] for each in (await session.send("Performance.getMetrics"))["metrics"]}
            sizes.append((found["JSHeapUsedSize"], found["Nodes"]))
    (heap, nodes), (heap_after, nodes_after) = sizes
    kept = (heap_after - heap) / REPLIES
    print(
        f"\nheap: {heap:,.0f} to {heap_after:,.0f} bytes, {kept:,.0f} a turn; nodes: {nodes:.0f} to {nodes_after:.0f}"
    )
    assert kept < KEPT
    assert nodes_after < 1.2 * nodes
