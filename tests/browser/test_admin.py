"""The operators' page: by script in each of its states, and against a running installation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.scripted_admin import TROUBLE, ScriptedAdmin, dead_letter
from tests.browser.scripted_api import ORIGIN, SESSION, ScriptedApi
from tests.browser.tab import Installation, Tab
from tests.browser.test_screenshots import NARROW, PICTURES, SMALLEST, WIDE
from tests.browser.test_states import FOREIGN, SHOWN, in_brackets, violations

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(tab: Tab) -> AsyncIterator[ScriptedApi]:
    found = ScriptedApi()
    await found.attach(tab.page)
    yield found


@pytest.fixture
def admin(scripted: ScriptedApi) -> ScriptedAdmin:
    return ScriptedAdmin(scripted)


async def open_operations(page: Page, address: str = ORIGIN) -> None:
    await page.goto(f"{address}/admin")
    await expect(page.locator("#actors tr").first).to_be_visible()
    await expect(page.locator("#accounts [data-data=cost]:not(:empty)").last).to_be_visible()


async def look_on(page: Page, looks: int) -> None:
    """Time passes, with a look every ten seconds."""
    for _ in range(looks):
        async with page.expect_response("**/v1/admin/status"):
            await page.clock.fast_forward(10_000)
    await page.clock.run_for(100)


async def barriers(page: Page, name: str) -> list[str]:
    """What WCAG forbids, and what scrolls sideways, in both colours and both widths."""
    faults = []
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width, height in (WIDE, NARROW):
            await page.set_viewport_size({"width": width, "height": height})
            faults += [f"{name} {scheme} {width}: {fault}" for fault in await violations(page)]
            wide = await page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                faults.append(f"{name} {width}: scrolls sideways, {wide}")
    await page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    return faults


async def loose_words(page: Page) -> list[str]:
    """Texts that are in no table of words; what is in one stands in brackets."""
    found = []
    for text in await page.evaluate(SHOWN):
        rest = re.sub(r"⟦[^⟦⟧]*(?:⟦[^⟦⟧]*⟧[^⟦⟧]*)*⟧", "", text)
        found += [text for word in rest.split() if not FOREIGN.fullmatch(word) and word != "olga"]
    return found


async def test_no_state_of_operations_has_a_barrier_or_words_of_its_own(
    tab: Tab, scripted: ScriptedApi, admin: ScriptedAdmin
) -> None:
    page = tab.page
    tab.allow(r"status of 503")
    await page.route("**/js/words/en.js", in_brackets)
    scripted.answers["GET session"] = lambda _: (401, {"code": "unauthenticated", "detail": "No session"})
    await page.goto(f"{ORIGIN}/admin")
    await expect(page.locator("#sign-in")).to_be_visible()
    faults = await barriers(page, "sign-in") + await loose_words(page)

    ScriptedAdmin(scripted).trouble = TROUBLE
    await open_operations(page)
    await expect(page.locator("#wrong")).to_contain_text(TROUBLE)
    faults += await barriers(page, "operations") + await loose_words(page)

    await page.click("[data-account=ada] button")
    await expect(page.locator("#confirm-dialog")).to_be_visible()
    faults += await barriers(page, "disable") + await loose_words(page)
    await page.keyboard.press("Escape")

    scripted.answers["GET admin/status"] = lambda _: (503, {"code": "overloaded", "retry_after_seconds": 2})
    await expect(page.locator("#connection")).to_be_visible()
    faults += await barriers(page, "no status") + await loose_words(page)
    assert faults == []


async def test_operations_speak_korean(browser: Browser) -> None:
    context = await browser.new_context(locale="ko-KR")
    tab = Tab(await context.new_page())
    scripted = ScriptedApi()
    ScriptedAdmin(scripted)
    await scripted.attach(tab.page)
    await open_operations(tab.page)
    await expect(tab.page.locator("#operations h1")).to_have_text("운영")
    await expect(tab.page.locator("#state")).to_have_text("모두 정상입니다. 액터 6개가 응답합니다.")
    assert await violations(tab.page) == []
    await context.close()
    assert tab.errors == []


async def test_charts_show_what_was_done_between_two_looks(tab: Tab, admin: ScriptedAdmin) -> None:
    page = tab.page
    await page.clock.install()
    await open_operations(page)
    charts = page.locator(".chart")
    await expect(charts.nth(0).locator(".chart-value")).to_have_text("412")
    await expect(charts.nth(1).locator(".chart-value")).to_have_text("–")  # one look is no rate

    await look_on(page, 3)
    assert float(await charts.nth(1).locator(".chart-value").inner_text()) > 0
    await expect(charts.nth(1).locator(".chart-line")).to_have_count(1)
    name = await charts.nth(0).get_by_role("img").get_attribute("aria-label")
    assert name == "Active rooms: now 412; the last 10 minutes on a scale up to 500"
    busiest = page.locator("#actors tr").first
    await expect(busiest.locator("th")).to_have_text("writer-1-0")
    await expect(busiest.locator(".course path")).to_have_count(1)
    await expect(page.locator("[data-actor=rooms-001]")).to_contain_text("leaving")

    admin.trouble = TROUBLE
    await look_on(page, 1)
    await expect(page.locator("#actors tr").first).to_contain_text(TROUBLE)
    await expect(page.locator("#state")).to_have_text("Needs attention: 1")


async def test_a_new_process_counts_from_nothing_and_a_pause_breaks_the_line(tab: Tab, admin: ScriptedAdmin) -> None:
    await tab.page.goto(f"{ORIGIN}/admin")
    script = """async () => {
        const { Looks } = await import("/assets/js/admin/looks.js");
        const { ceiling, pieces } = await import("/assets/js/admin/chart.js");
        const actor = (pid, sends) => ({ name: "a", kind: "RoomActor", pid, sends, replied: 0, rooms: 1, replies: 0 });
        const looks = new Looks();
        const rates = [[1, 100, 0], [1, 150, 10_000], [2, 30, 20_000], [2, 30, 50_000]].map(([pid, sends, at]) =>
            looks.add({ services: {}, shards: [], actors: [actor(pid, sends)] }, at).sends);
        looks.add({ services: {}, shards: [], actors: [] }, 640_000);
        const broken = pieces([{ at: 0, value: 1 }, { at: 2_000, value: 2 }, { at: 60_000, value: 1 }], 60_000, 2);
        return { rates, left: looks.course("sends").length, ceilings: [0, 1, 1.2, 37, 500, 501].map(ceiling), broken };
    }"""
    found = await tab.page.evaluate(script)
    assert found["rates"] == [None, 5, 3, 0]
    assert found["left"] == 1
    assert found["ceilings"] == [1, 1, 2, 50, 500, 1000]
    assert [len(piece) for piece in found["broken"]] == [2, 1]
    assert found["broken"][1] == [["300.0", "50.0"]]


async def test_dead_letters_are_replayed_and_dropped(tab: Tab, scripted: ScriptedApi, admin: ScriptedAdmin) -> None:
    page = tab.page
    admin.dead_letters = [dead_letter(number) for number in (1, 2, 3)]
    await open_operations(page)
    await expect(page.locator("#dead-letters li")).to_have_count(3)
    await page.click("[data-id='1795403885042-1'] [data-action=replay]")
    await page.click("[data-id='1795403885042-2'] [data-action=drop]")
    await page.click("#confirm-button")
    await expect(page.locator("#dead-letters li")).to_have_count(1)
    done = scripted.seen(r"POST admin/dead-letters/.*")
    assert [request.url.split("/")[-2:] for request in done] == [
        ["1795403885042-1", "replay"],
        ["1795403885042-2", "drop"],
    ]

    tab.allow(r"status of 404")
    admin.dead_letters = []
    await page.click("[data-action=replay]")
    await expect(page.locator(".notice").last).to_contain_text("gone already")


async def test_an_account_is_found_shut_out_and_let_in(tab: Tab, admin: ScriptedAdmin) -> None:
    page = tab.page
    admin.standings["김하늘"] = "active"
    await open_operations(page)
    await expect(page.locator("[data-account=ada]")).to_contain_text("131,000")
    await expect(page.locator("[data-account=mallory] button")).to_have_text("Let in again")
    await page.fill("#account-field", "김하늘")
    await page.press("#account-field", "Enter")
    row = page.locator("#accounts tr")
    await expect(row).to_have_count(1)
    await row.get_by_role("button").click()
    await page.press("#confirm-dialog", "Escape")
    assert admin.standings["김하늘"] == "active"
    await row.get_by_role("button").click()
    await page.click("#confirm-button")
    await expect(row).to_contain_text("disabled since")
    await row.get_by_role("button", name="Let").click()
    await expect(row.get_by_role("button")).to_have_text("Disable")
    assert admin.standings["김하늘"] == "active"

    tab.allow(r"status of 404")
    await page.fill("#account-field", "nobody")
    await page.press("#account-field", "Enter")
    await expect(page.locator(".notice").last).to_contain_text("There is no such account.")


async def test_whoever_is_no_operator_is_told_and_asks_for_nothing(tab: Tab, scripted: ScriptedApi) -> None:
    scripted.answers["GET session"] = lambda _: (200, SESSION)
    await tab.page.goto(f"{ORIGIN}/admin")
    await expect(tab.page.locator("#sign-in-problem")).to_contain_text("ada may not see operations")
    assert scripted.seen(r"GET admin/.*") == []


async def test_an_operator_shuts_an_account_out_of_a_running_installation(
    tab: Tab, installation: Installation, token: str
) -> None:
    page, bearer = tab.page, {"Authorization": f"Bearer {token}"}
    opened = await page.request.get(f"{installation.base_url}/v1/session", headers=bearer)
    name = (await opened.json())["account_id"]
    printed = await asyncio.to_thread(installation.parlor, "sign-in", "olga", "--admin")
    assert printed.returncode == 0, printed.stderr
    await page.goto(printed.stdout.strip())
    await expect(page.locator("[data-actor=rooms-000]")).to_contain_text("ok")
    await expect(page.locator("[data-actor=supervisor]")).to_be_visible()
    await expect(page.locator("#shards tr")).not_to_have_count(0)
    await expect(page.locator(".chart-value").nth(1)).not_to_have_text("–")

    await page.fill("#account-field", name)
    await page.press("#account-field", "Enter")
    row = page.locator("#accounts tr")
    await expect(row).to_have_count(1)
    await row.get_by_role("button").click()
    await page.click("#confirm-button")
    await expect(row).to_contain_text("disabled")
    async with asyncio.timeout(20):
        while (await page.request.get(f"{installation.base_url}/v1/rooms", headers=bearer)).status != 403:
            pass

    await page.click("#sign-out")
    await expect(page.locator("#sign-in")).to_be_visible()


async def test_operations_are_photographed(browser: Browser) -> None:
    for name, size, scheme in (
        ("admin-light", WIDE, SCHEMES[0]),
        ("admin-dark", WIDE, SCHEMES[1]),
        ("admin-phone", NARROW, SCHEMES[0]),
    ):
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, locale="en-GB", reduced_motion="reduce"
        )
        tab = Tab(await context.new_page())
        scripted = ScriptedApi()
        admin = ScriptedAdmin(scripted)
        await scripted.attach(tab.page)
        await tab.page.clock.install()
        await open_operations(tab.page)
        await look_on(tab.page, 60)
        admin.trouble = TROUBLE if scheme == "dark" else ""
        await look_on(tab.page, 1)
        await expect(tab.page.locator("#wrong")).to_be_visible(visible=scheme == "dark")
        taken = await tab.page.screenshot(path=PICTURES / f"{name}.png", full_page=True, animations="disabled")
        await context.close()
        assert tab.errors == []
        assert len(taken) > SMALLEST
