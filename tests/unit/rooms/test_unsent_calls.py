"""Calls that are allowed, or about to be, when their reply ends or its owner dies before they are sent."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason, MessageDoc
from parlor.model.parts import ToolCallPart
from parlor.model.tools import ToolState
from parlor.reading.internal import InternalHistory
from parlor.rooms.draft import NOT_SENT
from parlor.rooms.room import Room
from parlor.rooms.tool_steps import SEND_WITHIN
from tests.unit.domain import Domain, crash, settle
from tests.unit.rooms.deciding import finished
from tests.unit.rooms.test_reasoning import folded
from tests.unit.rooms.test_tools import begun, calls_of, passed, reply_of, told
from tests.unit.scripted_tools import tool

pytestmark = pytest.mark.unit

WEATHER = tool("weather")


@pytest.fixture(params=[True, False], ids=["idempotent", "careful"])
def domain(domain: Domain, request: pytest.FixtureRequest) -> Domain:
    domain.model.tools = (structs.replace(WEATHER, idempotent=request.param),)
    return domain


async def asked(domain: Domain, calls: int) -> tuple[Room, asyncio.Event]:
    """A reply whose model asked for calls, while the script that allows the first is under way."""
    room = await begun(domain)
    gate = domain.pipeline.gates["dispatch_call"] = asyncio.Event()
    domain.model.talks[0].call(*[("weather", f'{{"n":{each}}}') for each in range(calls)])
    await settle()
    return room, gate


async def test_a_stop_cancels_calls_that_nobody_has_allowed(domain: Domain) -> None:
    room, gate = await asked(domain, 3)
    stopping = domain.spawn(domain.stop(room, (await reply_of(domain, room)).message_id))
    await settle()
    gate.set()
    await passed(domain)
    await stopping
    assert domain.tools.calls == []
    reply = await reply_of(domain, room)
    assert reply.finish_reason is FinishReason.STOPPED
    first, *others = calls_of(reply)
    assert [call.state for call in others] == [ToolState.CANCELLED] * 2
    assert (first.state, first.result and first.result.content) == (ToolState.FAILED, NOT_SENT), "it was allowed"
    states = [part["state"] for part in await told(domain, room)]
    assert states == ["approved"] * 3 + ["running"]


async def test_what_readers_saw_of_unsent_calls_is_what_is_stored(domain: Domain) -> None:
    room, gate = await asked(domain, 2)
    stopping = domain.spawn(domain.stop(room, (await reply_of(domain, room)).message_id))
    await settle()
    gate.set()
    await passed(domain)
    await stopping
    await domain.write_all()
    events = await domain.events(room.room_id)
    row = (await domain.rows(room.room_id))[1]
    assert [part["state"] for part in folded(events)] == ["running", "approved"]
    assert [part["state"] for part in events[-1][1]["message"]["parts"]] == ["failed", "cancelled"]
    assert [call.state for call in calls_of(await reply_of(domain, room))] == ["failed", "cancelled"]
    assert [part.state for part in row.doc.parts or () if isinstance(part, ToolCallPart)] == ["failed", "cancelled"]


async def test_a_call_that_was_sent_before_a_stop_is_unknown(domain: Domain) -> None:
    domain.tools.gate = asyncio.Event()
    room, gate = await asked(domain, 1)
    gate.set()
    await passed(domain)
    await domain.write_all()
    await passed(domain)
    assert len(domain.tools.calls) == 1
    await domain.stop(room, (await reply_of(domain, room)).message_id)
    await passed(domain)
    assert [call.state for call in calls_of(await reply_of(domain, room))] == [ToolState.UNKNOWN]


async def test_an_owner_that_dies_between_two_dispatches_leaves_a_reply_that_goes_on(domain: Domain) -> None:
    """Redis knows of one call that it is sent, and of the other that it is not."""
    room, gate = await asked(domain, 2)
    first = domain.pipeline.gates["dispatch_call"]
    domain.pipeline.gates["dispatch_call"] = asyncio.Event()
    gate.set()
    first.set()
    await settle()
    assert domain.pipeline.ran.count("dispatch_call") == 1
    await crash(room)
    del domain.pipeline.gates["dispatch_call"]
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    for _ in range(3):
        await domain.write_all()
        await passed(domain, SEND_WITHIN)
    careful = domain.model.tools != (WEATHER,)
    states = [call.state for call in calls_of(await reply_of(domain, other))]
    assert states == [ToolState.UNKNOWN if careful else ToolState.DONE, ToolState.DONE]
    assert len(domain.tools.calls) == (1 if careful else 2)
    assert (await finished(domain, other)).finish_reason is FinishReason.STOP


async def test_a_row_of_another_owner_allows_nothing(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis came back empty, and another owner of the reply has its version in the shard before this one wakes."""
    stored = InternalHistory.stored

    async def of_another(self: InternalHistory, room_id: RoomId, seq: int) -> MessageDoc | None:
        row = await stored(self, room_id, seq)
        return row and structs.replace(row, version=row.version + 10)

    monkeypatch.setattr(InternalHistory, "stored", of_another)
    room, gate = await asked(domain, 1)
    await domain.write_all()
    gate.set()
    await passed(domain)
    careful = domain.model.tools != (WEATHER,)
    assert len(domain.tools.calls) == (0 if careful else 1)
    (call,) = calls_of(await reply_of(domain, room))
    assert call.state is (ToolState.FAILED if careful else ToolState.DONE)
