"""A browser tab that remembers what its console complained about."""

from __future__ import annotations

import re
from subprocess import CompletedProcess
from typing import Protocol

from playwright.async_api import ConsoleMessage, Locator, Page, expect

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPLY_MS = 30_000
"""Longest wait for a whole reply, in milliseconds."""


class Installation(Protocol):
    """What the ``installation`` fixture gives."""

    @property
    def base_url(self) -> str: ...

    def token(self, account: str) -> str: ...

    def parlor(self, *arguments: str) -> CompletedProcess[str]: ...


class Tab:
    """One page in Chromium, with the few things that the tests do on it again and again."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._errors: list[str] = []
        # The page asks who is signed in, and nobody may be: to the browser that is an error.
        self._allowed = [re.compile(r"status of 401 .*/v1/session$")]
        # Each try of a socket that is cut or refused: the page goes on with event streams.
        self.allow(r"^WebSocket connection to '[^']*/v1/socket' failed")
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._errors.append(f"uncaught: {error}"))

    def allow(self, pattern: str) -> None:
        """A complaint that the test itself provokes (the browser logs every failed request)."""
        self._allowed.append(re.compile(pattern))

    @property
    def errors(self) -> list[str]:
        """What nobody allowed."""
        return [found for found in self._errors if not any(allowed.search(found) for allowed in self._allowed)]

    async def sign_in(self, base_url: str, token: str) -> None:
        answer = await self.page.context.request.post(f"{base_url}/v1/session", data={"token": token})
        assert answer.status == 201, await answer.text()
        await self.page.goto(base_url)
        await expect(self.page.locator("#workspace")).to_be_visible()

    async def create_room(self, title: str) -> None:
        await self.page.click("#new-room")
        await self.page.fill("#create-title", title)
        await self.page.click("#create-dialog [type=submit]")
        await expect(self.page.locator("#room-title")).to_have_text(title)

    async def write(self, text: str) -> None:
        await self.page.fill("#composer-field", text)
        await self.page.press("#composer-field", "Enter")

    async def send(self, text: str) -> str:
        """Send a message and wait for the whole of its reply; returns the reply's text as it is shown."""
        before = await self.replies.count()
        await self.write(text)
        reply = self.replies.nth(before)
        await expect(reply).to_have_attribute("data-open", "false", timeout=REPLY_MS)
        return await reply.locator(".message-body").inner_text()

    @property
    def replies(self) -> Locator:
        return self.page.locator("#messages .message.ai")

    @property
    def bodies(self) -> Locator:
        return self.page.locator("#messages .message-body")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._errors.append(f"{message.text} {message.location.get('url', '')}")
