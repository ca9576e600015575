"""Of all that can become of a call that waits, one does, the same everywhere (I26)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from parlor.errors import (
    AlreadyDecided,
    IllegalTransition,
    MessageNotFound,
    OutOfStep,
    ParlorError,
    RoomNotFound,
)
from parlor.model.states import MessageState
from parlor.model.tools import ToolState
from tests.contract.cache.fixtures import NOW, CacheFixtures
from tests.contract.cache.parked_replies import EDITED, SHOWN, WEEK, Parked, parked

pytestmark = pytest.mark.contract

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
