"""A turn in another program's dialect: in a room, or of a persona's model alone."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastapi import Request, Response

from api.auth import caller_of
from api.dialect_offers import kept, require_alone
from api.dialect_rooms import ROOM_HEADER, checked_text, collected, ended_reply, require_model, room_of
from api.dialects.openai_asides import is_aside
from api.edge import Edge, StreamSlot, edge_of
from api.idempotency import REPLAYED, idempotency_of
from api.limits import check_content
from api.problems import invalid, refusal, respond
from api.sse import EventStream, Frames
from parlor.errors import InternalError, ParlorError
from parlor.llm.ports import ModelCall
from parlor.model.files import PromptImage
from parlor.model.ids import RoomId
from parlor.model.messages import Message
from parlor.model.requests import OnBusy, SendRequest
from parlor.model.wire import JsonForm, encode

NOT_AGAIN = {"x-should-retry": "false"}
"""The clients of some dialects send a request that failed once more, which would be another message in the room."""


class Turn(ABC):
    """What a request asks for, and how its dialect writes the reply."""

    operation: str
    """Tells the digests of idempotent requests apart."""
    stream_type = "text/event-stream"
    """The media type of a stream."""
    model: str
    """The name of a persona."""
    streams: bool
    waits = True
    """Whether the answer is the whole reply; else the reply as it begins."""
    metadata: Mapping[str, Any] = MappingProxyType({})
    """What a room keeps with the message."""

    @abstractmethod
    async def room(self, request: Request) -> RoomId | None:
        """The room to send the message to; None when it goes to the model alone. Raises ``InvalidRequest``."""

    @abstractmethod
    def said(self) -> str:
        """The text to send to a room. Raises ``InvalidRequest``."""

    @abstractmethod
    def shown(self) -> list[PromptImage]:
        """The images that the text to send comes with. Raises ``InvalidRequest``."""

    @property
    def on_busy(self) -> OnBusy:
        """What the message does to a reply that is being written in its room. Raises ``InvalidRequest``."""
        return OnBusy.ENQUEUE

    @abstractmethod
    def check_room(self) -> None:
        """Raises ``InvalidRequest`` for what is not taken in a room."""

    @abstractmethod
    def call(self) -> ModelCall:
        """What the model is asked outside of rooms. Raises ``InvalidRequest``."""

    @abstractmethod
    def frames(self, reply: Message) -> Frames: ...

    @abstractmethod
    def whole(self, reply: Message) -> tuple[JsonForm, int]:
        """The whole reply, or why it is none, and the status."""


class HeaderTurn(Turn):
    """A turn whose room is named by a header of the request; front ends' own questions go to no room."""

    said_by: Sequence[tuple[str, str]]
    """The role and the text of each message."""

    def said(self) -> str:
        for index in reversed(range(len(self.said_by))):
            role, text = self.said_by[index]
            if role == "user":
                return checked_text(("body", "messages", index, "content"), text)
        raise invalid(("body", "messages"), "None of the messages is a user's")

    def shown(self) -> list[PromptImage]:
        """The images of the last user message."""
        return list(next((turn.images for turn in reversed(self.call().turns) if turn.role == "user"), ()))

    def check_room(self) -> None:
        require_alone(self.call())

    async def room(self, request: Request) -> RoomId | None:
        return None if is_aside(self.said_by[-1][1]) else await room_of(request, self.model)


async def answered(request: Request, turn: Turn) -> Response:
    """The reply to a turn."""
    edge, caller = edge_of(request), caller_of(request)
    await require_model(edge, turn.model)
    room_id = await turn.room(request)
    # A refusal after the message was appended would have the client send it again.
    await edge.limits.admit_send(caller.session.account_id, request.scope)
    slot = edge.streams.take(caller.session.account_id, reply=True) if turn.streams else None
    try:
        if room_id is None:
            return await _stateless(request, turn, slot)
        turn.check_room()
        return await _in_room(request, turn, room_id, slot)
    except BaseException:
        if slot is not None:
            slot.release()
        raise


async def _in_room(request: Request, turn: Turn, room_id: RoomId, slot: StreamSlot | None) -> Response:
    edge, caller = edge_of(request), caller_of(request)
    content = turn.said()
    check_content(content, edge.settings)
    images = turn.shown()
    digests = (hashlib.sha256(image.data).hexdigest() for image in images)
    idempotency = idempotency_of(request, turn.operation, turn.model, content, *digests)
    command = SendRequest(
        content=content,
        ai_persona=turn.model,
        on_busy=turn.on_busy,
        idempotency=idempotency,
        metadata=dict(turn.metadata),
        parts=await kept(edge.gateway.files, caller.session, content, images),
    )
    receipt = await edge.gateway.send_message(caller.session, room_id, command)
    reply = receipt.reply
    if reply is None:
        raise InternalError(debug="a send that asks for a reply has none")
    headers = {ROOM_HEADER: room_id, **(REPLAYED if receipt.replayed else {})}
    if slot is not None:
        events, typed = edge.gateway.turn_events(caller.session, room_id, receipt), {"Content-Type": turn.stream_type}
        frames, headers = turn.frames(reply), headers | typed
        return EventStream(events, edge, caller, headers, slot=slot, begins_at=receipt.cursor, frames=frames)
    if not turn.waits:
        return _whole(turn, reply, headers)
    try:
        ended = await ended_reply(edge, caller.session, room_id, reply.message_id)
    except ParlorError as error:
        return await _not_again(request, edge, error, headers)
    return _whole(turn, ended, headers)


async def _stateless(request: Request, turn: Turn, slot: StreamSlot | None) -> Response:
    edge, caller = edge_of(request), caller_of(request)
    answer = edge.gateway.answer(caller.session, turn.call())
    if slot is None:
        return _whole(turn, await collected(answer), {})
    headers = {"Content-Type": turn.stream_type}
    return EventStream(answer, edge, caller, headers, slot=slot, frames=turn.frames(answer.message))


def _whole(turn: Turn, reply: Message, headers: dict[str, str]) -> Response:
    form, status = turn.whole(reply)
    told = headers if status < 400 else {**headers, **NOT_AGAIN}
    return Response(encode(form), status, told, "application/json")


async def _not_again(request: Request, edge: Edge, error: ParlorError, headers: dict[str, str]) -> Response:
    response = respond(await refusal(edge, error, request.scope), request.scope)
    response.headers.update({**headers, **NOT_AGAIN})
    return response
