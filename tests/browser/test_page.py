"""The page against a running installation."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from tests.browser.cutting_proxy import CuttingProxy
from tests.browser.tab import REPLY_MS, Installation, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)
"""The page does not know what the program stands on."""
CUT = r"net::ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|CONNECTION_CLOSED|EMPTY_RESPONSE)"
ATTACKS = [
    "<img src=x onerror=window.hacked=1>",
    "<script>window.hacked=1</script>",
    "<svg onload=window.hacked=1></svg>",
    "[click](javascript:window.hacked=1)",
    "![remote](http://example.invalid/pixel.png)",
]


async def test_a_bad_token_is_refused_with_a_reason_and_a_good_one_is_taken(
    tab: Tab, installation: Installation, token: str
) -> None:
    await tab.page.goto(installation.base_url)
    await tab.page.fill("#token-field", "not-a-token")
    await tab.page.click("#sign-in-form [type=submit]")
    await expect(tab.page.locator("#sign-in-problem")).to_contain_text("not valid")

    await tab.page.fill("#token-field", token)
    await tab.page.click("#sign-in-form [type=submit]")
    await expect(tab.page.locator("#workspace")).to_be_visible()

    await tab.page.click("#sign-out")
    await expect(tab.page.locator("#sign-in")).to_be_visible()
    await tab.page.reload()
    await expect(tab.page.locator("#sign-in")).to_be_visible()


async def test_a_conversation_is_the_same_after_a_reload(tab: Tab, installation: Installation, token: str) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Tea")
    reply = await tab.send("Which tea is good in the evening? 🍵")
    assert reply.strip()
    await tab.send("شكرا جزيلا")
    shown = await tab.bodies.all_inner_texts()
    assert len(shown) == 4
    assert shown[0] == "Which tea is good in the evening? 🍵"

    await tab.page.reload()

    await expect(tab.bodies).to_have_count(4)
    assert await tab.bodies.all_inner_texts() == shown
    await expect(tab.page.locator("#room-title")).to_have_text("Tea")
    seqs = await tab.page.locator("#messages .message").evaluate_all("all => all.map(one => one.dataset.seq)")
    assert seqs == ["1", "2", "3", "4"]


async def test_every_message_is_shown_as_stored_in_the_end(tab: Tab, installation: Installation, token: str) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Stored")
    await tab.send("Keep this.")

    await expect(tab.page.locator("#messages [data-durability=persisted]")).to_have_count(2, timeout=REPLY_MS)


async def test_enter_sends_and_shift_enter_starts_a_line(tab: Tab, installation: Installation, token: str) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Keys")
    field = tab.page.locator("#composer-field")
    await expect(tab.page.locator("#send")).to_be_disabled()
    await field.press_sequentially("one")
    await field.press("Shift+Enter")
    await field.press_sequentially("two")
    await field.press("Enter")

    await expect(tab.bodies.first).to_have_text("one\ntwo", use_inner_text=True)
    await expect(field).to_have_value("")


async def test_another_tab_sees_rooms_come_change_and_go(
    tab: Tab, browser: Browser, installation: Installation, token: str
) -> None:
    await tab.sign_in(installation.base_url, token)
    context = await browser.new_context()
    other = Tab(await context.new_page())
    await other.sign_in(installation.base_url, token)
    await tab.create_room("First")
    await tab.create_room("Second")
    names = other.page.locator("#rooms .room-name")
    await expect(names).to_have_text(["Second", "First"])

    await other.page.click("#rooms a:has-text('First')")
    await expect(other.page.locator("#room-title")).to_have_text("First")
    await other.send("Hello from here")
    await expect(tab.page.locator("#rooms .room-name")).to_have_text(["First", "Second"])

    await tab.page.click("#rooms a:has-text('First')")
    await tab.page.click("#rename-room")
    await tab.page.fill("#rename-title", "Première ☀️")
    await tab.page.click("#rename-dialog [type=submit]")
    await expect(other.page.locator("#room-title")).to_have_text("Première ☀️")

    other.allow(r"status of 404")  # the open room's stream comes back to a room that is gone
    await tab.page.click("#delete-room")
    await tab.page.press("#confirm-dialog", "Escape")
    await expect(tab.page.locator("#room-title")).to_have_text("Première ☀️")
    await tab.page.click("#delete-room")
    await tab.page.click("#confirm-button")
    await expect(tab.page.locator("#welcome")).to_be_visible()
    await expect(names).to_have_text(["Second"])
    await expect(other.page.locator("#welcome")).to_be_visible()
    await context.close()
    assert other.errors == []


async def test_a_deleted_message_is_gone_and_stays_gone(tab: Tab, installation: Installation, token: str) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Regret")
    await tab.send("I should not have said this")
    mine = tab.page.locator("#messages .message.user")
    await mine.hover()
    await mine.locator("[data-action=delete]").click()
    await tab.page.click("#confirm-button")
    await expect(mine).to_have_count(0)

    await tab.page.reload()
    await expect(tab.replies).to_have_count(1)
    await expect(mine).to_have_count(0)


async def test_markup_in_a_message_does_nothing(tab: Tab, installation: Installation, token: str) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("<img src=x onerror=window.hacked=1>")
    attack = "\n\n".join(ATTACKS)
    requests: list[str] = []
    tab.page.on("request", lambda request: requests.append(request.url))
    await tab.send(attack)

    for shown in ATTACKS[:3]:
        await expect(tab.bodies.first).to_contain_text(shown)
    assert await tab.page.evaluate("window.hacked === undefined")
    await expect(tab.page.locator("#messages img, #messages script, #messages .message-body svg")).to_have_count(0)
    await expect(tab.page.locator("#messages a[href^='javascript']")).to_have_count(0)
    assert all(url.startswith(installation.base_url) for url in requests)


async def test_older_messages_are_loaded_when_the_reader_comes_to_them(
    tab: Tab, installation: Installation, token: str
) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Long")
    room_id = tab.page.url.rsplit("/", 1)[1]
    for number in range(1, 61):
        answer = await tab.page.request.post(
            f"{installation.base_url}/v1/rooms/{room_id}/messages",
            data={"content": f"line {number}", "reply": "none"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status == 201, await answer.text()
    await expect(tab.bodies.last).to_have_text("line 60")
    await tab.page.reload()
    await expect(tab.bodies.last).to_be_in_viewport()
    await expect(tab.bodies.last).to_have_text("line 60")
    await expect(tab.page.locator("#messages [data-seq='1']")).to_have_count(0)

    await tab.page.locator("#scroller").evaluate("scroller => { scroller.scrollTop = 0; }")
    await expect(tab.page.locator("#messages [data-seq='1']")).to_be_in_viewport()
    await expect(tab.bodies.first).to_have_text("line 1")


async def test_a_reply_survives_cuts_of_its_stream(tab: Tab, installation: Installation, token: str) -> None:
    tab.allow(CUT)
    async with CuttingProxy(installation.base_url, first_allowance=700) as proxy:
        await tab.sign_in(proxy.base_url, token)
        await tab.create_room("Cut")
        reply = await tab.send("Tell me a long story, please. " * 10)
        shown = await tab.bodies.all_inner_texts()
        assert proxy.cuts >= 2
        assert reply.strip()

        proxy.cutting = False
        await tab.page.reload()
        await expect(tab.bodies).to_have_count(2)
        assert await tab.bodies.all_inner_texts() == shown
        # The page still asks for its rooms now and then: it is left before the proxy goes.
        await tab.page.close()


async def test_a_message_written_while_offline_is_sent_once_when_the_network_is_back(
    tab: Tab, installation: Installation, token: str
) -> None:
    tab.allow(r"net::ERR_(INTERNET_DISCONNECTED|NETWORK_CHANGED|INCOMPLETE_CHUNKED_ENCODING|FAILED)")
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Train")
    await tab.page.context.set_offline(True)
    await tab.write("Written in a tunnel")
    await expect(tab.page.locator("#outbox article")).to_have_attribute("data-outbox", "sending")
    await tab.page.context.set_offline(False)

    await expect(tab.replies.first).to_have_attribute("data-open", "false", timeout=REPLY_MS)
    await expect(tab.page.locator("#outbox article")).to_have_count(0)
    await expect(tab.page.locator("#messages .message.user")).to_have_count(1)
    await tab.page.reload()
    await expect(tab.page.locator("#messages .message.user")).to_have_count(1)


async def test_rooms_are_found_by_their_titles_and_by_what_was_said(
    tab: Tab, installation: Installation, token: str
) -> None:
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Gardening, and a title that is much longer than the list of rooms is wide")
    await tab.send("Wann blühen Pfingstrosen? 작약은 언제 피나요?")
    await tab.create_room("Cooking")
    search, found = tab.page.locator("#search-field"), tab.page.locator("#found li")
    await search.fill("garden")
    await expect(found).to_have_count(1)
    await expect(tab.page.locator("#rooms")).to_be_hidden()
    await expect(found.first).to_contain_text("Gardening")

    async def marks(query: str) -> str:
        # What was said is found some seconds later: typed again, it is looked for again.
        await search.fill("")
        await search.fill(query)
        shown = tab.page.locator("#found mark")
        await expect(shown.or_(tab.page.locator("#found-note:not(:empty)")).first).to_be_visible()
        return await shown.first.inner_text() if await shown.count() else ""

    for query in ("작약", "pfingst"):
        async with asyncio.timeout(REPLY_MS / 1000):
            while (await marks(query)).casefold() != query:
                pass
    await found.first.click()
    await expect(tab.page.locator("#room-title")).to_contain_text("Gardening")
    await search.press("Escape")
    await expect(tab.page.locator("#rooms li")).to_have_count(2)
    box = await tab.page.locator("#sidebar").bounding_box()
    assert box is not None
    assert box["width"] == 288
    assert await tab.page.evaluate("document.querySelector('.rooms').scrollWidth <= 288")


async def test_on_a_phone_the_rooms_are_a_drawer(browser: Browser, installation: Installation, token: str) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    phone = Tab(await context.new_page())
    await phone.sign_in(installation.base_url, token)
    sidebar = phone.page.locator("#sidebar")
    await expect(sidebar).to_be_hidden()
    await phone.page.click("#open-drawer")
    await expect(sidebar).to_be_visible()
    await phone.page.keyboard.press("Escape")
    await expect(sidebar).to_be_hidden()
    await expect(phone.page.locator("#open-drawer")).to_be_focused()

    await phone.page.click("#open-drawer")
    await phone.create_room("Pocket")
    await expect(sidebar).to_be_hidden()
    await phone.send("Hello")
    width = await phone.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    await context.close()
    assert phone.errors == []


COUNTING = """() => {
    const counted = () => sessionStorage.setItem("clicks", Number(sessionStorage.getItem("clicks")) + 1);
    addEventListener("click", counted, true);
    const lengths = (window.lengths = new Set());
    addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
        const reply = document.querySelector("#messages .message.ai[data-open=true] .message-body");
        if (reply?.textContent) lengths.add(reply.textContent.length);
    }).observe(document.getElementById("messages"), { childList: true, subtree: true, characterData: true }));
}"""


async def test_from_the_link_to_a_streamed_first_answer_in_few_clicks(tab: Tab, installation: Installation) -> None:
    """The link is what `parlor demo` opens, and what `make run` prints."""
    printed = await asyncio.to_thread(installation.parlor, "sign-in", f"new-{uuid4().hex}")
    assert printed.returncode == 0, printed.stderr
    await tab.page.add_init_script(f"({COUNTING})()")
    await tab.page.goto(printed.stdout.strip())
    await expect(tab.page.locator("#first-field")).to_be_visible()
    await tab.page.locator("#first-field").press_sequentially("Which tea keeps me awake? " * 4)
    await tab.page.click("#first-send")
    await expect(tab.replies).to_have_attribute("data-open", "false", timeout=REPLY_MS)

    assert (await tab.replies.locator(".message-body").inner_text()).strip()
    assert int(await tab.page.evaluate("sessionStorage.getItem('clicks')")) < 5
    assert await tab.page.evaluate("window.lengths.size") > 1, "it came piece by piece"
