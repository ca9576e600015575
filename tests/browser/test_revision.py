"""Stop, regenerate, continue, edit, withdraw on the page; what comes late or twice. The API is a script."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Request, expect

from tests.browser.events_script import Stream
from tests.browser.scripted_api import Answer, Json, ScriptedApi, composing, frame, message, page_of
from tests.browser.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

EVENTS = r"GET rooms/[^/]+/events"
MESSAGES = r"GET rooms/[^/]+/messages"
SEND = r"POST rooms/[^/]+/messages"
ONE = r"rooms/[^/]+/messages/[^/]+"
EDITED_AT = {"edited_at": "2026-11-23T10:05:00.000Z"}
QUIET: Answer = (503, {"code": "overloaded", "retry_after_seconds": 60})


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(tab: Tab) -> ScriptedApi:
    tab.allow(r"status of 503")  # how the script keeps a stream quiet
    made = ScriptedApi()
    await made.attach(tab.page)
    return made


def reply(seq: int, content: str, **changed: object) -> Json:
    return message(seq, content, parent_message_id=message(seq - 1, "")["message_id"], **changed)


def waiting(seq: int) -> Json:
    return composing(seq) | {"parent_message_id": message(seq - 1, "")["message_id"]}


def delta(seq: int, attempt: int, offset: int, text: str) -> Json:
    return {"message_id": message(seq, "")["message_id"], "attempt": attempt, "offset": offset, "text": text}


def open_turns(tab: Tab, scripted: ScriptedApi, *messages: Json) -> Stream:
    scripted.answers[MESSAGES] = lambda _: (200, page_of(list(messages), "1-0"))
    return Stream(tab, scripted)


def body_of(request: Request) -> Json:
    found: Json = json.loads(request.post_data or "")
    return found


def action(tab: Tab, seq: int, name: str) -> Locator:
    return tab.page.locator(f"#messages [data-seq='{seq}'] [data-action={name}]")


def place(tab: Tab, seq: int) -> Locator:
    return tab.page.locator(f"#messages [data-seq='{seq}'] .versions-place")


async def test_a_stop_names_the_attempt_and_keeps_what_was_said(tab: Tab, scripted: ScriptedApi) -> None:
    stream = open_turns(tab, scripted, message(1, "Hi"), waiting(2))
    await stream.tell("message.delta", delta(2, 1, 0, "So far"))
    stopped = reply(2, "So far", finish_reason="stopped", state="PENDING")
    scripted.answers[rf"POST {ONE}/stop"] = lambda _: (200, stopped)
    await scripted.open_room(tab.page)
    await expect(tab.bodies.last).to_have_text("So far")
    await tab.page.click("#stop")

    await expect(tab.replies.locator(".message-ending")).to_have_text("The reply was stopped.")
    await expect(tab.bodies.last).to_have_text("So far")
    await expect(tab.page.locator("#stop")).to_be_hidden()
    assert [body_of(request) for request in scripted.seen(rf"POST {ONE}/stop")] == [{"attempt": 1}]


async def test_stopped_from_the_keyboard_the_focus_goes_on_to_the_next_message(tab: Tab, scripted: ScriptedApi) -> None:
    open_turns(tab, scripted, message(1, "Hi"), waiting(2))
    scripted.answers[rf"POST {ONE}/stop"] = lambda _: (200, reply(2, "", finish_reason="stopped"))
    await scripted.open_room(tab.page)
    await expect(tab.page.locator("#stop")).to_be_visible()
    await tab.page.focus("#composer-field")
    await tab.page.keyboard.press("Tab")
    await expect(tab.page.locator("#attach")).to_be_focused()
    await tab.page.keyboard.press("Tab")
    await expect(tab.page.locator("#stop")).to_be_focused()
    await tab.page.keyboard.press("Enter")

    await expect(tab.page.locator("#stop")).to_be_hidden()
    await expect(tab.page.locator("#composer-field")).to_be_focused()


async def test_escape_stops_the_reply_that_is_being_written(tab: Tab, scripted: ScriptedApi) -> None:
    open_turns(tab, scripted, message(1, "Hi"), waiting(2))
    scripted.answers[rf"POST {ONE}/stop"] = lambda _: (200, reply(2, "", finish_reason="stopped"))
    await scripted.open_room(tab.page)
    await expect(tab.page.locator("#stop")).to_be_visible()
    await tab.page.press("#composer-field", "Escape")

    await expect(tab.page.locator("#stop")).to_be_hidden()
    assert len(scripted.seen(rf"POST {ONE}/stop")) == 1


async def test_the_arrow_up_in_an_empty_field_edits_the_last_message(tab: Tab, scripted: ScriptedApi) -> None:
    open_turns(tab, scripted, message(1, "Old"), reply(2, "Reply"), message(3, "Hi"), reply(4, "Hello"))
    await scripted.open_room(tab.page)
    await expect(tab.bodies).to_have_count(4)
    await tab.page.fill("#composer-field", "More")
    await tab.page.press("#composer-field", "ArrowUp")
    await expect(tab.page.locator(".message-editor")).to_have_count(0)
    await tab.page.fill("#composer-field", "")
    await tab.page.press("#composer-field", "ArrowUp")
    await expect(tab.page.locator("[data-seq='3'] .message-editor textarea")).to_have_value("Hi")


async def test_a_stop_that_failed_says_why_and_can_be_tried_again(tab: Tab, scripted: ScriptedApi) -> None:
    open_turns(tab, scripted, message(1, "Hi"), waiting(2))
    answers: list[Answer] = [
        (503, {"code": "overloaded", "title": "Too much to do", "detail": "Too many commands wait for this room"}),
        (200, reply(2, "", finish_reason="stopped")),
    ]
    scripted.answers[rf"POST {ONE}/stop"] = lambda _: answers.pop(0)
    await scripted.open_room(tab.page)
    await tab.page.click("#stop")
    notice = tab.page.locator(".notice")
    await expect(notice).to_contain_text("There is too much to do right now. Too many commands wait for this room")
    await notice.get_by_role("button", name="Try again").click()

    await expect(tab.replies).to_have_attribute("data-open", "false")
    await expect(notice).to_have_count(0)


async def test_regenerate_begins_anew_and_the_versions_can_be_paged(tab: Tab, scripted: ScriptedApi) -> None:
    first, second = reply(2, "One"), reply(2, "Two", attempt=2)
    stream = open_turns(tab, scripted, message(1, "Hi"), first)
    begun = waiting(2) | {"attempt": 2}
    scripted.answers[rf"POST {ONE}/regenerate"] = lambda _: (202, begun)
    scripted.answers[rf"GET {ONE}/variants"] = lambda _: (200, {"variants": [first, second]})
    await scripted.open_room(tab.page)
    await action(tab, 2, "regenerate").click()
    await expect(tab.replies).to_have_attribute("data-open", "true")
    await expect(tab.bodies.last).to_have_text("")
    await expect(tab.replies.locator(".message-ending")).to_be_hidden()  # nothing was interrupted

    await stream.tell("message.updated", {"message": begun})
    await stream.tell("message.reset", {"message_id": begun["message_id"], "attempt": 2})
    await stream.tell("message.delta", delta(2, 2, 0, "Tw"))
    await stream.tell("message.completed", {"message": second})
    await expect(tab.bodies.last).to_have_text("Two")
    await expect(place(tab, 2)).to_have_text("2/2")
    await tab.page.get_by_role("button", name="Version before").click()
    await expect(tab.bodies.last).to_have_text("One")
    await expect(place(tab, 2)).to_have_text("1/2")
    await expect(tab.page.locator("#announcer")).to_have_text("Version 1 of 2")
    await tab.page.get_by_role("button", name="Version before").press("Enter")
    await expect(place(tab, 2)).to_have_text("1/2")
    await tab.page.get_by_role("button", name="Version after").press("Enter")
    await expect(tab.bodies.last).to_have_text("Two")
    await expect(tab.page.get_by_role("button", name="Version after")).to_be_focused()


async def test_a_reply_that_was_cut_goes_on_from_what_is_shown(tab: Tab, scripted: ScriptedApi) -> None:
    first, second = reply(2, "One ", finish_reason="length"), reply(2, "One two", attempt=2)
    stream = open_turns(tab, scripted, message(1, "Hi"), first)
    begun = waiting(2) | {"attempt": 2, "content": "One "}
    scripted.answers[rf"POST {ONE}/continue"] = lambda _: (202, begun)
    scripted.answers[rf"GET {ONE}/variants"] = lambda _: (200, {"variants": [first, second]})
    await scripted.open_room(tab.page)
    await action(tab, 2, "continue").click()
    await expect(tab.replies).to_have_attribute("data-open", "true")
    await expect(tab.bodies.last).to_have_text("One")

    await stream.tell("message.updated", {"message": begun})
    await stream.tell("message.reset", {"message_id": begun["message_id"], "attempt": 2})
    await stream.tell("message.delta", delta(2, 2, 0, "One "))
    await stream.tell("message.delta", delta(2, 2, 4, "two"))
    await expect(tab.bodies.last).to_have_text("One two")
    await stream.tell("message.completed", {"message": second})
    await expect(place(tab, 2)).to_have_text("2/2")
    await expect(action(tab, 2, "continue")).to_be_hidden()
    await expect(action(tab, 2, "regenerate")).to_be_visible()


async def test_the_page_goes_to_a_reply_that_was_asked_for_again(tab: Tab, scripted: ScriptedApi) -> None:
    long = "\n\n".join(["A line."] * 100)
    open_turns(tab, scripted, message(1, "Hi"), reply(2, long), message(3, long), reply(4, "Hello"))
    edited = message(3, long + "!", metadata=EDITED_AT)
    begun = waiting(4) | {"attempt": 2}
    scripted.answers[rf"PATCH {ONE}"] = lambda _: (200, edited | {"reply": begun, "cursor": "1-0"})
    scripted.answers[rf"GET {ONE}/variants"] = lambda _: (200, {"variants": [edited]})
    await scripted.open_room(tab.page)
    await action(tab, 3, "edit").click()
    await tab.page.locator(".message-editor textarea").fill(long + "!")
    await tab.page.locator("#scroller").evaluate("scroller => { scroller.scrollTop = 0; }")
    await expect(tab.replies.last).not_to_be_in_viewport()
    await tab.page.locator(".message-editor").dispatch_event("submit")

    await expect(tab.replies.last).to_be_in_viewport()


async def test_an_answer_that_events_have_overtaken_changes_nothing(tab: Tab, scripted: ScriptedApi) -> None:
    stream = open_turns(tab, scripted, message(1, "Hi"), reply(2, "One"))
    begun, second = waiting(2) | {"attempt": 2}, reply(2, "Two", attempt=2)
    await stream.tell("message.updated", {"message": begun})
    await stream.tell("message.completed", {"message": second})
    scripted.answers[rf"GET {ONE}/variants"] = lambda _: (200, {"variants": [reply(2, "One"), second]})
    scripted.answers[rf"POST {ONE}/regenerate"] = lambda _: (202, begun)
    await scripted.open_room(tab.page)
    await expect(tab.bodies.last).to_have_text("Two")
    await action(tab, 2, "regenerate").click()
    await stream.tell("message.created", {"message": message(3, "marker")})

    await expect(tab.bodies).to_have_text(["Hi", "Two", "marker"])
    await expect(tab.replies).to_have_attribute("data-open", "false")


async def test_an_edit_from_elsewhere_shows_the_new_text_and_begins_the_reply_anew(
    tab: Tab, scripted: ScriptedApi
) -> None:
    stream = open_turns(tab, scripted, message(1, "Hi"), reply(2, "Hello"))
    edited = message(1, "Bonjour", state="PENDING", durability="cached", metadata=EDITED_AT)
    scripted.answers[rf"GET {ONE}/variants"] = lambda _: (200, {"variants": [message(1, "Hi"), edited]})
    await stream.tell("message.updated", {"message": edited})
    await stream.tell("message.updated", {"message": waiting(2) | {"attempt": 2}})
    await stream.tell("message.reset", {"message_id": message(2, "")["message_id"], "attempt": 2})
    await stream.tell("message.delta", delta(2, 2, 0, "Sa"))
    await stream.tell("message.delta", delta(2, 2, 2, "lut"))
    await scripted.open_room(tab.page)

    await expect(tab.bodies).to_have_text(["Bonjour", "Salut"])
    await expect(tab.page.locator("[data-seq='1'] .message-note:visible")).to_contain_text("edited")
    await expect(tab.page.locator("[data-seq='1'] .message-note time")).to_have_attribute(
        "datetime", EDITED_AT["edited_at"]
    )
    await tab.page.locator("[data-seq='1']").get_by_role("button", name="Version before").click()
    await expect(tab.bodies.first).to_have_text("Hi")


async def test_the_last_message_is_edited_in_its_place(tab: Tab, scripted: ScriptedApi) -> None:
    tab.allow(r"status of 409")
    open_turns(tab, scripted, message(1, "Old"), reply(2, "Reply"), message(3, "Hi"), reply(4, "Hello"))
    edited = message(3, "Bonjour", metadata=EDITED_AT)
    answers: list[Answer] = [
        (409, {"code": "illegal-transition", "title": "Not possible in this state", "detail": "It was deleted"}),
        (200, edited | {"reply": waiting(4) | {"attempt": 2}, "cursor": "1-0"}),
    ]
    scripted.answers[rf"PATCH {ONE}"] = lambda _: answers.pop(0)
    scripted.answers[rf"GET {ONE}/variants"] = lambda _: (200, {"variants": [message(3, "Hi"), edited]})
    await scripted.open_room(tab.page)
    await expect(action(tab, 2, "regenerate")).to_be_hidden()
    await action(tab, 3, "edit").click()
    editor = tab.page.locator(".message-editor")
    await expect(editor.locator("textarea")).to_be_focused()
    await expect(editor.locator("textarea")).to_have_value("Hi")
    await tab.page.keyboard.press("Escape")
    await expect(editor).to_have_count(0)
    await expect(tab.page.locator("[data-seq='3']")).to_be_focused()
    assert scripted.seen(rf"PATCH {ONE}") == []

    await action(tab, 3, "edit").click()
    await editor.locator("textarea").fill("   ")
    await expect(editor.get_by_role("button", name="Save")).to_be_disabled()
    await editor.locator("textarea").fill("Bonjour")
    await tab.page.keyboard.press("Enter")
    await expect(editor.get_by_role("alert")).to_contain_text("It was deleted")
    await editor.get_by_role("button", name="Save").click()

    await expect(editor).to_have_count(0)
    await expect(tab.bodies.nth(2)).to_have_text("Bonjour")
    await expect(tab.replies.last).to_have_attribute("data-open", "true")
    assert [body_of(request) for request in scripted.seen(rf"PATCH {ONE}")] == [{"content": "Bonjour"}] * 2


async def test_messages_that_wait_say_so_and_their_replies_are_not_shown(tab: Tab, scripted: ScriptedApi) -> None:
    stream = open_turns(tab, scripted, message(1, "Hi"), waiting(2), message(3, "And?"), waiting(4))
    await stream.tell("message.delta", delta(2, 1, 0, "Hel"))
    scripted.answers[rf"DELETE {ONE}"] = lambda _: (200, {"state": "DELETED", "outcome": "cancelled"})
    await scripted.open_room(tab.page)
    waits = tab.page.locator("#messages .message.user[data-waits=true]")
    await expect(waits).to_have_count(1)
    await expect(waits).to_contain_text("waits for its turn")
    await expect(tab.replies.last).to_be_hidden()
    await expect(action(tab, 1, "withdraw")).to_be_hidden()
    await expect(action(tab, 3, "edit")).to_be_visible()

    await stream.tell("message.completed", {"message": reply(2, "Hello")})
    await expect(waits).to_have_count(0)
    await expect(tab.replies.last).to_be_visible()


async def test_a_message_that_waits_is_withdrawn_with_its_reply(tab: Tab, scripted: ScriptedApi) -> None:
    stream = open_turns(tab, scripted, message(1, "Hi"), waiting(2), message(3, "And?"), waiting(4))
    scripted.answers[rf"DELETE {ONE}"] = lambda _: (200, {"state": "DELETED", "outcome": "cancelled"})
    await scripted.open_room(tab.page)
    await action(tab, 3, "withdraw").press("Enter")
    await tab.page.get_by_role("button", name="Withdraw", exact=True).click()

    await expect(tab.page.locator("[data-seq='3']")).to_have_count(0)
    gone = waiting(4)
    await stream.tell("message.deleted", {"message_id": gone["message_id"], "seq": 4, "state": "DELETED"})
    await expect(tab.page.locator("[data-seq='4']")).to_have_count(0)
    assert scripted.seen(rf"DELETE {ONE}")[0].url.endswith(message(3, "")["message_id"])
    assert await tab.page.evaluate("document.activeElement !== document.body")


async def test_what_a_message_does_to_a_running_reply_is_chosen_and_kept_for_the_next_try(
    tab: Tab, scripted: ScriptedApi
) -> None:
    tab.allow(r"status of 413")
    open_turns(tab, scripted, message(1, "Hi"), waiting(2))
    scripted.answers[SEND] = lambda _: (413, {"code": "content-too-large", "detail": "Too long."})
    await scripted.open_room(tab.page)
    await expect(tab.page.locator("#on-busy")).to_have_value("enqueue")
    await tab.write("First")
    await expect(tab.page.locator("#outbox article")).to_contain_text("Not sent.")
    await tab.page.select_option("#on-busy", "interrupt")
    await tab.write("Second")
    await expect(tab.page.locator("#outbox article")).to_have_count(2)
    await tab.page.locator("#outbox article").first.get_by_role("button", name="Try again").click()
    await expect(tab.page.locator("#outbox article[data-outbox=failed]")).to_have_count(2)

    sent = [(body["content"], body["on_busy"]) for body in map(body_of, scripted.seen(SEND))]
    assert sent == [("First", "enqueue"), ("Second", "interrupt"), ("First", "enqueue")]


async def test_a_revised_message_counts_as_stored_only_when_it_says_so_itself(tab: Tab, scripted: ScriptedApi) -> None:
    edited = message(1, "Bonjour", state="PENDING", durability="cached", metadata=EDITED_AT)
    history = page_of([edited, message(2, "Hello", durability="cached")]) | {"persisted_seq": 2}
    scripted.answers[MESSAGES] = lambda _: (200, history)
    scripted.answers[rf"GET {ONE}/variants"] = lambda _: (200, {"variants": [message(1, "Hi"), edited]})
    scripted.answers[rf"GET {ONE}"] = lambda _: (200, edited | {"state": "SENT", "durability": "persisted"})
    await scripted.open_room(tab.page)
    first, second = (tab.page.locator(f"[data-seq='{seq}']") for seq in (1, 2))
    await expect(second).to_have_attribute("data-durability", "persisted")
    await expect(first).to_have_attribute("data-durability", "cached")

    await expect(first).to_have_attribute("data-durability", "persisted", timeout=10_000)
    assert len(scripted.seen(rf"GET {ONE}")) == 1


async def test_versions_that_cannot_be_fetched_are_offered(tab: Tab, scripted: ScriptedApi) -> None:
    second = reply(2, "Two", attempt=2)
    open_turns(tab, scripted, message(1, "Hi"), second)
    answers: list[Answer] = [
        (503, {"code": "store-unavailable"}),
        (200, {"variants": [reply(2, "One"), second]}),
    ]
    scripted.answers[rf"GET {ONE}/variants"] = lambda _: answers.pop(0)
    await scripted.open_room(tab.page)
    await tab.page.get_by_role("button", name="Earlier versions").click()

    await expect(place(tab, 2)).to_have_text("2/2")


async def test_nothing_moves_when_a_reply_begins_and_ends(tab: Tab, scripted: ScriptedApi) -> None:
    stream = open_turns(tab, scripted)
    await tab.page.set_viewport_size({"width": 360, "height": 700})
    await tab.page.goto("http://parlor.test")
    await tab.page.click("#open-drawer")
    await tab.page.click("#rooms a")
    box = tab.page.locator("#composer .composer-box")
    await expect(box).to_be_visible()
    before = await box.bounding_box()
    await stream.tell("message.created", {"message": message(1, "Hi")})
    await stream.tell("message.created", {"message": waiting(2)})
    await expect(tab.page.locator("#stop")).to_be_visible()
    assert await box.bounding_box() == before
    assert await tab.page.evaluate("document.documentElement.scrollWidth") == 360
    await stream.tell("message.completed", {"message": reply(2, "Hello")})
    await expect(tab.page.locator("#stop")).to_be_hidden()
    assert await box.bounding_box() == before


async def test_a_title_that_was_found_for_the_room_is_shown(tab: Tab, scripted: ScriptedApi) -> None:
    _, room = scripted.answers[r"GET rooms/[^/]+"](None)  # type: ignore[arg-type]  # it does not look at the request
    assert isinstance(room, dict)
    told = frame("1-1", "room.updated", {"room": room | {"title": "About tea"}})
    answers: list[Answer] = [(200, told), QUIET]
    scripted.answers[r"GET events"] = lambda _: answers.pop(0) if len(answers) > 1 else answers[0]
    await scripted.open_room(tab.page)

    await expect(tab.page.locator("#room-title")).to_have_text("About tea")
    await expect(tab.page.locator("#rooms .room-name")).to_have_text("About tea")
