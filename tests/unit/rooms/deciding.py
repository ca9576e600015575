"""What people decide about calls, and what their programs post."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from parlor.model.ids import MessageId
from parlor.model.messages import Message
from parlor.model.parts import ToolCallPart
from parlor.model.tools import Decision, PostedResult, ToolResult
from parlor.rooms.commands import CallDone, Decide, PostResult
from parlor.rooms.room import Room
from tests.unit.domain import Domain
from tests.unit.rooms.test_tools import begun, calls_of, passed, reply_of


async def decide(
    domain: Domain, room: Room, message_id: MessageId, call: ToolCallPart, **decision: Any
) -> ToolCallPart:
    """Approves a call, unless told otherwise."""
    said = structs.replace(Decision(True, call.digest), **decision)
    done = await room.execute(Decide(domain.ada, room.room_id, "request", message_id, call.tool_call_id, said))
    assert isinstance(done, CallDone)
    return done.call


async def post(
    domain: Domain, room: Room, message_id: MessageId, call: ToolCallPart, content: str, *, is_error: bool = False
) -> ToolCallPart:
    posted = PostedResult(call.digest, ToolResult(content, is_error))
    done = await room.execute(PostResult(domain.ada, room.room_id, "request", message_id, call.tool_call_id, posted))
    assert isinstance(done, CallDone)
    return done.call


async def parked(domain: Domain, *calls: tuple[str, str]) -> tuple[Room, Message, list[ToolCallPart]]:
    """A reply whose model asked for these calls, one of which waits."""
    room = await begun(domain)
    domain.model.talks[0].say("Let me see. ")
    domain.model.talks[0].call(*calls)
    await passed(domain)
    reply = await reply_of(domain, room)
    return room, reply, calls_of(reply)


async def finished(domain: Domain, room: Room, text: str = "Done.") -> Message:
    """The reply, when the model has ended it."""
    domain.model.talks[-1].say(text)
    domain.model.talks[-1].finish()
    await passed(domain)
    return await reply_of(domain, room)
