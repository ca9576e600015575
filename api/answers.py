"""JSON answers, written from the model without pydantic, which is faster.

``api.schemas`` documents them, and a test holds them to it. ``parlor.model.wire`` has the JSON forms of rooms and
messages. Each answer has ``errorCode`` 0 at its top level.
"""

from __future__ import annotations

import msgspec
from fastapi import Response

from parlor.llm.ports import Persona
from parlor.model.access import StreamTicket
from parlor.model.messages import Message, MessageList, MessagePage
from parlor.model.parts import ToolCallPart, parts_of
from parlor.model.requests import (
    DeleteReceipt,
    DependencyHealth,
    EditReceipt,
    SendReceipt,
    StateReport,
    WaitingPage,
)
from parlor.model.rooms import Room, RoomMemory, RoomPage
from parlor.model.wire import JsonForm, call_form, encode, message_form, room_form, timestamp


def answer(form: JsonForm, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A successful JSON response with ``form`` as its body."""
    form["errorCode"] = 0
    return Response(encode(form), status, headers, media_type="application/json")


def room_answer(room: Room, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return answer(room_form(room), status, headers)


def message_answer(message: Message, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return answer(message_form(message), status, headers)


def room_page(page: RoomPage) -> Response:
    form = msgspec.structs.asdict(page)
    form["rooms"] = [room_form(room) for room in page.rooms]
    return answer(form)


def message_page(page: MessagePage) -> Response:
    form = msgspec.structs.asdict(page)
    form["messages"] = [message_form(message) for message in page.messages]
    return answer(form)


def send_answer(receipt: SendReceipt, status: int, headers: dict[str, str]) -> Response:
    reply = None if receipt.reply is None else message_form(receipt.reply)
    return answer({"message": message_form(receipt.message), "reply": reply, "cursor": receipt.cursor}, status, headers)


def edit_answer(receipt: EditReceipt, headers: dict[str, str] | None = None) -> Response:
    form = message_form(receipt.message)
    form["reply"] = None if receipt.reply is None else message_form(receipt.reply)
    form["cursor"] = receipt.cursor
    return answer(form, 200, headers)


def message_list(name: str, page: MessageList) -> Response:
    """The answer of a list of messages, which is called ``name``."""
    return answer({name: [message_form(message) for message in page.messages], "next_cursor": page.next_cursor})


def tool_call(call: ToolCallPart) -> Response:
    return answer(call_form(call))


def tool_calls(message: Message) -> Response:
    parts = parts_of(message.content, message.parts)
    return answer({"tool_calls": [call_form(part) for part in parts if isinstance(part, ToolCallPart)]})


def approvals(page: WaitingPage) -> Response:
    calls = [
        {"room_id": call.room_id, "message_id": call.message_id, "part": call_form(call.part)} for call in page.calls
    ]
    return answer({"approvals": calls, "next_cursor": page.next_cursor})


def memory_answer(memory: RoomMemory) -> Response:
    form = msgspec.structs.asdict(memory)
    form["updated_at"] = None if memory.updated_at is None else timestamp(memory.updated_at)
    return answer(form)


def delete_answer(receipt: DeleteReceipt) -> Response:
    return answer(msgspec.structs.asdict(receipt))


def state_answer(report: StateReport) -> Response:
    log = [
        {"at": timestamp(line.at), "from": line.from_state, "to": line.to_state, "by": line.by} for line in report.log
    ]
    return answer({"state": report.state, "log": log})


def ticket_answer(ticket: StreamTicket) -> Response:
    return answer({"ticket": ticket.ticket, "expires_at": timestamp(ticket.expires_at)}, 201)


def persona_list(personas: list[Persona]) -> Response:
    """The system prompts are left out: they are the operator's."""
    shown = [
        {"name": each.name, "title": each.title, "description": each.description, "model": each.model}
        for each in personas
    ]
    return answer({"personas": shown})


def health_answer(dependencies: list[DependencyHealth]) -> Response:
    """The answer of a process that is alive or ready."""
    return answer({"ready": True, "dependencies": dependencies})
