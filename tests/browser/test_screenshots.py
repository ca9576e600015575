"""A picture of the page in each state, in ``test-results/screenshots``, for people to look at. The API is a script."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from playwright.async_api import Browser, Request, expect

from tests.browser.long_history import COUNT, history
from tests.browser.scripted_api import (
    ORIGIN,
    PERSONA,
    ROOM_ID,
    Answer,
    Json,
    ScriptedApi,
    composing,
    message,
    page_of,
    tool_call,
)
from tests.browser.tab import Tab
from tests.sources import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PICTURES = ROOT / "test-results" / "screenshots"
MESSAGES = r"GET rooms/[^/]+/messages"
WIDE, NARROW = (1280, 800), (390, 844)
SMALLEST = 10_000
"""Bytes of a picture that shows something."""
ANSWER = """A **cold brew** needs no heat: water takes its time instead.

| Tea | Grams per litre | Hours |
|---|--:|--:|
| Sencha | 10 | 2 |
| Rooibos | 15 | 8 |

```python
def ready(tea: str, hours: float) -> bool:
    \"\"\"Whether it may be poured.\"\"\"
    return hours >= HOURS[tea]
```

How strong it gets follows $c(t) = c_\\infty (1 - e^{-kt})$."""
KOREAN = """차가운 물에 **천천히** 우려내면 쓴맛이 적습니다.

1. 찻잎 10g을 물 1리터에 넣습니다.
2. 냉장고에 두 시간 둡니다."""
CALL = tool_call(
    name="order_tea",
    title="Order tea",
    arguments={"tea": "Sencha", "grams": 100, "to": "12 Harbour Street"},
    editable=True,
)


def room(number: int, title: str, days: float, **changed: object) -> Json:
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat().replace("+00:00", "Z")
    made: Json = {
        "room_id": ROOM_ID[:-1] + str(number),
        "title": title,
        "ai_persona": "GPT4O",
        "created_at": at,
        "last_message_at": at,
        "message_count": 4,
        "state": "ACTIVE",
        "persisted_seq": 4,
    }
    return made | changed


ROOMS = [
    room(1, "Cold brew", 0),
    room(2, "Names for a sailing boat", 0.01),
    room(3, "차가운 차 우리기", 1),
    room(4, "Why the sky is dark at night, and other questions of a six-year-old", 4),
    room(5, "SQL: gaps and islands", 20),
]


def said(*contents: str) -> list[Json]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    thought = {"type": "reasoning", "text": "Two hours or eight?", "duration_ms": 3200}
    messages = [message(seq, content, timestamp=now) for seq, content in enumerate(contents, 1)]
    for each in messages:
        if each["sender_type"] == "AI":
            each["parts"] = [thought, {"type": "text", "text": each["content"]}]
    return messages


def parked() -> list[Json]:
    asked = message(3, "Order a bag of it for me, please.", timestamp=datetime.now(UTC).isoformat())
    parts = [{"type": "text", "text": "I have found one:"}, CALL | {"expires_at": "2099-01-01T10:00:00Z"}]
    waiting = composing(4) | {
        "attempt": 1,
        "content": "I have found one:",
        "parts": parts,
        "timestamp": asked["timestamp"],
    }
    return [*said("How do I make cold tea?", ANSWER), asked, waiting]


class Studio:
    """Tabs in which one state each is photographed."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def shoot(
        self,
        name: str,
        messages: list[Json] | None = None,
        *,
        size: tuple[int, int] = WIDE,
        scheme: Literal["light", "dark"] = "light",
        locale: str = "en-GB",
        ready: str = "#messages .message",
        step: str = "",
        answers: dict[str, Callable[[Request], Answer]] | None = None,
    ) -> None:
        context = await self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            locale=locale,
            reduced_motion="reduce",
            has_touch=size == NARROW,
        )
        tab = Tab(await context.new_page())
        tab.allow(r"status of (401|503)|ERR_INTERNET_DISCONNECTED")
        scripted = ScriptedApi()
        scripted.answers["GET personas"] = lambda _: (200, {"personas": [PERSONA | {"model": "gpt-4o"}]})
        rooms = {"rooms": ROOMS, "total_count": len(ROOMS), "next_cursor": None, "events_cursor": "1-0"}
        scripted.answers["GET rooms"] = lambda _: (200, rooms)
        scripted.answers[MESSAGES] = (lambda _: (200, page_of(messages))) if messages is not None else history
        scripted.answers.update(answers or {})
        await scripted.attach(tab.page)
        await tab.page.goto(ORIGIN if messages == [] else f"{ORIGIN}/#/rooms/{ROOM_ID}")
        await expect(tab.page.locator(ready).last).to_be_visible()
        if step == "offline":
            await context.set_offline(True)
            await expect(tab.page.locator("#connection")).to_be_visible()
        elif step:
            await tab.page.click(step)
        await tab.page.evaluate("document.fonts.ready")
        taken = await tab.page.screenshot(path=PICTURES / f"{name}.png", caret="hide", animations="disabled")
        await context.set_offline(False)
        await context.close()
        assert tab.errors == []
        assert len(taken) > SMALLEST


WAITING: Answer = (
    200,
    {
        "approvals": [{"room_id": ROOM_ID, "message_id": message(4, "")["message_id"], "part": CALL}],
        "next_cursor": None,
    },
)
SIGNED_OUT: Answer = (401, {"code": "unauthenticated", "detail": "No session"})


@pytest.mark.timeout(300)  # a dozen profiles, one after the other
async def test_every_state_is_photographed(browser: Browser) -> None:
    studio = Studio(browser)
    talk = said("How do I make cold tea?", ANSWER, "And which one first?", "Sencha: it is ready when lunch is.")
    await studio.shoot("sign-in", [], ready="#sign-in", answers={"GET session": lambda _: SIGNED_OUT})
    await studio.shoot("welcome", [], ready="#first-field")
    await studio.shoot("conversation-light", talk, ready="#messages math")
    await studio.shoot("conversation-dark", talk, ready="#messages math", scheme="dark")
    await studio.shoot("phone-dark", talk, ready="#messages .hljs-keyword", size=NARROW, scheme="dark")
    await studio.shoot("phone-rooms", talk, size=NARROW, step="#open-drawer")
    await studio.shoot("korean", said("차가운 차는 어떻게 우려요?", KOREAN), locale="ko-KR")
    await studio.shoot("offline", talk, step="offline")
    waiting = {"GET approvals": lambda _: WAITING}
    await studio.shoot("approval", parked(), ready=".approval", answers=waiting)
    await studio.shoot("approval-dark", parked(), ready=".approval", answers=waiting, size=NARROW, scheme="dark")
    await studio.shoot(
        "approval-arguments", parked(), ready=".approval", answers=waiting, step="[data-decision=change]"
    )
    await studio.shoot("ten-thousand", ready=f"#messages [data-seq='{COUNT - 1}']")
