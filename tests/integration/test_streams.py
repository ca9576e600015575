"""Replies as streams: whole, resumable, the same for every reader, and not tied to a connection (P3, P4)."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.integration.sse import SseEvent, reading, text_of
from tests.integration.user import EVENTS, User, of, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("private",)
SLOW = "[[tokens=30 delay=30ms]]"
"""About a second."""
ENDS = ("message.completed", "message.stopped", "message.failed", "message.deleted")


async def test_a_send_can_be_answered_with_its_own_events(user: User) -> None:
    room = await user.create_room()
    async with user.stream(room, "Tell me [[tokens=40 delay=5ms]]") as reader:
        location = reader.response.headers["location"]
        events = await reader.rest()

    assert [event.type for event in events[:2]] == ["message.created", "message.created"]
    assert {event.type for event in events[2:-1]} == {"message.delta"}
    assert events[-1].type == "message.completed"
    asked, reserved = events[0].data["message"], events[1].data["message"]
    assert (asked["seq"], asked["content"]) == (1, "Tell me [[tokens=40 delay=5ms]]")
    assert (reserved["seq"], reserved["state"], reserved["is_streaming"]) == (2, "COMPOSING", True)
    assert location == f"/v1/rooms/{room}/messages/{asked['message_id']}"
    final = events[-1].data["message"]
    assert (final["message_id"], final["finish_reason"], final["is_streaming"]) == (
        reserved["message_id"],
        "stop",
        False,
    )
    assert len(final["content"].split()) == 40
    assert text_of(events, reserved["message_id"]) == final["content"]
    assert (await user.message(room, reserved["message_id"]))["content"] == final["content"]
    cursors = [tuple(map(int, event.id.split("-"))) for event in events]
    assert cursors == sorted(set(cursors))


async def test_a_send_without_reply_streams_its_message_and_ends(user: User) -> None:
    room = await user.create_room()
    async with user.stream(room, "just a note", reply="none") as reader:
        events = await reader.rest()
    assert [(event.type, event.data["message"]["content"]) for event in events] == [("message.created", "just a note")]


async def test_every_cursor_gives_exactly_the_rest(user: User) -> None:
    room = await user.create_room()
    async with user.stream(room, SLOW) as reader:
        events = await reader.rest()

    for place in (0, 1, len(events) // 2, len(events) - 2):
        async with user.events(of(room), after=events[place].id) as reader:
            assert await reader.until(*ENDS) == events[place + 1 :]
        header = {**EVENTS, "Last-Event-ID": events[place].id}
        # The header wins over the query.
        async with reading(user.http, "GET", f"{of(room)}/events?after=0-1", headers=header) as reader:
            assert await reader.until(*ENDS) == events[place + 1 :]


async def test_readers_who_come_and_go_see_what_the_others_see(user: User) -> None:
    room = await user.create_room()
    sent = await user.send(room, SLOW)
    reply = sent["reply"]["message_id"]

    async def whole() -> list[SseEvent]:
        async with user.events(of(room), after=sent["cursor"]) as reader:
            return await reader.until(*ENDS)

    async def in_pieces() -> list[SseEvent]:
        found: list[SseEvent] = []
        while not found or found[-1].type not in ENDS:
            async with user.events(of(room), after=found[-1].id if found else sent["cursor"]) as reader:
                for _ in range(3):
                    event = await reader.next()
                    assert event is not None
                    found.append(event)
                    if event.type in ENDS:
                        break
        return found

    first, second, pieces = await asyncio.gather(whole(), whole(), in_pieces())
    assert first == second == pieces
    assert text_of(first, reply) == first[-1].data["message"]["content"]


async def test_a_page_and_its_cursor_leave_no_gap_within_a_reply(user: User) -> None:
    room = await user.create_room()
    sent = await user.send(room, SLOW)
    reply = sent["reply"]["message_id"]
    page = await eventually(
        lambda: user.messages(room), lambda found: len(found["messages"]) == 2 and found["messages"][1]["content"]
    )
    begun = page["messages"][1]
    assert (begun["state"], begun["is_streaming"], begun["attempt"]) == ("COMPOSING", True, 1)

    async with user.events(of(room), after=page["cursor"]) as reader:
        events = await reader.until(*ENDS)

    text = begun["content"]
    for event in events[:-1]:
        assert event.type == "message.delta"
        assert event.data["offset"] == len(text)
        text += event.data["text"]
    assert text == events[-1].data["message"]["content"]
    assert events[-1].data["message"]["message_id"] == reply


async def test_one_reply_can_be_followed_from_its_start_and_after_its_end(user: User) -> None:
    room = await user.create_room()
    sent = await user.send(room, SLOW)
    path = f"{of(room)}/messages/{sent['reply']['message_id']}"
    async with user.events(path) as reader:
        live = await reader.rest()
    async with user.events(path) as reader:
        later = await reader.rest()

    assert live == later
    assert live[0].type == "message.created"
    assert live[-1].type == "message.completed"
    assert all(sent["reply"]["message_id"] in str(event.data) for event in live)
    async with user.events(path, after=live[3].id) as reader:
        assert await reader.rest() == live[4:]


async def test_a_reply_goes_on_when_its_reader_leaves(user: User) -> None:
    room = await user.create_room()
    async with user.stream(room, SLOW) as reader:
        opening = await reader.until("message.delta")
    reply = opening[1].data["message"]["message_id"]

    message = await eventually(lambda: user.message(room, reply), lambda found: not found["is_streaming"])
    assert (message["finish_reason"], len(message["content"].split())) == ("stop", 30)


async def test_a_send_can_wait_for_its_reply(user: User) -> None:
    room = await user.create_room()
    answer = await user.http.post(
        f"{of(room)}/messages", json={"content": "[[tokens=5 delay=20ms]]"}, headers={"Prefer": "wait=10"}
    )
    sent = succeeded(answer, 201)
    assert answer.headers["preference-applied"] == "wait=10"
    assert (sent["reply"]["finish_reason"], len(sent["reply"]["content"].split())) == ("stop", 5)


async def test_a_wait_that_is_too_short_gives_what_there_is(user: User) -> None:
    room = await user.create_room()
    sent = await user.send(room, "[[tokens=100 delay=50ms]]", headers={"Prefer": "wait=1"})
    assert sent["reply"]["is_streaming"] is True
    assert 0 < len(sent["reply"]["content"].split()) < 100
    await user.http.delete(of(room))


async def test_events_from_now_are_those_that_come(user: User) -> None:
    room = await user.create_room()
    await user.note(room, "before")
    async with user.events(of(room)) as reader:
        note = await user.note(room, "after")
        event = await reader.next()
    assert event is not None
    assert (event.type, event.data["message"]["message_id"]) == ("message.created", note["message_id"])


async def test_an_event_source_follows_a_room_with_a_ticket(user: User, stranger: User) -> None:
    """As a browser does it: no header but `Last-Event-ID`, and the same address each time."""
    room, other = await user.create_room(), await stranger.create_room()
    path = f"{of(room)}/events"
    ticket = succeeded(await user.http.post("/v1/events/ticket", json={"path": path}), 201)["ticket"]
    async with httpx2.AsyncClient(base_url=user.http.base_url, timeout=30.0) as http:
        async with reading(http, "GET", path, params={"ticket": ticket}) as reader:
            note = await user.note(room, "one")
            first = await reader.next()
            await user.note(room, "two")
        assert first is not None
        assert first.data["message"]["message_id"] == note["message_id"]
        async with reading(http, "GET", path, params={"ticket": ticket}, headers={"Last-Event-ID": first.id}) as reader:
            second = await reader.next()
        assert second is not None
        assert second.data["message"]["content"] == "two"
        twice = f"{path}?ticket={ticket}&ticket={ticket}"
        for elsewhere in (
            *(f"{each}?ticket={ticket}" for each in ("/v1/events", f"{of(other)}/events", of(room))),
            twice,
        ):
            assert (await http.get(elsewhere)).status_code == 401
