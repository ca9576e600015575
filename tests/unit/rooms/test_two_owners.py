"""Two owners that take a room from each other while one of its replies uses a tool: it goes on where it was (I25)."""

from __future__ import annotations

import asyncio

import pytest

from parlor.model.messages import FinishReason
from parlor.model.parts import ToolCallPart, parts_of
from parlor.model.tools import ToolResult, ToolState
from parlor.rooms.commands import Wake
from parlor.rooms.room import Room
from tests.unit.domain import Domain, settle
from tests.unit.scripted_tools import tool

pytestmark = pytest.mark.unit


async def woken(domain: Domain, room: Room) -> None:
    """As the sweep does it: the room is this owner's, whoever had it."""
    ticket = await domain.reader.claims(room.room_id)
    await room.execute(Wake(None, room.room_id, "sweep", ticket=ticket))
    await settle()


async def test_an_owner_that_has_a_room_again_does_not_pass_over_a_reply_that_another_began_anew(
    domain: Domain,
) -> None:
    domain.model.tools = (tool("weather", city=""),)
    domain.tools.results["weather"] = ToolResult("Sun")
    domain.tools.gate = asyncio.Event()
    first = domain.room(await domain.new_room())
    asked, waiting = await domain.send(first), await domain.send(first, "And tomorrow?")
    await settle()
    domain.model.talks[0].call(("weather", '{"city": "Kiel"}'))
    await domain.clock.advance(0.5)
    second = domain.room(first.room_id)
    # Two calls are under way now. The first owner still has the attempt that it began.
    await woken(domain, second)
    await woken(domain, first)
    domain.tools.gate.set()
    for turn in range(1, 3):
        await domain.clock.advance(1.0)
        await settle()
        domain.model.talks[turn].say("Sunny.")
        domain.model.talks[turn].finish()
        await domain.clock.advance(1.0)
    assert asked.reply is not None
    assert waiting.reply is not None
    ends = [
        data["message"]["message_id"]
        for kind, data in await domain.events(first.room_id)
        if kind == "message.completed"
    ]
    assert ends == [asked.reply.message_id, waiting.reply.message_id]
    reply = (await domain.page(first.room_id)).messages[1]
    call = parts_of(reply.content, reply.parts)[0]
    assert isinstance(call, ToolCallPart)
    assert (call.state, call.result, reply.content) == (ToolState.DONE, ToolResult("Sun"), "Sunny.")
    assert reply.finish_reason is FinishReason.STOP
    assert len({key for _, _, key in domain.tools.calls}) == 1
