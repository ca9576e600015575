"""A call of a tool that waits for a person: what is asked, the decision, and what became of it. The API is a script."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Request, expect

from tests.browser.events_script import Stream
from tests.browser.scripted_api import (
    ORIGIN,
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

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MESSAGES = r"GET rooms/[^/]+/messages"
ONE = r"rooms/[^/]+/messages/[^/]+"
DECIDE = rf"POST {ONE}/tool-calls/c1/decision"
DECIDED = {"decided_by": "ada", "decided_at": "2026-11-23T10:04:00Z"}


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(tab: Tab) -> ScriptedApi:
    tab.allow(r"status of (409|503)")
    made = ScriptedApi()
    await made.attach(tab.page)
    return made


def parked(*calls: Json) -> Json:
    """A reply that waits."""
    parts = [{"type": "text", "text": "Let me see. "}, *calls]
    return composing(2) | {"content": "Let me see. ", "parts": parts, "attempt": 1}


def told(call: Json, index: int = 1) -> Json:
    return {"message_id": message(2, "")["message_id"], "attempt": 1, "index": index, "part": call}


async def open_with(tab: Tab, scripted: ScriptedApi, *calls: Json) -> Stream:
    scripted.answers[MESSAGES] = lambda _: (200, page_of([message(1, "Tell Ada"), parked(*calls)]))
    stream = Stream(tab, scripted)
    await scripted.open_room(tab.page)
    await expect(card(tab)).to_be_visible()
    return stream


def card(tab: Tab) -> Locator:
    return tab.page.locator(".approval").first


def sent(scripted: ScriptedApi) -> list[Json]:
    return [json.loads(request.post_data or "") for request in scripted.seen(DECIDE)]


async def test_an_approval_names_what_was_read_and_the_reply_goes_on(tab: Tab, scripted: ScriptedApi) -> None:
    call = tool_call()
    scripted.answers[DECIDE] = lambda _: (200, call | DECIDED | {"state": "approved"})
    stream = await open_with(tab, scripted, call)
    await expect(card(tab)).to_contain_text("Mail needs your approval")
    body = await tab.replies.locator(".message-body").bounding_box()
    below = await card(tab).bounding_box()
    assert body is not None
    assert below is not None
    assert body["y"] < below["y"], "it is asked behind what was said"
    # What would turn the text around, or hide in it, is written out.
    await expect(card(tab).locator("pre")).to_contain_text(r"a\u{202e}b")
    await expect(card(tab).locator("[data-decision=change]")).to_have_count(0)
    await card(tab).locator("[data-decision=approve]").click()

    tool = tab.replies.locator(".tool")
    await expect(tool.locator("summary")).to_have_text("Mail will be used")
    assert sent(scripted) == [{"decision": "approve", "digest": call["digest"]}]
    result = {"content": "Sent", "is_error": False, "truncated": False}
    await stream.tell("message.part", told(call | DECIDED | {"state": "done", "result": result}))
    about = {"message_id": message(2, "")["message_id"], "attempt": 1, "index": 2, "offset": 12, "text": "It is sent."}
    await stream.tell("message.delta", about)
    await expect(tab.replies.locator(".message-body")).to_have_text("Let me see. It is sent.")
    await expect(tool.locator("summary")).to_have_text("Mail was used")
    await expect(tool.locator("pre").last).to_be_hidden()
    await tool.locator("summary").click()
    await expect(tool.locator("pre").last).to_have_text("Sent")
    await expect(tool.locator(".tool-note")).to_contain_text("Approved by ada")


async def test_a_denial_tells_the_model_why_from_the_keyboard_alone(tab: Tab, scripted: ScriptedApi) -> None:
    call = tool_call()
    scripted.answers[DECIDE] = lambda _: (200, call | DECIDED | {"state": "denied"})
    await open_with(tab, scripted, call)
    await card(tab).locator("[data-decision=deny]").focus()
    await tab.page.keyboard.press("Enter")
    await expect(card(tab).locator("input")).to_be_focused()
    await tab.page.keyboard.press("Escape")  # not yet
    await expect(card(tab).locator("[data-decision=approve]")).to_be_focused()
    await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.press("Enter")
    await tab.page.keyboard.type("Not to her")
    await tab.page.keyboard.press("Enter")

    summary = tab.replies.locator(".tool summary")
    await expect(summary).to_have_text("Mail was not allowed")
    await expect(summary).to_be_focused()
    assert sent(scripted) == [{"decision": "deny", "digest": call["digest"], "reason": "Not to her"}]


async def test_arguments_are_changed_where_the_tool_allows_it(tab: Tab, scripted: ScriptedApi) -> None:
    call = tool_call(editable=True)
    other = {"to": "grace", "text": "Hi"}

    def decide(request: Request) -> Answer:
        return 200, call | DECIDED | {"state": "approved", "arguments": other, "digest": "sha256:" + "b" * 64}

    scripted.answers[DECIDE] = decide
    await open_with(tab, scripted, call)
    await card(tab).locator("[data-decision=change]").click()
    field = card(tab).locator("textarea")
    await expect(field).to_be_focused()
    await field.fill("[1]")
    await card(tab).locator("[data-decision=approve]").click()
    await expect(card(tab).locator(".problem")).to_have_text("That is not a JSON object.")
    assert sent(scripted) == []
    await field.fill(json.dumps(other))
    await card(tab).locator("[data-decision=approve]").click()

    await expect(tab.replies.locator(".tool pre")).to_contain_text("grace")
    assert sent(scripted) == [{"decision": "approve", "digest": call["digest"], "arguments": other}]


@pytest.mark.parametrize(
    ("code", "now", "words"),
    [
        ("already-decided", {"state": "denied", **DECIDED}, "That has been decided already."),
        (
            "digest-mismatch",
            {"arguments": {"to": "bob"}, "digest": "sha256:" + "c" * 64},
            "The arguments have changed.",
        ),
    ],
)
async def test_who_comes_late_is_shown_what_is_true_now(
    tab: Tab, scripted: ScriptedApi, code: str, now: Json, words: str
) -> None:
    call = tool_call()
    scripted.answers[DECIDE] = lambda _: (409, {"code": code, "detail": "Too late"})
    scripted.answers[rf"GET {ONE}"] = lambda _: (200, parked(call | now))
    await open_with(tab, scripted, call)
    await card(tab).locator("[data-decision=approve]").click()

    await expect(tab.page.locator(".notice")).to_contain_text(words)
    if code == "already-decided":
        await expect(tab.replies.locator(".tool summary")).to_have_text("Mail was not allowed")
    else:
        await expect(card(tab).locator("pre")).to_contain_text("bob")


async def test_a_decision_in_another_tab_leaves_what_is_written_about_the_other_call(
    tab: Tab, scripted: ScriptedApi
) -> None:
    first, second = tool_call(), tool_call(tool_call_id="c2", title="Calendar")
    stream = await open_with(tab, scripted, first, second)
    other = tab.page.locator(".approval").nth(1)
    await other.locator("[data-decision=deny]").click()
    await other.locator("input").fill("Half a rea")
    await stream.tell("message.part", told(first | DECIDED | {"state": "approved"}))

    await expect(tab.replies.locator(".tool summary")).to_have_text("Mail will be used")
    await expect(card(tab).locator("input")).to_have_value("Half a rea")
    await expect(card(tab).locator("input")).to_be_focused()


async def test_a_lost_answer_is_explained_and_a_call_that_nobody_decides_on_is_no_card(
    tab: Tab, scripted: ScriptedApi
) -> None:
    lost, expired = tool_call(state="unknown", attempts=1), tool_call(tool_call_id="c2", state="expired")
    left = tool_call(tool_call_id="c3")
    parts = [lost, expired, left]
    scripted.answers[MESSAGES] = lambda _: (200, page_of([message(1, "Hi"), message(2, "", parts=parts)]))
    await scripted.open_room(tab.page)

    await expect(tab.replies.locator(".tool")).to_have_count(3)
    await expect(tab.replies.locator(".tool-note")).to_contain_text("its answer was lost")
    await expect(tab.page.locator(".approval")).to_have_count(0)


async def test_a_result_that_comes_after_the_reply_has_ended_is_shown(tab: Tab, scripted: ScriptedApi) -> None:
    call = tool_call(state="unknown", attempts=1)
    stream = await open_with(tab, scripted, tool_call())
    parts = [{"type": "text", "text": "Let me see. "}, call]
    await stream.tell("message.completed", {"message": message(2, "Let me see. ", parts=parts)})
    await expect(tab.replies.locator(".tool-note")).to_contain_text("its answer was lost")
    result = {"content": "Sent", "is_error": False, "truncated": False}
    await stream.tell("message.part", told(call | {"state": "done", "result": result}))

    await expect(tab.replies.locator(".tool summary")).to_have_text("Mail was used")


async def test_a_decision_that_failed_can_be_made_again(tab: Tab, scripted: ScriptedApi) -> None:
    call = tool_call()
    answers: list[Answer] = [
        (503, {"code": "overloaded", "detail": "Later"}),
        (200, call | DECIDED | {"state": "approved"}),
    ]
    scripted.answers[DECIDE] = lambda _: answers.pop(0)
    await open_with(tab, scripted, call)
    await card(tab).locator("[data-decision=approve]").click()
    await expect(card(tab).locator(".problem")).to_contain_text("There is too much to do right now.")
    await card(tab).locator("[data-decision=approve]").click()
    await expect(tab.replies.locator(".tool summary")).to_have_text("Mail will be used")


async def test_what_waits_in_other_rooms_is_listed_and_gone_to(tab: Tab, scripted: ScriptedApi) -> None:
    first = {"room_id": ROOM_ID, "message_id": message(2, "")["message_id"], "part": tool_call()}
    second = first | {"part": tool_call(tool_call_id="c2", title="Calendar")}
    pages: dict[str, Answer] = {
        "limit=100": (200, {"approvals": [first], "next_cursor": "more"}),
        "limit=100&cursor=more": (200, {"approvals": [second], "next_cursor": None}),
    }
    scripted.answers["GET approvals"] = lambda request: pages[urlsplit(request.url).query]
    account = Stream(tab, scripted, r"GET events")
    scripted.answers[MESSAGES] = lambda _: (200, page_of([message(1, "Tell Ada"), parked(tool_call())]))
    scripted.answers[rf"GET {ONE}"] = lambda _: (200, parked(tool_call()))
    await tab.page.goto(ORIGIN)
    button = tab.page.locator("#approvals")
    await expect(button).to_have_text("2 decisions wait for you")
    await expect(tab.page.locator(".room-sign")).to_have_text("Something waits for your decision")
    await account.tell("approval.decided", second)
    await expect(button).to_have_text("1 decision waits for you")
    await button.focus()
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_role("menuitem")).to_contain_text("Mail")
    await tab.page.keyboard.press("Enter")
    await expect(card(tab)).to_be_in_viewport()

    await account.tell("approval.decided", first)
    await expect(button).to_be_hidden()
    await account.tell("approval.requested", second)
    await expect(button).to_be_visible()
    await account.tell("room.deleted", {"room_id": ROOM_ID})
    await expect(button).to_be_hidden()
