"""Many tabs of one browser: its six connections to a host are not what their event streams take."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page, WebSocketRoute, expect

from tests.browser.tab import REPLY_MS, Installation, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)
"""The page does not know what the program stands on."""
TABS = 8
"""With two event streams each, three would take all connections that a browser opens to one host."""
SOCKET = "**/v1/socket"


async def test_eight_tabs_are_in_step(browser: Browser, installation: Installation, token: str) -> None:
    context = await browser.new_context(locale="en-GB")
    tabs = [Tab(await context.new_page()) for _ in range(TABS)]
    first, *others = tabs
    await first.sign_in(installation.base_url, token)
    await first.create_room("Tea")
    for tab in others:
        await tab.page.goto(first.page.url)
        await expect(tab.page.locator("#room-title")).to_have_text("Tea")
    reply = await first.send("Which tea is good in the evening?")
    for tab in others:
        await expect(tab.replies).to_have_attribute("data-open", "false", timeout=REPLY_MS)
        assert (await tab.bodies.all_inner_texts())[1] == reply
    await others[-1].send("And in the morning?")
    for tab in tabs:
        await expect(tab.replies).to_have_count(2)
    assert [tab.errors for tab in tabs] == [[]] * TABS
    await context.close()


async def test_a_tab_has_one_connection_for_its_events(tab: Tab, installation: Installation, token: str) -> None:
    streams, sockets = await _connections(tab.page)
    await tab.sign_in(installation.base_url, token)
    for title in (f"Room {uuid4().hex[:6]}", "Tea"):
        await tab.create_room(title)
        await tab.send("Hello!")
    assert len(sockets) == 1
    assert streams == []


async def test_where_sockets_are_not_let_through_streams_carry_the_events(
    tab: Tab, installation: Installation, token: str
) -> None:
    await tab.page.route_web_socket(SOCKET, lambda socket: socket.close())
    streams, _ = await _connections(tab.page)
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Tea")
    assert await tab.send("Which tea is good in the evening?")
    assert len(streams) >= 2


async def test_a_connection_that_ends_is_opened_again_and_nothing_is_missing(
    tab: Tab, installation: Installation, token: str
) -> None:
    opened: list[WebSocketRoute] = []

    def pass_on(route: WebSocketRoute) -> None:
        opened.append(route)
        route.connect_to_server()

    await tab.page.route_web_socket(SOCKET, pass_on)
    await tab.sign_in(installation.base_url, token)
    await tab.create_room("Tea")
    await tab.write("[[tokens=40 delay=50ms]]")
    await expect(tab.replies.last.locator(".message-body")).not_to_have_text("")
    await opened[-1].close(code=1001, reason="lifetime")
    await expect(tab.replies.last).to_have_attribute("data-open", "false", timeout=REPLY_MS)
    shown = await tab.bodies.all_inner_texts()
    await tab.page.reload()
    await expect(tab.bodies).to_have_count(2)
    assert await tab.bodies.all_inner_texts() == shown
    assert len(opened) >= 2


async def _connections(page: Page) -> tuple[list[str], list[str]]:
    """The addresses of event streams and of sockets that the page opens from here on."""
    streams: list[str] = []
    sockets: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if request.url.endswith("/events") else None)
    page.on("websocket", lambda socket: sockets.append(socket.url))
    return streams, sockets
