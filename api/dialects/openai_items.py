"""Messages as items of OpenAI's responses and conversations.

In a response a reply is one item for each of its parts that OpenAI has an item for: texts, what the model thought, and
calls that the caller makes. In a conversation a message is one item, whatever it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from api.dialects.reply_frames import told_calls
from parlor.model.messages import Message
from parlor.model.wire import JsonForm, encode, message_form

MESSAGE, RESPONSE, CONVERSATION = "msg_", "resp_", "conv_"
"""What stands before the ids of messages, replies and rooms."""
_PREFIXES = {"text": MESSAGE, "reasoning": "rs_", "call": "fc_"}
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_ROLES = {"USER": "user", "AI": "assistant", "SYSTEM": "system"}


class Piece(msgspec.Struct, frozen=True):
    """A part of a reply that is an item of its response."""

    kind: Literal["text", "reasoning", "call"]
    index: int
    """Of the part, in the message."""
    text: str = ""
    """Of a call, its arguments."""
    call_id: str = ""
    name: str = ""


def told(message: Message) -> JsonForm:
    """A message as an event tells it."""
    return _decode(encode(message_form(message)))


def pieces_of(message: JsonForm) -> list[Piece]:
    """The items of a reply, as JSON has it."""
    found, calls = list[Piece](), told_calls(message)
    for index, part in enumerate(message["parts"]):
        if part["type"] in ("text", "reasoning") and part["text"]:
            found.append(Piece(part["type"], index, part["text"]))
        elif part in calls:
            found.append(Piece("call", index, encode(part["arguments"]).decode(), part["tool_call_id"], part["name"]))
    return found


def output_items(message_id: str, pieces: Sequence[Piece], last_status: str) -> list[JsonForm]:
    """The items of a response; ``last_status`` is the status of the last one, the others are completed."""
    before = dict.fromkeys(_PREFIXES, 0)
    items = []
    for at, piece in enumerate(pieces):
        before[piece.kind] += 1
        number = f"_{before[piece.kind]}" if before[piece.kind] > 1 else ""
        status = last_status if at == len(pieces) - 1 else "completed"
        items.append(_item(f"{_PREFIXES[piece.kind]}{message_id}{number}", piece, status))
    return items


def text_content(text: str) -> JsonForm:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def summary_content(text: str) -> JsonForm:
    return {"type": "summary_text", "text": text}


def message_item(message: JsonForm) -> JsonForm:
    """A message of a conversation."""
    is_reply = message["sender_type"] == "AI"
    status = "in_progress" if message["is_streaming"] else "completed"
    if is_reply and not message["is_streaming"] and message["finish_reason"] != "stop":
        status = "incomplete"
    return {
        "id": f"{MESSAGE}{message['message_id']}",
        "type": "message",
        "role": _ROLES[message["sender_type"]],
        "status": status,
        "content": [content for part in message["parts"] if (content := _content(part, is_reply=is_reply)) is not None],
    }


def item_page(items: Sequence[JsonForm], *, has_more: bool) -> JsonForm:
    """A page of items."""
    return {
        "object": "list",
        "data": items,
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }


def _item(item_id: str, piece: Piece, status: str) -> JsonForm:
    match piece.kind:
        case "reasoning":
            return {"id": item_id, "type": "reasoning", "summary": [summary_content(piece.text)]}
        case "call":
            called = {"call_id": piece.call_id, "name": piece.name, "arguments": piece.text}
            return {"id": item_id, "type": "function_call", "status": status, **called}
    content = [text_content(piece.text)]
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}


def _content(part: JsonForm, *, is_reply: bool) -> JsonForm | None:
    match part["type"]:
        case "text":
            return text_content(part["text"]) if is_reply else {"type": "input_text", "text": part["text"]}
        case "reasoning":
            return {"type": "reasoning_text", "text": part["text"]}
        case "image":
            return {"type": "input_image", "file_id": part["file_id"], "image_url": None, "detail": "auto"}
        case "file":
            return {"type": "input_file", "file_id": part["file_id"], "filename": part["name"]}
    return None
