"""How the page takes what the API may answer: cuts, resets, failures, refusals. The API is a script."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio
from playwright.async_api import Request, expect

from tests.browser.scripted_api import (
    PERSONA,
    ROOM_ID,
    Answer,
    Json,
    ScriptedApi,
    composing,
    frame,
    message,
    page_of,
)
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

EVENTS = r"GET rooms/[^/]+/events"
MESSAGES = r"GET rooms/[^/]+/messages"
SEND = r"POST rooms/[^/]+/messages"


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(tab: Tab) -> ScriptedApi:
    tab.allow(r"status of 503")  # how the script keeps a stream quiet
    made = ScriptedApi()
    await made.attach(tab.page)
    return made


def streams(*bodies: str) -> list[Answer]:
    return [(200, body) for body in bodies]


class Turns:
    """One answer after the other, then the last one for ever. Remembers the cursors it was asked for."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.cursors: list[str | None] = []

    def __call__(self, request: Request) -> Answer:
        self.cursors.append(request.headers.get("last-event-id"))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


QUIET: Answer = (503, {"code": "overloaded", "retry_after_seconds": 60})


def delta(seq: int, attempt: int, offset: int, text: str) -> Json:
    return {"message_id": message(seq, "")["message_id"], "attempt": attempt, "offset": offset, "text": text}


def turn_begins() -> str:
    created = [message(1, "Hi"), composing(2)]
    return "".join(frame(f"1-{number}", "message.created", {"message": one}) for number, one in enumerate(created, 1))


async def test_a_cut_stream_is_resumed_at_the_last_whole_event(tab: Tab, scripted: ScriptedApi) -> None:
    half = frame("1-4", "message.delta", delta(2, 1, 5, " world"))[:-20]
    first = turn_begins() + frame("1-3", "message.delta", delta(2, 1, 0, "Hello")) + half
    # The second stream repeats a delta and overlaps another by a character outside the basic plane.
    second = (
        frame("1-3", "message.delta", delta(2, 1, 0, "Hello"))
        + frame("1-4", "message.delta", delta(2, 1, 5, " 😀😀"))
        + frame("1-5", "message.delta", delta(2, 1, 7, "😀 world"))
    )
    events = Turns(*streams(first, second), QUIET)
    scripted.answers[EVENTS] = events
    await scripted.open_room(tab.page)

    await expect(tab.replies.locator(".message-body")).to_have_text("Hello 😀😀 world")
    await expect(tab.replies).to_have_attribute("data-open", "true")
    assert events.cursors[:2] == ["1-0", "1-3"]


async def test_a_new_attempt_forgets_the_text_of_the_last(tab: Tab, scripted: ScriptedApi) -> None:
    body = (
        turn_begins()
        + frame("1-3", "message.delta", delta(2, 1, 0, "half an ans"))
        + frame("1-4", "message.reset", {"message_id": message(2, "")["message_id"], "attempt": 2})
        + frame("1-5", "message.delta", delta(2, 1, 11, "wer from the dead"))
        + frame("1-6", "message.delta", delta(2, 2, 0, "A whole answer"))
    )
    scripted.answers[EVENTS] = Turns((200, body), QUIET)
    await scripted.open_room(tab.page)

    await expect(tab.replies.locator(".message-body")).to_have_text("A whole answer")
    await expect(tab.replies.locator(".message-ending")).to_contain_text("begins again")


def thought(offset: int, text: str, attempt: int = 1) -> Json:
    return {**delta(2, attempt, offset, text), "index": 0}


async def test_what_the_model_thinks_is_folded_away_above_what_it_says(tab: Tab, scripted: ScriptedApi) -> None:
    whole = {"type": "reasoning", "text": "Hm 😀 <b>so</b>", "duration_ms": 2400}
    told = {"message_id": message(2, "")["message_id"], "attempt": 1, "index": 0, "part": whole}
    thinking = (
        turn_begins()
        + frame("1-3", "message.reasoning", thought(0, "Hm 😀 "))
        + frame("1-4", "message.reasoning", thought(3, "😀 <b>so"))
    )
    saying = frame("1-5", "message.part", told) + frame("1-6", "message.delta", {**delta(2, 1, 0, "Yes"), "index": 1})
    events = Turns(*streams(thinking, saying), QUIET)
    scripted.answers[EVENTS] = events
    await scripted.open_room(tab.page)

    reasoning = tab.replies.locator(".reasoning")
    await expect(tab.replies.locator(".message-body")).to_have_text("Yes")
    await expect(reasoning.locator("summary")).to_have_text("Thought for 2 s")
    text = reasoning.locator(".reasoning-text")
    await expect(text).to_be_hidden()
    await reasoning.locator("summary").click()
    await expect(text).to_be_visible()
    await expect(text).to_have_text("Hm 😀 <b>so</b>")


