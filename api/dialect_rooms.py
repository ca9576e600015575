"""Which room a request in another program's dialect is about, and its reply."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from api.auth import caller_of
from api.dialects.openai_errors import MODEL_NOT_FOUND
from api.edge import Edge, edge_of
from api.fields import EXTERNAL_ID_MAX, text_fault
from api.problems import invalid
from parlor.errors import InvalidRequest, Overloaded
from parlor.gateway import Answer
from parlor.llm.ports import Persona
from parlor.llm.text import is_blank
from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId, partition_of
from parlor.model.messages import Message

ROOM_HEADER = "Parlor-Room"
_LOOK = 60.0
"""Seconds of one wait for a reply."""


async def room_of(request: Request, persona: str) -> RoomId | None:
    """The room that the header names, by its id or its external id; a room with a new external id is created, with this
    persona. None without the header. Raises ``RoomNotFound`` and ``InvalidRequest``."""
    edge, session = edge_of(request), caller_of(request).session
    named = request.headers.getlist(ROOM_HEADER)
    if named:
        name = _checked(ROOM_HEADER, named)
        if partition_of(name.lower()) is not None:
            return (await edge.gateway.get_room(session, RoomId(name.lower()))).room_id
        return await external_room(edge, session, name, persona)
    for header in edge.settings.external_id_headers:
        if given := request.headers.getlist(header):
            return await external_room(edge, session, _checked(header, given), persona)
    return None


async def ended_reply(edge: Edge, session: Session, room_id: RoomId, message_id: MessageId) -> Message:
    """The reply when it has ended, which may take as long as a stream may live. Raises ``Overloaded`` after that."""
    until = edge.clock.monotonic() + edge.settings.stream_lifetime.total_seconds()
    while (left := until - edge.clock.monotonic()) > 0:
        reply = await edge.gateway.wait_for_reply(session, room_id, message_id, min(left, _LOOK))
        if not reply.is_streaming:
            return reply
    raise Overloaded("The reply is still being written; it goes on in its room", extra={"message_id": message_id})


async def collected(answer: Answer) -> Message:
    """The whole answer of a call outside of any room."""
    async with answer:
        async for _ in answer:
            pass
    return answer.message


async def require_model(edge: Edge, name: str) -> Persona:
    """Returns the persona of this name. Raises ``InvalidRequest`` unless there is one."""
    for persona in await edge.gateway.personas():
        if persona.name == name:
            return persona
    where = {"loc": ["body", "model"], "msg": "No such model", "type": MODEL_NOT_FOUND}
    raise InvalidRequest(f"The model `{name}` does not exist", extra={"errors": [where]})


def storable(where: Sequence[str | int], text: str) -> str:
    """Raises ``InvalidRequest`` for a text that no database can hold."""
    fault = text_fault(text)
    if fault is not None:
        raise invalid(where, f"{fault} is not allowed")
    return text


def checked_text(where: Sequence[str | int], text: str) -> str:
    """The text of a message to send. Raises ``InvalidRequest``."""
    if is_blank(text):
        raise invalid(where, "The message has no visible character")
    return storable(where, text)


async def external_room(edge: Edge, session: Session, name: str, persona: str | None) -> RoomId:
    """The room with this external id; a new one, with this persona or the default, when there is none."""
    receipt = await edge.gateway.create_room(session, None, persona, external_id=name)
    return receipt.room.room_id


def _checked(header: str, values: list[str]) -> str:
    name = values[0].encode("latin-1").decode("utf-8", "replace").strip()
    if len(values) > 1 or not 1 <= len(name) <= EXTERNAL_ID_MAX or not name.isprintable():
        raise invalid(("header", header), f"{header} has to be one room id or external id")
    return name
