"""The events of the streams, for the OpenAPI document: each as an object of its `id:`, `event:` and `data:`."""

from __future__ import annotations

import json
from typing import Any

from api.examples import MESSAGE_ID, ROOM_ID, Schema

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _piece(about: str) -> Schema:
    return {
        "message_id": _TEXT,
        "attempt": _COUNT,
        "index": {**_COUNT, "description": "Of the part that grows"},
        "offset": {**_COUNT, "description": about},
        "text": _TEXT,
    }


_PART: Schema = {
    "oneOf": [_ref(name) for name in ("ChatReasoningPart", "ChatImagePart", "ChatFilePart", "ChatToolCallPart")]
}
_OF_TOOL: Schema = {"room_id": _TEXT, "message_id": _TEXT, "part": _ref("ChatToolCallPart")}

EVENTS: dict[str, Schema] = {
    "message.created": {"message": _ref("ChatMessage")},
    "message.delta": _piece("Characters of this attempt's `content` before `text`"),
    "message.reasoning": _piece("Characters of this attempt's reasoning before `text`"),
    "message.part": {"message_id": _TEXT, "attempt": _COUNT, "index": _COUNT, "part": _PART},
    "message.reset": {"message_id": _TEXT, "attempt": _COUNT},
    "message.completed": {"message": _ref("ChatMessage")},
    "message.stopped": {"message": _ref("ChatMessage")},
    "message.failed": {"message": _ref("ChatMessage"), "error": _ref("ChatReplyError")},
    "message.updated": {"message": _ref("ChatMessage")},
    "message.deleted": {"message_id": _TEXT, "seq": _COUNT, "state": _ref("MessageState")},
    "room.created": {"room": _ref("ChatRoom")},
    "room.updated": {"room": _ref("ChatRoom")},
    "room.deleted": {"room_id": _TEXT},
    "approval.requested": _OF_TOOL,
    "approval.decided": _OF_TOOL,
    "stream.reconnect": {"cursor": _TEXT, "reason": _TEXT},
}
"""The members of their data."""
ROOM_EVENTS = tuple(name for name in EVENTS if name.startswith(("message.", "stream.")))
ACCOUNT_EVENTS = tuple(name for name in EVENTS if not name.startswith("message."))
_OPTIONAL = {"index", "error"}


def component(event: str) -> str:
    """The name of the component that describes the event."""
    return "".join(word.capitalize() for word in event.split(".")) + "Event"


def event_components() -> dict[str, Schema]:
    """The schemas of all events."""
    return {component(event): _schema(event, members) for event, members in EVENTS.items()}


def _schema(event: str, members: Schema) -> Schema:
    data = {
        "type": "object",
        "properties": members,
        "required": [member for member in members if member not in _OPTIONAL],
    }
    return {
        "type": "object",
        "title": component(event),
        "description": f"`event: {event}`; `id` is the cursor behind it, `data` one line of JSON.",
        "properties": {"id": _TEXT, "event": {"type": "string", "const": event}, "data": data},
        "required": ["event", "data"],
    }


def stream_content(events: tuple[str, ...]) -> Schema:
    """The content of an answer that is a stream of these events."""
    schema = {"oneOf": [_ref(component(event)) for event in events], "description": "One event of the stream"}
    return {"text/event-stream": {"schema": schema, "example": _example(events)}}


def _example(events: tuple[str, ...]) -> str:
    """What comes through the wire."""
    told: list[tuple[str, dict[str, Any]]] = [("room.deleted", {"room_id": ROOM_ID})]
    if "message.delta" in events:
        about = {"message_id": MESSAGE_ID, "attempt": 1}
        told = [
            ("message.delta", {**about, "index": 0, "offset": 0, "text": "Rooi"}),
            ("message.delta", {**about, "index": 0, "offset": 4, "text": "bos"}),
        ]
    frames = (
        f"id: 176389200000{number}-0\nevent: {event}\ndata: {json.dumps(data)}\n\n"
        for number, (event, data) in enumerate(told)
    )
    return "".join(frames)
