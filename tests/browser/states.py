"""A page with a script behind it, in all of its states."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from playwright.async_api import expect

from tests.browser.scripted_api import (
    ORIGIN,
    PERSONA,
    ROOM_ID,
    Json,
    ScriptedApi,
    composing,
    message,
    page_of,
    tool_call,
)
from tests.browser.tab import Tab

MESSAGES = r"GET rooms/[^/]+/messages"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
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
