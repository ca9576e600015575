"""RoomCommands: the changes of a room, which its owner serves wherever the room is."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from actors.routing import RoomRouter
from parlor.errors import InternalError, MessageNotFound, ParlorError, RoomNotFound
from parlor.llm.personas import Personas, load_personas
from parlor.model.access import Session
from parlor.model.ids import NO_CLUSTER, ClusterId, MessageId, RoomId, home_of, partition_of
from parlor.model.messages import Message
from parlor.model.parts import ToolCallPart
from parlor.model.requests import (
    AttemptReceipt,
    DeleteReceipt,
    EditReceipt,
    Idempotency,
    ReplyMode,
    SendReceipt,
    SendRequest,
)
from parlor.model.rooms import Room, RoomMemory
from parlor.model.tools import Decision, PostedResult
from parlor.model.tracing import carried_request
from parlor.rooms.commands import (
    CallDone,
    Command,
    Continue,
    Decide,
    DeleteDone,
    DeleteMessage,
    DeleteRoom,
    Done,
    Edit,
    EditDone,
    MessageDone,
    Outcome,
    PostResult,
    Refused,
    Regenerate,
    ResetMemory,
    RoomDone,
    Send,
    SendDone,
    Stop,
    UpdateRoom,
)
from parlor.wiring import Wiring

_T = TypeVar("_T", bound=Outcome)


class RoomCommands:
    """The part of ``parlor.gateway.Gateway`` that changes rooms."""

    def __init__(self, wiring: Wiring, cluster: ClusterId = NO_CLUSTER) -> None:
        self._wiring = wiring
        self._rooms = RoomRouter(wiring.reader, wiring.settings.ray.namespace, wiring.forwarder(cluster))
        self._personas = Personas(load_personas(wiring.settings.llm))

    async def update_room(
        self,
        session: Session,
        room_id: RoomId,
        title: str | None,
        ai_persona: str | None,
        metadata: str | None = None,
    ) -> Room:
        if ai_persona is not None:
            self._personas.named(ai_persona)
        command = UpdateRoom(session, room_id, carried_request(), title, ai_persona, metadata)
        return (await self._ask(command, RoomDone)).room

    async def delete_room(self, session: Session, room_id: RoomId) -> Room:
        return (await self._ask(DeleteRoom(session, room_id, carried_request()), RoomDone)).room

    async def send_message(self, session: Session, room_id: RoomId, request: SendRequest) -> SendReceipt:
        if request.ai_persona is not None:
            self._personas.named(request.ai_persona)
        require_home(session, room_id)
        mint = self._wiring.mint
        reply_id = mint.message_id(session.partition) if request.reply is ReplyMode.AUTO else None
        message_id = mint.message_id(session.partition)
        async with self._wiring.files.named(session, room_id, message_id, request.parts) as named:
            request = msgspec.structs.replace(request, parts=named.parts)
            command = Send(session, room_id, carried_request(), message_id, reply_id, request)
            receipt = (await self._ask(command, SendDone)).receipt
            named.sent = receipt.message.message_id == message_id
        return receipt

    async def delete_message(self, session: Session, room_id: RoomId, message_id: MessageId) -> DeleteReceipt:
        await self._require_message_home(session, room_id, message_id)
        return (await self._ask(DeleteMessage(session, room_id, carried_request(), message_id), DeleteDone)).receipt

    async def edit_message(
        self,
        session: Session,
        room_id: RoomId,
        message_id: MessageId,
        content: str,
        idempotency: Idempotency | None = None,
    ) -> EditReceipt:
        await self._require_message_home(session, room_id, message_id)
        command = Edit(session, room_id, carried_request(), message_id, content, self._wiring.mint.token(), idempotency)
        return (await self._ask(command, EditDone)).receipt

    async def stop_reply(
        self, session: Session, room_id: RoomId, message_id: MessageId, attempt: int | None
    ) -> Message:
        await self._require_message_home(session, room_id, message_id)
        return (await self._ask(Stop(session, room_id, carried_request(), message_id, attempt), MessageDone)).message

    async def regenerate(
        self,
        session: Session,
        room_id: RoomId,
        message_id: MessageId,
        ai_persona: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> AttemptReceipt:
        if ai_persona is not None:
            self._personas.named(ai_persona)
        await self._require_message_home(session, room_id, message_id)
        nonce = self._wiring.mint.token()
        return await self._begin(
            Regenerate(session, room_id, carried_request(), message_id, nonce, idempotency, ai_persona)
        )

    async def continue_reply(
        self, session: Session, room_id: RoomId, message_id: MessageId, idempotency: Idempotency | None = None
    ) -> AttemptReceipt:
        await self._require_message_home(session, room_id, message_id)
        return await self._begin(
            Continue(session, room_id, carried_request(), message_id, self._wiring.mint.token(), idempotency)
        )

    async def decide_call(
        self, session: Session, room_id: RoomId, message_id: MessageId, tool_call_id: str, decision: Decision
    ) -> ToolCallPart:
        await self._require_message_home(session, room_id, message_id)
        command = Decide(session, room_id, carried_request(), message_id, tool_call_id, decision)
        return (await self._ask(command, CallDone)).call

    async def post_result(
        self, session: Session, room_id: RoomId, message_id: MessageId, tool_call_id: str, posted: PostedResult
    ) -> ToolCallPart:
        await self._require_message_home(session, room_id, message_id)
        command = PostResult(session, room_id, carried_request(), message_id, tool_call_id, posted)
        return (await self._ask(command, CallDone)).call

    async def reset_memory(self, session: Session, room_id: RoomId) -> RoomMemory:
        await self._ask(ResetMemory(session, room_id, carried_request()), Done)
        return await self._wiring.rooms.memory(room_id, session.account_id)

    async def _ask(self, command: Command, kind: type[_T]) -> _T:
        """Has the room's owner serve the command, wherever the room is. The ids in the command make repeating it
        harmless."""
        if command.session is not None:
            require_home(command.session, command.room_id)
        outcome = await self._rooms.route(command)
        if isinstance(outcome, Refused):
            raise ParlorError.from_wire(outcome.error)
        if not isinstance(outcome, kind):
            raise InternalError(debug=f"{type(command).__name__} was answered with {type(outcome).__name__}")
        return outcome

    async def _begin(self, command: Regenerate | Continue) -> AttemptReceipt:
        done = await self._ask(command, MessageDone)
        return AttemptReceipt(done.message, done.replayed)

    async def _require_message_home(self, session: Session, room_id: RoomId, message_id: MessageId) -> None:
        """Raises ``MessageNotFound`` for an id of another partition, or ``RoomNotFound`` if the room does not exist."""
        require_home(session, room_id)
        if partition_of(message_id) != session.partition:
            await self._wiring.rooms.room(room_id, session.account_id)
            raise MessageNotFound


def require_home(session: Session, room_id: RoomId) -> None:
    """Raises ``RoomNotFound`` for an id of another partition: without a lookup, it is not a room of this account."""
    if home_of(room_id) != session.partition:
        raise RoomNotFound
