"""A reply that is followed is whole, wherever its connections are cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parlor.client import BadAnswer, NoAnswer, NotFound, ReplyDeleted, Retries, ToolCall
from tests.both_clients import KINDS, Clients, folded
from tests.unit.client.scripted_server import (
    REPLY,
    ROOM,
    Answer,
    Json,
    Request,
    ScriptedServer,
    answer,
    frame,
    message,
    problem,
    stream,
)

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}/messages/{REPLY}"
CALL: Json = {
    "type": "tool_call",
    "tool_call_id": "call-1",
    "name": "clock",
    "title": "Clock",
    "arguments": {},
    "digest": "sha256:0",
    "state": "done",
    "approval": "none",
    "decided_by": None,
    "decided_at": None,
    "result": {"content": "12:00", "is_error": False, "truncated": False},
    "attempts": 1,
}


def piece(number: int, offset: int, text: str, attempt: int = 1, kind: str = "message.delta", index: int = 0) -> bytes:
    data = {"message_id": REPLY, "attempt": attempt, "index": index, "offset": offset, "text": text}
    return frame(number, kind, data)


def thought(text: str) -> Json:
    return {"type": "reasoning", "text": text, "duration_ms": 5}


def ended(number: int, content: str, kind: str = "message.completed", **changed: object) -> bytes:
    return frame(number, kind, {"message": message(content=content, **changed)})


PLAIN = [
    frame(1, "message.created", {"message": message(attempt=0, state="COMPOSING", is_streaming=True)}),
    piece(2, 0, "One 😀"),
    piece(3, 5, " two\n\n"),
    piece(4, 11, " drei ä\u2028"),
    ended(5, "One 😀 two\n\n drei ä\u2028"),
]
TAKEN_OVER = [
    piece(1, 0, "A fir"),
    piece(2, 5, "st try"),
    frame(3, "message.reset", {"message_id": REPLY, "attempt": 2}),
    piece(4, 0, "A "),
    piece(5, 2, "second one", attempt=1),  # of a process that does not know yet
    piece(6, 0, "A ", attempt=2),
    piece(7, 2, "second try", attempt=2),
    ended(8, "A second try", attempt=2),
]
HOLOGRAM = {"type": "hologram", "x": 1}
WITH_PARTS = [
    piece(1, 0, "Hm", kind="message.reasoning"),
    piece(2, 2, ", what", kind="message.reasoning"),
    frame(3, "message.part", {"message_id": REPLY, "attempt": 1, "index": 1, "part": {**CALL, "state": "running"}}),
    frame(4, "message.part", {"message_id": REPLY, "attempt": 1, "index": 1, "part": CALL}),
    frame(5, "message.part", {"message_id": REPLY, "attempt": 1, "index": 3, "part": HOLOGRAM}),
    piece(6, 0, "Noon", index=2),
    ended(7, "Noon", parts=[thought("Hm, what"), CALL, {"type": "text", "text": "Noon"}, HOLOGRAM]),
]
THOUGHT_ON = [
    frame(1, "message.reset", {"message_id": REPLY, "attempt": 2}),
    # What an earlier attempt thought, whole; this one goes on behind it.
    frame(2, "message.part", {"message_id": REPLY, "attempt": 2, "index": 0, "part": thought("Hm")}),
    frame(3, "message.part", {"message_id": REPLY, "attempt": 2, "index": 1, "part": CALL}),
    piece(4, 2, " so", attempt=2, kind="message.reasoning", index=2),
    piece(5, 0, "Noon", attempt=2, index=3),
    ended(6, "Noon", attempt=2, parts=[thought("Hm"), CALL, thought(" so"), {"type": "text", "text": "Noon"}]),
]
STOPPED = [piece(1, 0, "Half"), ended(2, "Half", "message.stopped", finish_reason="stopped")]
LOGS = {"plain": PLAIN, "taken over": TAKEN_OVER, "parts": WITH_PARTS, "thought on": THOUGHT_ON, "stopped": STOPPED}


def following(events: list[bytes], cut_of: Callable[[int], int | None]) -> Callable[[Request], Answer]:
    """The events after the cursor that is asked for; connection n is cut after ``cut_of(n)`` bytes."""
    opened = [0]

    def script(request: Request) -> Answer:
        assert request.path == f"{PATH}/events"
        after = int(request.headers.get("last-event-id", "1-0").removeprefix("1-"))
        opened[0] += 1
        return stream(events[after:], cut_of(opened[0]))

    return script


def places(events: list[bytes]) -> list[int]:
    """In front of, within and behind each event."""
    found, at = [0, 4], len(b": open\n\n")
    for event in events:
        found += [at, at + 3, at + len(event) // 2, at + len(event) - 1]
        at += len(event)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOGS)
async def test_a_cut_at_any_event_leaves_the_whole_reply(kind: str, name: str) -> None:
    events = LOGS[name]
    async with ScriptedServer(following(events, lambda _: None)) as server:
        whole = await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))
    assert whole.message is not None
    assert folded(whole.deltas) == whole.text == whole.message.content
    for cut in places(events):
        async with ScriptedServer(following(events, {1: cut}.get)) as server:
            found = await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))
        assert found == whole, cut
        assert len(server.requests) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_cuts_behind_every_event_is_followed_to_the_end(kind: str) -> None:
    events = PLAIN
    opened = len(b": open\n\n")

    def script(request: Request) -> Answer:
        after = int(request.headers.get("last-event-id", "1-0").removeprefix("1-"))
        return stream(events[after:], opened + len(events[after]) + 2)

    async with ScriptedServer(script) as server:
        clients = Clients(kind, server.base_url, retries=Retries(tries=2))
        found = await clients.read(lambda client: client.reply(ROOM, REPLY))
    assert folded(found.deltas) == "One 😀 two\n\n drei ä\u2028"
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "1-1", "1-2", "1-3", "1-4"]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_reply_is_made_of_is_known(kind: str) -> None:
    async with ScriptedServer(following(WITH_PARTS, lambda _: None)) as server:
        found = await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))
    assert found.reasoning == "Hm, what"
    parts = [delta.part for delta in found.deltas if delta.part is not None]
    assert [part.state for part in parts if isinstance(part, ToolCall)] == ["running", "done"]
    assert repr(parts[-1]) == "OtherPart(type='hologram', fields={'type': 'hologram', 'x': 1})"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_server_may_send_the_client_back(kind: str) -> None:
    events = [*PLAIN[:2], frame(2, "stream.reconnect", {"cursor": "1-2", "reason": "lifetime"}), *PLAIN[2:]]

    def script(request: Request) -> Answer:
        return stream(events[3:]) if "last-event-id" in request.headers else stream(events[:3])

    async with ScriptedServer(script) as server:
        found = await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))
    assert found.text == "One 😀 two\n\n drei ä\u2028"
    assert server.requests[1].headers["last-event-id"] == "1-2"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_streaming", [True, False])
async def test_events_that_are_gone_are_made_good_by_the_message(kind: str, is_streaming: bool) -> None:
    events = [piece(5, 0, "The whole"), piece(6, 9, " text"), ended(7, "The whole text")]

    def script(request: Request) -> Answer:
        if request.path == PATH:
            content = "The whole" if is_streaming else "The whole text"
            return answer(message(content=content, is_streaming=is_streaming))
        return problem(410, "stream-expired") if "last-event-id" in request.headers else stream(events)

    async with ScriptedServer(script) as server:
        clients = Clients(kind, server.base_url)
        found = await clients.read(lambda client: client.reply(ROOM, REPLY, cursor="1-1"))
    assert folded(found.deltas) == found.text == "The whole text"
    assert [request.path for request in server.requests].count(PATH) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_gap_is_read_again_from_the_start_and_at_some_time_reported(kind: str) -> None:
    whole = [piece(1, 0, "ab"), piece(2, 2, "cd"), ended(3, "abcd")]
    gap = [whole[0], piece(2, 3, "d")]
    opened = [0]

    def script(request: Request) -> Answer:
        opened[0] += 1
        return stream(gap if opened[0] == 1 else whole)

    async with ScriptedServer(script) as server:
        found = await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))
        assert [delta.type for delta in found.deltas] == ["text", "reset", "text", "text"]
        assert found.text == "abcd"
        assert "last-event-id" not in server.requests[1].headers
    async with ScriptedServer(lambda _: stream(gap)) as server:
        with pytest.raises(BadAnswer, match="join"):
            await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "last",
    [
        frame(2, "message.deleted", {"message_id": REPLY, "seq": 2, "state": "DELETING"}),
        frame(2, "room.deleted", {"room_id": ROOM}),
    ],
)
async def test_a_deleted_reply_is_an_error(kind: str, last: bytes) -> None:
    async with ScriptedServer(following([PLAIN[1], last], lambda _: None)) as server:
        with pytest.raises(ReplyDeleted):
            await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_does_not_come_back_is_given_up(kind: str) -> None:
    async with ScriptedServer(following(PLAIN, lambda _: 4)) as server:
        clients = Clients(kind, server.base_url, retries=Retries(tries=3))
        with pytest.raises(NoAnswer):
            await clients.read(lambda client: client.reply(ROOM, REPLY))
    assert len(server.requests) == 3
    assert len(clients.pauses) == 2
    async with ScriptedServer(lambda _: problem(404, "room-not-found")) as server:
        with pytest.raises(NotFound) as caught:
            await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))
    assert (caught.value.code, caught.value.request_id) == ("room-not-found", "req-1")
    async with ScriptedServer(lambda _: answer({})) as server:
        with pytest.raises(BadAnswer, match="text/event-stream"):
            await Clients(kind, server.base_url).read(lambda client: client.reply(ROOM, REPLY))
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_ends_every_stream_at_once_is_given_up(kind: str) -> None:
    leaving = [frame(0, "stream.reconnect", {"cursor": "1-0", "reason": "cache-unavailable"})]
    async with ScriptedServer(lambda _: stream(leaving)) as server:
        clients = Clients(kind, server.base_url, retries=Retries(tries=4))
        with pytest.raises(NoAnswer):
            await clients.read(lambda client: client.reply(ROOM, REPLY))
    assert len(server.requests) == 4


@pytest.mark.parametrize("kind", KINDS)
async def test_a_quiet_stream_that_has_had_its_time_is_no_failure(kind: str) -> None:
    had = frame(0, "stream.reconnect", {"cursor": "1-0", "reason": "lifetime"})
    later = iter([*([[had]] * 5), PLAIN])
    async with ScriptedServer(lambda _: stream(next(later))) as server:
        clients = Clients(kind, server.base_url, retries=Retries(tries=3))
        found = await clients.read(lambda client: client.reply(ROOM, REPLY))
    assert found.text == "One 😀 two\n\n drei ä\u2028"


@pytest.mark.parametrize("kind", KINDS)
async def test_events_of_a_room_come_once_through_cuts(kind: str) -> None:
    events = [frame(number, "message.updated", {"message": message(seq=number)}) for number in range(1, 8)]

    def script(request: Request) -> Answer:
        after = int(request.headers["last-event-id"].removeprefix("1-"))
        return stream(events[after:], len(b"".join(events[after : after + 2])) + 30)

    async with ScriptedServer(script) as server:
        clients = Clients(kind, server.base_url, retries=Retries(tries=2))
        found = await clients.all(lambda client: client.room_events(ROOM, "1-0"), most=7)
    assert [event.message.seq for event in found] == list(range(1, 8))
    assert len(server.requests) == 4
