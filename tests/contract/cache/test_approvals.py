"""park_reply, decide_call, dispatch_call: a call that waits for a person has one outcome, whoever comes when (I26)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from msgspec import structs

from parlor.cache.changes import Appended, CallChange, Dispatch, LateCall, Parking, PartChange
from parlor.cache.live import RoomAddress
from parlor.errors import (
    AlreadyDecided,
    DigestMismatch,
    Fenced,
    IllegalTransition,
    MessageNotFound,
    OutOfStep,
    ParlorError,
    RoomNotFound,
)
from parlor.model.ids import MessageId
from parlor.model.messages import FinishReason, MessageDoc, MessageRow, SenderType, Usage
from parlor.model.parts import ToolCallPart
from parlor.model.states import MessageState
from parlor.model.tools import ToolState
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, NOW, CacheFixtures

pytestmark = pytest.mark.contract

WEEK = 7 * 86_400_000
SHOWN = "sha256:" + "0" * 64
EDITED = "sha256:" + "1" * 64
WAITING = ToolCallPart(
    "call_1", "pay", "Pay", '{"to":"Eve","sum":1e+30,"list":[]}', SHOWN, ToolState.WAITING, "required",
    expires_at=NOW + WEEK,
)  # fmt: skip


@dataclass
class Parked:
    """A reply at seq 2 whose calls wait."""

    fixtures: CacheFixtures
    address: RoomAddress
    turn: Appended
    message_id: MessageId
    calls: list[ToolCallPart] = field(default_factory=lambda: [WAITING])
    version: int = 2

    def row(self, *calls: ToolCallPart, version: int) -> MessageDoc:
        return MessageDoc(self.message_id, SenderType.AI, "", NOW, version=version, attempt=1, parts=calls, parked=True)

    async def park(self, *, attempt: int = 1) -> None:
        doc = self.row(*self.calls, version=2)
        parking = Parking(doc, NOW + WEEK, list(enumerate(self.calls)), Usage(10, 5), 3)
        await self.fixtures.calls.park(self.address, CLAIM_1, 2, attempt, parking)

    async def decide(
        self,
        to: ToolState,
        request: str = "r1",
        *,
        digest: str = SHOWN,
        new_digest: str | None = None,
        version: int = 4,
        at: int = 0,
        claim: object = CLAIM_1,
    ) -> bool:
        if to is ToolState.EXPIRED:
            request = "-"
        part = structs.replace(self.calls[at], state=to, request=request, digest=new_digest or self.calls[at].digest)
        calls = [*self.calls[:at], part, *self.calls[at + 1 :]]
        still = any(call.waits for call in calls)
        change = CallChange(2, 1, digest, at, part, self.row(*calls, version=version), "", still_waits=still)
        done = await self.fixtures.calls.decide(self.address, claim, change)  # type: ignore[arg-type]
        self.calls, self.version = calls, version
        return done

    async def wake(self) -> None:
        await self.fixtures.rooms.start_attempt(
            self.address, CLAIM_1, self.message_id, 2, 1, version=self.version + 1, woken=True
        )

    async def dispatch(
        self, nonce: str = "n1", *, key: str = "k1", again: bool = False, digest: str | None = None, row: bool = True
    ) -> None:
        part = structs.replace(self.calls[0], state=ToolState.RUNNING, digest=digest or self.calls[0].digest)
        doc = self.row(part, version=self.version + 2) if row else None
        change = PartChange(1, 0, part, (part,), dispatch=Dispatch(key, nonce, again, doc))
        await self.fixtures.calls.dispatch(self.address, CLAIM_1, self.message_id, 2, 1, change)

    async def stop(self) -> None:
        calls = tuple(structs.replace(call, state=ToolState.CANCELLED) for call in self.calls)
        doc = structs.replace(self.row(*calls, version=self.version + 1), finish_reason=FinishReason.STOPPED)
        await self.fixtures.rooms.complete_reply(
            self.address, CLAIM_1, 2, doc, "message.stopped", before=Usage(10, 5), withdrawn=calls
        )

    async def delete(self) -> None:
        tombstone = MessageDoc(self.message_id, SenderType.AI, "", NOW)
        await self.fixtures.states.delete_message(self.address, CLAIM_1, 2, tombstone, stored=False, by="account")

    async def settle_late(self, *, past: int = 3, version: int = 5) -> None:
        part = structs.replace(self.calls[0], state=ToolState.DONE)
        doc = structs.replace(self.row(part, version=version), finish_reason=FinishReason.STOPPED, usage=Usage(10, 5))
        await self.fixtures.calls.settle_late(self.address, CLAIM_1, LateCall(2, past, 0, part, doc))

    async def known(self) -> str | None:
        """How far the call has come, by Redis."""
        found = (await self.fixtures.hash("states", self.address)).get(b"c:call_1")
        return found.split(b" ")[0].decode() if found else None

    async def listed(self) -> int | None:
        """Until when the room needs no owner."""
        key = self.fixtures.keys.generating(self.fixtures.partition)
        found = await self.fixtures.redis.zscore(key, self.address.room_id)
        return None if found is None else int(found)


async def begun(fixtures: CacheFixtures) -> Parked:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    return Parked(fixtures, address, turn, await fixtures.start(address, turn))


async def parked(fixtures: CacheFixtures) -> Parked:
    reply = await begun(fixtures)
    await reply.park()
    return reply


async def parked_and_ended(fixtures: CacheFixtures) -> Parked:
    reply = await parked(fixtures)
    await reply.stop()
    return reply


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


# Races

RACES = 1_000
AT_ONCE = 25


async def test_of_all_that_can_become_of_a_call_one_does(
    fixtures: CacheFixtures, request: pytest.FixtureRequest
) -> None:
    """Approve, deny, edit, stop, delete and expiry of one call at once, in any order, each as if it had seen the call
    waiting; then whoever may sends it."""
    fixtures.live.twice = False
    outcomes: set[str] = set()
    # All of them where it is the real thing; a thousand scripts of the fake take as long as the rest of this suite.
    races = RACES if "redis7" in request.node.name else RACES // 5
    for first in range(0, races, AT_ONCE):
        fixtures.clock.ms = NOW
        replies = [await parked(fixtures) for _ in range(AT_ONCE)]
        if random.Random(first).random() < 0.5:
            fixtures.clock.ms = NOW + WEEK
        raced = [_raced(reply, random.Random(first + at)) for at, reply in enumerate(replies)]
        outcomes.update(await asyncio.gather(*raced))
        await fixtures.redis.xtrim(fixtures.keys.queue(fixtures.partition), maxlen=0)
    assert outcomes >= {"approved", "denied", "edited", "stopped", "deleted", "expired"}


async def _raced(reply: Parked, chance: random.Random) -> str:
    def seen() -> Parked:
        return structs_copy(reply)

    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "approved": lambda: seen().decide(ToolState.APPROVED, "approve"),
        "denied": lambda: seen().decide(ToolState.DENIED, "deny"),
        "edited": lambda: seen().decide(ToolState.APPROVED, "edit", new_digest=EDITED),
        "expired": lambda: seen().decide(ToolState.EXPIRED),
        "stopped": seen().stop,
        "deleted": seen().delete,
    }
    order = chance.sample(sorted(ways), chance.randint(2, len(ways)))
    done: list[str] = []

    async def take(way: str) -> None:
        try:
            await ways[way]()
        except (AlreadyDecided, OutOfStep, MessageNotFound, IllegalTransition):
            return
        done.append(way)

    await asyncio.gather(*map(take, order))
    decided = [way for way in done if way not in ("stopped", "deleted")]
    assert len(decided) <= 1, done
    state = await reply.fixtures.state(reply.address, 2)
    # A stop that had not seen the decision did nothing. Too late for a decision, or too early to expire: it waits.
    outcome = decided[0] if decided else "stopped" if "stopped" in done else "waiting"
    if state is MessageState.DELETED:
        outcome = "deleted"
    assert (state is MessageState.COMPOSING) == (outcome not in ("stopped", "deleted")), (done, state)
    sent = [digest for digest in (SHOWN, EDITED) if await _sent(reply, digest)]
    assert sent == {"approved": [SHOWN], "edited": [EDITED]}.get(outcome, []), (outcome, done)
    return outcome


async def _sent(reply: Parked, digest: str) -> bool:
    try:
        await structs_copy(reply, version=4).wake()
        await structs_copy(reply, version=4).dispatch(digest=digest)
    except (IllegalTransition, RoomNotFound):
        return False
    except ParlorError as error:
        raise AssertionError(error) from error
    return True


def structs_copy(reply: Parked, version: int = 2) -> Parked:
    return Parked(reply.fixtures, reply.address, reply.turn, reply.message_id, list(reply.calls), version)
