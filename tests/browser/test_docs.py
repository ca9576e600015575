"""The documentation at ``/docs``: calls are tried there as whoever the page's session is for."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from tests.browser.tab import Installation, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KINDS = ("embedded",)


async def opened(tab: Tab, operation: str) -> Locator:
    found = tab.page.locator(f".opblock[id$='-{operation}']")
    await found.locator(".opblock-summary-control").click()
    await found.get_by_role("button", name="Try it out").click()
    return found


async def executed(operation: Locator) -> Locator:
    """The answer that is shown: its status, body and headers."""
    await operation.get_by_role("button", name="Execute").click()
    return operation.locator(".live-responses-table .response")


async def test_calls_are_tried_with_the_session_of_the_page(tab: Tab, installation: Installation, token: str) -> None:
    tab.allow(r"status of 404|^Deprecated: escaping deep link whitespace")  # Swagger UI's own
    await tab.sign_in(installation.base_url, token)
    await tab.page.goto(f"{installation.base_url}/docs")
    creating = await opened(tab, "create_room")
    answer = await executed(creating)
    await expect(answer.locator(".response-col_status")).to_contain_text("201")
    await expect(answer).to_contain_text('"title": "Tea"')

    # The examples name a room that is nobody's.
    reading = await opened(tab, "get_room")
    answer = await executed(reading)
    await expect(answer.locator(".response-col_status")).to_contain_text("404")
    await expect(answer).to_contain_text("room-not-found")

    await tab.page.reload()
    answer = await executed(await opened(tab, "list_rooms"))
    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    await expect(answer).to_contain_text('"title": "Tea"')


async def test_who_is_not_signed_in_is_told_so(tab: Tab, installation: Installation) -> None:
    tab.allow(r"status of 401")
    await tab.page.goto(f"{installation.base_url}/docs")
    answer = await executed(await opened(tab, "list_rooms"))
    await expect(answer.locator(".response-col_status")).to_contain_text("401")
    await expect(answer).to_contain_text("unauthenticated")
