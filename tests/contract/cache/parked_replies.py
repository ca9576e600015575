"""Replies whose calls wait for a person."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import structs

from parlor.cache.changes import Appended, CallChange, Dispatch, LateCall, Parking, PartChange
from parlor.cache.live import RoomAddress
from parlor.model.ids import MessageId
from parlor.model.messages import FinishReason, MessageDoc, SenderType, Usage
from parlor.model.parts import ToolCallPart
from parlor.model.tools import ToolState
from tests.contract.cache.fixtures import CLAIM_1, NOW, CacheFixtures

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
