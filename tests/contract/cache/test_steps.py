"""record_part, dispatch_call: calls of tools are steps of a reply, recorded in order, once, and only by its owner."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec import structs

from parlor.cache.changes import Appended, Dispatch, PartChange, Piece
from parlor.cache.live import RoomAddress
from parlor.errors import Fenced, IllegalTransition
from parlor.model.ids import MessageId
from parlor.model.parts import OPEN, Layout, ReasoningPart, ReasoningSpan, TextPart, TextSpan, ToolCallPart
from parlor.model.tools import ToolResult, ToolState
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, CacheFixtures, plain

pytestmark = pytest.mark.contract

CALL = ToolCallPart("c1", "weather", "Weather", '{"a":[],"n":1e+30}', "sha256:0", ToolState.APPROVED)
SENT = structs.replace(CALL, state=ToolState.RUNNING, attempts=1)
DONE = structs.replace(SENT, state=ToolState.DONE, result=ToolResult("Sun \u00e9"))


@dataclass
class Reply:
    address: RoomAddress
    turn: Appended
    message_id: MessageId


@pytest.fixture
async def reply(fixtures: CacheFixtures) -> Reply:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    return Reply(address, turn, await fixtures.start(address, turn))


def change(number: int, part: ToolCallPart = CALL) -> PartChange:
    return PartChange(number, 1, part, (TextSpan(2), part))


async def send(fixtures: CacheFixtures, reply: Reply, number: int, nonce: str = "n1") -> None:
    sent = structs.replace(change(number, SENT), dispatch=Dispatch("key", nonce, again=True))
    await fixtures.calls.dispatch(reply.address, CLAIM_1, reply.message_id, 2, 1, sent)


async def test_a_call_is_told_and_changes_in_place(fixtures: CacheFixtures, reply: Reply) -> None:
    record = fixtures.calls.record
    await fixtures.rooms.append_delta(reply.address, CLAIM_1, reply.message_id, 1, plain(0, "So"))
    await record(reply.address, CLAIM_1, reply.message_id, 2, 1, change(1))
    assert (await fixtures.page(reply.address)).live.shown == [TextPart("So"), CALL]
    await send(fixtures, reply, 2)
    await record(reply.address, CLAIM_1, reply.message_id, 2, 1, change(3, DONE))
    layout: Layout = (TextSpan(2), DONE, TextSpan(OPEN))
    piece = Piece(2, False, 2, 2, " it is", layout)
    await fixtures.rooms.append_delta(reply.address, CLAIM_1, reply.message_id, 1, piece)
    live = (await fixtures.page(reply.address)).live
    assert (live.content, live.shown) == ("So it is", [TextPart("So"), DONE, TextPart(" it is")])
    assert (await fixtures.event_types(reply.address))[2:] == [
        "message.delta", "message.part", "message.part", "message.part", "message.delta",
    ]  # fmt: skip


async def test_a_change_is_recorded_once_and_never_goes_back(fixtures: CacheFixtures, reply: Reply) -> None:
    record = fixtures.calls.record
    await record(reply.address, CLAIM_1, reply.message_id, 2, 1, change(1))
    await send(fixtures, reply, 2)
    await record(reply.address, CLAIM_1, reply.message_id, 2, 1, change(3, DONE))
    before = await fixtures.dump()
    for number, part in ((1, CALL), (3, DONE), (1, DONE)):
        await record(reply.address, CLAIM_1, reply.message_id, 2, 1, change(number, part))
    assert await fixtures.dump() == before


async def test_reasoning_that_ended_before_a_call_is_told_with_it(fixtures: CacheFixtures, reply: Reply) -> None:
    thought = ReasoningPart("hm", 9)
    piece = Piece(0, True, 0, 0, "hm", (ReasoningSpan(OPEN),))
    await fixtures.rooms.append_delta(reply.address, CLAIM_1, reply.message_id, 1, piece)
    step = PartChange(1, 1, CALL, (ReasoningSpan(2, 9), CALL), thought)
    await fixtures.calls.record(reply.address, CLAIM_1, reply.message_id, 2, 1, step)
    assert (await fixtures.page(reply.address)).live.shown == [thought, CALL]
    told = [(event[b"type"], event[b"index"]) for event in (await fixtures.events(reply.address))[3:]]
    assert told == [(b"message.part", b"0"), (b"message.part", b"1")]


async def test_only_the_live_attempt_of_the_owner_records(fixtures: CacheFixtures, reply: Reply) -> None:
    record = fixtures.calls.record
    before = await fixtures.dump()
    with pytest.raises(IllegalTransition):
        await record(reply.address, CLAIM_1, reply.message_id, 2, 2, change(1))
    with pytest.raises(Fenced):
        await record(reply.address, CLAIM_2, reply.message_id, 2, 1, change(1))
    assert await fixtures.dump() == before
    await fixtures.complete(reply.address, reply.turn)
    with pytest.raises(IllegalTransition):
        await record(reply.address, CLAIM_1, reply.message_id, 2, 1, change(1))


async def test_the_next_owner_is_told_which_attempt_recorded_the_last_step(
    fixtures: CacheFixtures, reply: Reply
) -> None:
    async def since() -> int:
        claimed = await fixtures.claim(reply.address.room_id, CLAIM_1)
        assert claimed is not None
        return claimed.live_since

    seq = reply.turn.seq + 1
    assert await since() == 0
    await fixtures.rooms.start_attempt(reply.address, CLAIM_1, reply.message_id, seq, 2)
    await fixtures.calls.record(reply.address, CLAIM_1, reply.message_id, 2, 2, change(1))
    assert await since() == 2
    await fixtures.rooms.start_attempt(reply.address, CLAIM_1, reply.message_id, seq, 3)
    assert await since() == 2, "the steps of the attempt before stand"
    failed = structs.replace(CALL, tool_call_id="c2", state=ToolState.FAILED)
    await fixtures.calls.record(reply.address, CLAIM_1, reply.message_id, 2, 3, change(1, failed))
    assert await since() == 3
    await fixtures.complete(reply.address, reply.turn)
    assert await since() == 0