async def test_tools_that_a_reply_uses_are_shown_with_what_came_of_them(tab: Tab, scripted: ScriptedApi) -> None:
    call = {
        "type": "tool_call",
        "tool_call_id": "c",
        "name": "weather",
        "title": "Weather",
        "arguments": {"city": "<b>"},
    }
    about = {"message_id": message(2, "")["message_id"], "attempt": 1, "index": 1}
    told = [
        {**call, "state": "running", "result": None},
        {**call, "state": "done", "result": {"content": "<i>Sun", "is_error": False, "truncated": True}},
    ]
    body = turn_begins() + frame("1-3", "message.delta", delta(2, 1, 0, "Let me see"))
    body += "".join(frame(f"1-{4 + at}", "message.part", {**about, "part": part}) for at, part in enumerate(told))
    scripted.answers[EVENTS] = Turns((200, body), QUIET)
    await scripted.open_room(tab.page)

    tool = tab.replies.locator(".tool")
    await expect(tool.locator("summary")).to_have_text("Weather was used")
    await tool.locator("summary").click()
    await expect(tool.locator("pre").nth(0)).to_have_text('{ "city": "<b>" }')
    await expect(tool.locator("pre").nth(1)).to_have_text("<i>Sun")
    await expect(tool.locator("p")).to_have_text("The rest was left out.")


async def test_a_reply_that_only_thought_says_why_it_is_empty(tab: Tab, scripted: ScriptedApi) -> None:
    parts = [{"type": "reasoning", "text": "Hm", "duration_ms": 100}]
    reply = message(2, "", finish_reason="reasoning_limit", parts=parts)
    scripted.answers[MESSAGES] = lambda _: (200, page_of([message(1, "hi"), reply]))
    await scripted.open_room(tab.page)

    await expect(tab.replies.locator(".reasoning summary")).to_have_text("Thought")
    await expect(tab.replies.locator(".message-ending")).to_have_text(
        "The model thought up to its limit, and said nothing."
    )


async def test_a_failed_reply_shows_its_reason_and_its_text(tab: Tab, scripted: ScriptedApi) -> None:
    failed = {
        "message": message(2, "So far", finish_reason="error"),
        "error": {"code": "llm-error", "detail": "The model is away."},
    }
    scripted.answers[EVENTS] = Turns((200, turn_begins() + frame("1-3", "message.failed", failed)), QUIET)
    await scripted.open_room(tab.page)

    await expect(tab.replies.locator(".message-body")).to_have_text("So far")
    await expect(tab.replies.locator(".message-ending")).to_have_text("The reply failed: The model is away.")


async def test_a_failure_says_when_to_try_again_and_a_filter_that_it_cut(tab: Tab, scripted: ScriptedApi) -> None:
    error = {"code": "llm-error", "detail": "Too many requests", "retry_after_seconds": 20}
    filtered = message(4, "The first step is", finish_reason="content_filter")
    replies = [message(2, "", finish_reason="error", error=error), message(3, "again"), filtered]
    scripted.answers[MESSAGES] = lambda _: (200, page_of([message(1, "hi"), *replies]))
    await scripted.open_room(tab.page)

    endings = tab.replies.locator(".message-ending")
    await expect(endings.nth(0)).to_have_text("The reply failed: Too many requests (to be tried again in 20 s)")
    await expect(endings.nth(1)).to_have_text("The reply was cut short by the language model's content filter.")


async def test_the_page_names_the_model_that_answers(tab: Tab, scripted: ScriptedApi) -> None:
    own = {"name": "llama", "title": "llama3.2:3b", "model": "llama3.2:3b"}
    scripted.answers[r"GET personas"] = lambda _: (200, {"personas": [PERSONA, own]})
    await scripted.open_room(tab.page)

    await expect(tab.page.locator("#room-persona")).to_have_text("Assistant · llama3.2:3b")
    await tab.page.click("#new-room")
    await expect(tab.page.locator(".persona-about")).to_have_text(["Helps · llama3.2:3b", "llama3.2:3b"])


async def test_a_missing_delta_is_fetched_from_the_replys_own_stream(tab: Tab, scripted: ScriptedApi) -> None:
    body = turn_begins() + frame("1-4", "message.delta", delta(2, 1, 5, " world"))
    scripted.answers[EVENTS] = Turns((200, body), QUIET)
    whole = frame("1-3", "message.delta", delta(2, 1, 0, "Hello")) + frame(
        "1-5", "message.completed", {"message": message(2, "Hello world", finish_reason="stop")}
    )
    scripted.answers[r"GET rooms/[^/]+/messages/[^/]+/events"] = lambda _: (200, whole)
    await scripted.open_room(tab.page)

    await expect(tab.replies.locator(".message-body")).to_have_text("Hello world")
    await expect(tab.replies).to_have_attribute("data-open", "false")


