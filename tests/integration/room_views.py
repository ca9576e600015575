"""A room as each of its witnesses tells it: the page, the rows, the events. They have to tell the same."""

from __future__ import annotations

from typing import TypeAlias

from tests.integration.shards import Shards
from tests.integration.sse import SseEvent
from tests.integration.user import Json, User, of

Line: TypeAlias = tuple[int, str, str | None]
"""Seq, content, and how it ended; GONE for a tombstone."""

GONE = "(gone)"
_LAST = "and that was all"


async def agreed_views(user: User, shards: Shards, room: str, cursor: str) -> tuple[list[Line], list[SseEvent]]:
    """What the room says once everything is stored, and the events since ``cursor`` (of the empty room).

    Asserts that history, rows and events agree, and that seq has no holes. Ends the room's conversation with a note.
    """
    note = await user.note(room, _LAST, persisted=True)
    events: list[SseEvent] = []
    async with user.events(of(room), after=cursor) as reader:
        while not events or (events[-1].data.get("message") or {}).get("message_id") != note["message_id"]:
            events += await reader.until("message.created")
    history = [line_of(message) for message in await user.history(room)]
    rows: list[Line] = [
        (row.seq, GONE, None) if row.deleted else (row.seq, row.content, row.finish_reason)
        for row in await shards.messages(room)
    ]
    assert history == rows
    assert replayed(events) == history
    assert [seq for seq, _, _ in history] == list(range(1, len(history) + 1))
    assert history[-1][1] == _LAST
    return history[:-1], events


def line_of(message: Json) -> Line:
    if message["state"] in ("DELETING", "DELETED"):
        assert message["content"] == ""
        return message["seq"], GONE, None
    return message["seq"], message["content"], message["finish_reason"]


def replayed(events: list[SseEvent]) -> list[Line]:
    """What a client has that only ever heard events."""
    lines: dict[int, Line] = {}
    for event in events:
        if event.type == "message.deleted":
            lines[event.data["seq"]] = (event.data["seq"], GONE, None)
        elif "message" in event.data:
            line = line_of(event.data["message"])
            lines[line[0]] = line
    return [lines[seq] for seq in sorted(lines)]
