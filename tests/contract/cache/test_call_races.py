"""Of all that can become of a call that waits, one does, the same everywhere (I26)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from parlor.cache.queue import QueueEntry
from parlor.cache.records import decode_doc
from parlor.errors import (
    AlreadyDecided,
    IllegalTransition,
    MessageNotFound,
    OutOfStep,
    ParlorError,
    RoomNotFound,
)
from parlor.model.parts import ToolCallPart
from parlor.model.states import MessageState
from parlor.model.tools import ToolState
from tests.contract.cache.fixtures import NOW, CacheFixtures
from tests.contract.cache.parked_replies import EDITED, SHOWN, WEEK, Parked, parked

pytestmark = pytest.mark.contract

RACES = 1_000
AT_ONCE = 25
BECAME = {
    "approved": (ToolState.APPROVED, SHOWN),
    "edited": (ToolState.APPROVED, EDITED),
    "denied": (ToolState.DENIED, SHOWN),
    "expired": (ToolState.EXPIRED, SHOWN),
    "stopped": (ToolState.CANCELLED, SHOWN),
    "waiting": (ToolState.WAITING, SHOWN),
}
"""State and digest of the call, by what was done."""


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
        came = await asyncio.gather(*raced)
        queue = await fixtures.queued()
        for reply, outcome in zip(replies, came, strict=True):
            await _same_everywhere(reply, outcome, [entry for entry in queue if entry.address == reply.address])
        await asyncio.gather(*(_sent_if_allowed(*each) for each in zip(replies, came, strict=True)))
        outcomes.update(came)
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
    return outcome


async def _same_everywhere(reply: Parked, outcome: str, queued: list[QueueEntry]) -> None:
    """The document that readers get, the row on its way to the shard and what readers were told agree."""
    last = [entry for entry in queued if entry.seq == 2 and entry.op != "CHAT_USAGE_ADD"][-1]
    kept = (await reply.fixtures.hash("messages", reply.address)).get(b"d:2")
    types = await reply.fixtures.event_types(reply.address)
    if outcome == "deleted":
        assert (last.op, types[-1]) == ("CHAT_MESSAGE_DELETE", "message.deleted")
        assert kept is None or decode_doc(kept).parts is None
        return
    assert kept is not None
    assert last.doc == decode_doc(kept)
    (call,) = last.doc.parts or ()
    assert isinstance(call, ToolCallPart)
    state, digest = BECAME[outcome]
    assert (call.state, call.digest) == (state, digest), outcome
    if outcome == "stopped":
        assert types[-1] == "message.stopped"
        return
    events = await reply.fixtures.events(reply.address)
    told = [msgspec.json.decode(event[b"part"]) for event in events if event[b"type"] == b"message.part"]
    assert (told[-1]["state"], told[-1]["digest"]) == (state, digest), outcome


async def _sent_if_allowed(reply: Parked, outcome: str) -> None:
    sent = [digest for digest in (SHOWN, EDITED) if await _sent(reply, digest)]
    assert sent == {"approved": [SHOWN], "edited": [EDITED]}.get(outcome, []), outcome


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