async def test_an_expired_stream_reloads_the_history(tab: Tab, scripted: ScriptedApi) -> None:
    tab.allow(r"status of 410")
    expired: Answer = (410, {"code": "stream-expired", "oldest_cursor": "9-0"})
    events = Turns((200, turn_begins()), expired, QUIET)
    scripted.answers[EVENTS] = events
    history = Turns((200, page_of([])), (200, page_of([message(1, "Hi"), message(2, "Hello again")], "9-9")))
    scripted.answers[MESSAGES] = history
    await scripted.open_room(tab.page)

    await expect(tab.bodies).to_have_text(["Hi", "Hello again"])
    assert len(history.cursors) == 2


async def test_a_reconnect_event_names_the_cursor_to_come_back_with(tab: Tab, scripted: ScriptedApi) -> None:
    leaving = frame("1-7", "stream.reconnect", {"cursor": "1-7", "reason": "lifetime"})
    answered = frame("1-8", "message.created", {"message": message(1, "After the break")})
    events = Turns(*streams(leaving, answered), QUIET)
    scripted.answers[EVENTS] = events
    await scripted.open_room(tab.page)

    await expect(tab.bodies).to_have_text(["After the break"])
    assert events.cursors[:2] == ["1-0", "1-7"]


async def test_a_send_is_tried_again_with_the_same_key_until_it_is_acknowledged(
    tab: Tab, scripted: ScriptedApi
) -> None:
    busy: Answer = (503, {"code": "overloaded", "retry_after_seconds": 1})
    receipt = {"message": message(1, "Once"), "reply": None, "cursor": "1-1"}
    scripted.answers[SEND] = Turns(busy, (201, receipt))
    await scripted.open_room(tab.page)
    await tab.write("Once")

    await expect(tab.bodies).to_have_text(["Once"])
    await expect(tab.page.locator("#outbox article")).to_have_count(0)
    keys = [request.headers["idempotency-key"] for request in scripted.seen(SEND)]
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_a_message_whose_answer_was_lost_is_known_by_its_key(tab: Tab, scripted: ScriptedApi) -> None:
    tab.allow(r"status of 422")
    scripted.answers[SEND] = lambda _: (422, {"code": "idempotency-mismatch"})
    await scripted.open_room(tab.page)
    await tab.write("Lost and found")
    entry = tab.page.locator("#outbox article")
    await expect(entry).to_contain_text("Not sent.")
    sent: Json = json.loads(scripted.seen(SEND)[0].post_data or "")

    # The room's history has it after all: the page is closed and opened again.
    stored = message(1, "Lost and found", metadata=sent["metadata"])
    scripted.answers[MESSAGES] = lambda _: (200, page_of([stored]))
    await tab.page.reload()
    await expect(tab.bodies).to_have_text(["Lost and found"])
    await expect(entry).to_have_count(0)


async def test_a_refused_message_can_be_edited_or_discarded(tab: Tab, scripted: ScriptedApi) -> None:
    tab.allow(r"status of 413")
    scripted.answers[SEND] = lambda _: (413, {"code": "content-too-large", "detail": "At most 10 characters."})
    await scripted.open_room(tab.page)
    await tab.write("Much too long")
    entry = tab.page.locator("#outbox article")
    await expect(entry).to_contain_text("Not sent. At most 10 characters.")
    assert len(scripted.seen(SEND)) == 1

    await entry.get_by_role("button", name="Edit").click()
    await expect(tab.page.locator("#composer-field")).to_have_value("Much too long")
    await expect(entry).to_have_count(0)
    await tab.page.press("#composer-field", "Enter")
    await entry.get_by_role("button", name="Discard").click()
    await expect(entry).to_have_count(0)


async def test_a_deletion_that_overtakes_its_page_of_history_holds(tab: Tab, scripted: ScriptedApi) -> None:
    newest = page_of([message(4, "newest")]) | {"has_more": True, "next_before": 4}
    older = page_of([message(2, "old"), message(3, "unwanted")])
    scripted.answers[MESSAGES] = lambda request: (200, older if "before=" in request.url else newest)
    gone = {"message_id": message(3, "")["message_id"], "seq": 3, "state": "DELETING"}
    marker = message(5, "marker")
    body = frame("1-1", "message.deleted", gone) + frame("1-2", "message.created", {"message": marker})
    scripted.answers[EVENTS] = Turns((200, body), QUIET)
    await scripted.open_room(tab.page)

    await expect(tab.bodies).to_have_text(["old", "newest", "marker"])


async def test_history_is_shown_while_the_live_store_is_away(tab: Tab, scripted: ScriptedApi) -> None:
    scripted.answers[MESSAGES] = lambda _: (200, page_of([message(1, "From the database")], cursor=""))
    await scripted.open_room(tab.page)

    await expect(tab.bodies).to_have_text(["From the database"])
    assert scripted.seen(EVENTS) == []
    assert tab.page.url.endswith(ROOM_ID)
