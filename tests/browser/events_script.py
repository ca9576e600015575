"""A room's events, told one after the other by a test."""

from __future__ import annotations

from playwright.async_api import Request

from tests.browser.scripted_api import Answer, Json, ScriptedApi, frame
from tests.browser.tab import Tab

ROOM = r"GET rooms/[^/]+/events"


class Stream:
    """A room's events, or the account's: what a test has told so far, from the cursor that is asked for; then quiet."""

    def __init__(self, tab: Tab, scripted: ScriptedApi, path: str = ROOM) -> None:
        self._page = tab.page
        self._told: list[str] = []
        scripted.answers[path] = self._answer

    async def tell(self, kind: str, data: Json) -> None:
        self._told.append(frame(f"1-{len(self._told) + 1}", kind, data))
        # The page comes back at once instead of after its pause.
        await self._page.evaluate("dispatchEvent(new Event('online'))")

    def _answer(self, request: Request) -> Answer:
        after = request.headers["last-event-id"]
        news = self._told[int(after.removeprefix("1-")) :]
        return (200, "".join(news)) if news else (503, {"code": "overloaded", "retry_after_seconds": 0.05})
