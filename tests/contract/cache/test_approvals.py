"""park_reply, decide_call, dispatch_call: a call that waits for a person has one outcome, whoever comes when (I26)."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.errors import (
    AlreadyDecided,
    DigestMismatch,
    Fenced,
    IllegalTransition,
    MessageNotFound,
    OutOfStep,
)
from parlor.model.messages import MessageRow, Usage
from parlor.model.states import MessageState
from parlor.model.tools import ToolState
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, NOW, CacheFixtures
from tests.contract.cache.parked_replies import EDITED, SHOWN, WAITING, WEEK, Parked, begun, parked, parked_and_ended

pytestmark = pytest.mark.contract


@pytest.fixture
async def reply(fixtures: CacheFixtures) -> Parked:
    return await parked(fixtures)


async def test_a_parked_reply_is_open_needs_no_owner_and_is_queued_for_the_shard(reply: Parked) -> None:
    fixtures = reply.fixtures
    assert await fixtures.state(reply.address, 2) is MessageState.COMPOSING
    assert await reply.listed() == NOW + WEEK
    room = await fixtures.hash("room", reply.address)
    assert b"live" not in room
    claimed = await fixtures.claim(reply.address.room_id, CLAIM_2)
    assert claimed is not None
    assert (claimed.open_replies, claimed.parked) == ([reply.message_id], reply.message_id)
    row = (await fixtures.queued())[-1]
    assert (row.final, row.urgent) == (False, True)
    assert row.doc is not None
    assert row.doc.parts == (WAITING,)
    use = [entry for entry in await fixtures.queued() if entry.op == "CHAT_USAGE_ADD"]
    assert [entry.usage for entry in use] == [Usage(10, 5)]
    told = (await fixtures.events(reply.address))[-1]
    assert (told[b"type"], told[b"index"]) == (b"message.part", b"0")
    assert ("approval.requested", reply.address.room_id) in await fixtures.account_events(reply.address)


async def test_a_call_that_was_not_recorded_cannot_be_decided(fixtures: CacheFixtures) -> None:
    reply = await begun(fixtures)
    with pytest.raises(MessageNotFound):
        await reply.decide(ToolState.APPROVED)


async def test_an_approved_call_is_sent_once_with_one_key(reply: Parked) -> None:
    assert await reply.decide(ToolState.APPROVED)
    assert await reply.listed() == reply.fixtures.live.lease_until()
    await reply.wake()
    await reply.dispatch("n1")
    await reply.dispatch("n1")  # Its answer was lost.
    before = await reply.fixtures.dump()
    for again in (False, True):
        with pytest.raises(IllegalTransition):
            await reply.dispatch("n2", key="k2", again=again)
    with pytest.raises(IllegalTransition):
        await reply.dispatch("n2")
    assert await reply.fixtures.dump() == before
    await reply.dispatch("n2", again=True, row=False)
    assert await reply.known() == "running"


async def test_a_decision_is_about_the_arguments_that_it_names(reply: Parked) -> None:
    with pytest.raises(DigestMismatch) as mismatch:
        await reply.decide(ToolState.APPROVED, digest=EDITED)
    assert mismatch.value.extra == {"digest": SHOWN}
    await reply.decide(ToolState.APPROVED, new_digest=EDITED)
    await reply.wake()
    with pytest.raises(IllegalTransition):
        await reply.dispatch(digest=SHOWN)
    await reply.dispatch(digest=EDITED)


async def test_the_same_decision_again_is_the_same_another_is_refused(reply: Parked) -> None:
    assert await reply.decide(ToolState.APPROVED, "r1")
    before = await reply.fixtures.dump()
    assert not await reply.decide(ToolState.APPROVED, "r1")
    for to, request in ((ToolState.DENIED, "r2"), (ToolState.APPROVED, "r3")):
        with pytest.raises(AlreadyDecided) as decided:
            await reply.decide(to, request, version=6)
        assert decided.value.extra == {"state": "approved"}
    assert await reply.fixtures.dump() == before


async def test_a_denied_call_is_never_sent(reply: Parked) -> None:
    await reply.decide(ToolState.DENIED)
    await reply.wake()
    with pytest.raises(IllegalTransition):
        await reply.dispatch()


async def test_a_reply_waits_for_each_of_its_calls(fixtures: CacheFixtures) -> None:
    reply = await begun(fixtures)
    reply.calls = [WAITING, structs.replace(WAITING, tool_call_id="call_2")]
    await reply.park()
    await reply.decide(ToolState.DENIED, "r1")
    assert await reply.listed() == NOW + WEEK
    with pytest.raises(OutOfStep):
        await reply.decide(ToolState.APPROVED, "r2", at=1, version=4)
    await reply.decide(ToolState.APPROVED, "r2", at=1, version=6)
    assert await reply.listed() == fixtures.live.lease_until()


async def test_nobody_decides_after_the_end_of_the_waiting_and_nothing_expires_before(reply: Parked) -> None:
    with pytest.raises(AlreadyDecided):
        await reply.decide(ToolState.EXPIRED)
    reply.fixtures.clock.ms = NOW + WEEK
    with pytest.raises(AlreadyDecided) as late:
        await reply.decide(ToolState.APPROVED)
    assert late.value.extra == {"state": "expired"}
    assert await reply.decide(ToolState.EXPIRED)
    assert await reply.known() == "expired"


@pytest.mark.parametrize("end", ["stop", "delete"])
async def test_what_was_not_sent_by_the_end_is_cancelled(reply: Parked, end: str) -> None:
    await (reply.stop() if end == "stop" else reply.delete())
    assert await reply.known() is None
    assert await reply.listed() is None
    for attempt in (reply.decide(ToolState.APPROVED), reply.dispatch()):
        with pytest.raises((MessageNotFound, IllegalTransition)):
            await attempt


async def test_a_stop_that_did_not_see_the_decision_changes_nothing(reply: Parked) -> None:
    stale = structs.replace(WAITING)
    await reply.decide(ToolState.APPROVED)
    reply.calls, reply.version = [stale], 2
    before = await reply.fixtures.dump()
    await reply.stop()
    assert await reply.fixtures.dump() == before


async def test_what_waits_behind_a_deleted_reply_needs_an_owner(reply: Parked) -> None:
    await reply.fixtures.send(reply.address, 2)
    assert await reply.listed() == NOW + WEEK, "the turn behind it waits too"
    await reply.delete()
    assert await reply.listed() == NOW


async def test_only_the_owner_parks_and_decides(reply: Parked) -> None:
    with pytest.raises(Fenced):
        await reply.decide(ToolState.APPROVED, claim=CLAIM_2)


async def test_a_room_that_is_loaded_still_waits(reply: Parked) -> None:
    fixtures = reply.fixtures
    await fixtures.stored(reply.address)
    await fixtures.forget(reply.address.room_id)
    await fixtures.redis.delete(fixtures.keys.generating(fixtures.partition))
    tail = [fixtures.message_row(1), MessageRow(2, reply.row(WAITING, version=2), deleted=False)]
    await fixtures.rooms.load(reply.address, fixtures.room_row(reply.address, 2), tail, 2, 1)
    claimed = await fixtures.claim(reply.address.room_id, CLAIM_1)
    assert claimed is not None
    assert claimed.parked == reply.message_id
    assert await reply.listed() == NOW + WEEK
    assert await reply.decide(ToolState.APPROVED)


async def test_what_was_decided_is_known_after_a_cold_start(reply: Parked) -> None:
    fixtures = reply.fixtures
    await reply.decide(ToolState.DENIED)
    await fixtures.stored(reply.address)
    await fixtures.forget(reply.address.room_id)
    tail = [fixtures.message_row(1), MessageRow(2, reply.row(*reply.calls, version=4), deleted=False)]
    await fixtures.rooms.load(reply.address, fixtures.room_row(reply.address, 2), tail, 2, 1)
    await fixtures.claim(reply.address.room_id, CLAIM_1)
    assert not await reply.decide(ToolState.DENIED)
    with pytest.raises(AlreadyDecided):
        await reply.decide(ToolState.APPROVED, "r2", version=6)


# Results after the end


async def test_a_late_result_is_said_once_and_counts_nothing(fixtures: CacheFixtures) -> None:
    reply = await parked_and_ended(fixtures)
    await fixtures.stored(reply.address)
    before = await fixtures.events(reply.address)
    await reply.settle_late()
    await reply.settle_late()
    told = (await fixtures.events(reply.address))[len(before) :]
    assert [(event[b"type"], event[b"index"]) for event in told if event[b"type"] != b"message.sent"] == [
        (b"message.part", b"0")
    ]
    (entry,) = await fixtures.queued()
    assert (entry.recount, entry.final, entry.before, entry.doc and entry.doc.version) == (True, True, Usage(10, 5), 5)
    assert await fixtures.state(reply.address, 2) is MessageState.PENDING
    await fixtures.stored(reply.address)
    assert await fixtures.state(reply.address, 2) is MessageState.SENT


async def test_a_late_result_changes_nothing_else(fixtures: CacheFixtures) -> None:
    open_reply, gone, ended = await parked(fixtures), await parked_and_ended(fixtures), await parked_and_ended(fixtures)
    await gone.delete()
    for reply in (open_reply, gone):
        before = await fixtures.dump()
        with pytest.raises(AlreadyDecided):
            await reply.settle_late()
        assert await fixtures.dump() == before
    with pytest.raises(OutOfStep):
        await ended.settle_late(past=1, version=7)
