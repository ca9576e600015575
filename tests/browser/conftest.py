"""Chromium for the tests of the page: one a module, in the module's own event loop, and a fresh profile a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.scripted_api import ScriptedApi
from tests.browser.states import States
from tests.browser.tab import ARGUMENTS, Installation, Tab

# A page that is as it should be is not waited for; on a busy machine it takes its time.
expect.set_options(timeout=20_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS, headless=True)
        try:
            yield started
        finally:
            await started.close()


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    """A tab of its own profile. The test fails when the page wrote an error that the test did not allow."""
    context = await browser.new_context(viewport={"width": 1200, "height": 800}, locale="en-GB")
    made = Tab(await context.new_page())
    yield made
    await context.close()
    assert made.errors == []


@pytest_asyncio.fixture(loop_scope="module")
async def states(tab: Tab) -> States:
    tab.allow(r"status of (503|401)")
    tab.allow(r"ERR_INTERNET_DISCONNECTED")
    scripted = ScriptedApi()
    await scripted.attach(tab.page)
    return States(tab, scripted)


@pytest.fixture
def token(installation: Installation) -> str:
    """A token of an account that nobody else uses."""
    return installation.token(f"browser-{uuid4().hex}")
