"""Everything that can become of one call, asked for at once at two front doors: one does, the same everywhere (I26)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator

import httpx2
import pytest

from tests.integration.test_tools import Waiting, asked
from tests.integration.user import Json, User, of
from tests.tools import ToolService, tools_serving

pytestmark = pytest.mark.integration

RACES = 24
DECISIONS: dict[str, Json] = {
    "approved": {"decision": "approve"},
    "edited": {"decision": "approve", "arguments": {"to": "Bob", "sum": 1}},
    "denied": {"decision": "deny"},
}
FOLLOWS = {
    "approved": {"done", "failed", "cancelled", "unknown"},
    "edited": {"done", "failed", "cancelled", "unknown"},
    "denied": {"denied"},
}
"""What a call is in the end that was decided so; a stop may come in between."""
ALLOWED = {"already-decided", "message-not-found", "digest-mismatch"}
"""What the others may be answered with."""


@pytest.fixture
def service() -> Iterator[ToolService]:
    with tools_serving() as served:
        yield served


class Race:
    """One call that waits, and whoever is at it."""

    def __init__(self, waits: Waiting, users: list[User], chance: random.Random) -> None:
        self.waits, self.users, self.chance = waits, users, chance

    async def run(self) -> list[str]:
        """Who was told that it is done."""
        ways = ["approved", "edited", "denied", "stopped", "deleted"]
        taking = self.chance.sample(ways, self.chance.randint(2, len(ways)))
        answers = await asyncio.gather(*(self._take(way)() for way in taking))
        for way, answer in zip(taking, answers, strict=True):
            assert answer.status_code < 300 or answer.json()["code"] in ALLOWED, (way, answer.text)
        return [way for way, answer in zip(taking, answers, strict=True) if answer.status_code < 300]

    def _take(self, way: str) -> Callable[[], Awaitable[httpx2.Response]]:
        http, waits = self.chance.choice(self.users).http, self.waits
        message = f"{of(waits.room)}/messages/{waits.message}"
        if way == "stopped":
            return lambda: http.post(f"{message}/stop")
        if way == "deleted":
            return lambda: http.delete(message)
        body = {"digest": waits.part["digest"], **DECISIONS[way]}
        return lambda: http.post(f"{waits.path}/{waits.part['tool_call_id']}/decision", json=body)


async def test_of_all_that_can_become_of_a_call_one_does_everywhere(
    user: User, elsewhere: User, service: ToolService
) -> None:
    outcomes: set[str] = set()
    for number in range(RACES):
        args = f'{{"to":"Eve","sum":{number}}}'
        waits = await asked(user, "Clerk", f"[[call=pay args={args}]]")
        service.requests.clear()
        done = await Race(waits, [user, elsewhere], random.Random(number)).run()
        outcomes.add(await outcome(user, waits, done, service, args.encode()))
    assert len(outcomes) >= 3, "not always the same one comes first"


async def outcome(user: User, waits: Waiting, done: list[str], service: ToolService, shown: bytes) -> str:
    decided = [way for way in done if way in DECISIONS]
    assert len(decided) <= 1, done
    async with user.events(of(waits.room), after=waits.cursor) as reader:
        ends = ("message.completed", "message.failed", "message.stopped", "message.deleted")
        events = await reader.until(*ends)
    deleted = "deleted" in done
    message = await user.http.get(f"{of(waits.room)}/messages/{waits.message}")
    if not deleted:
        (part,) = (part for part in message.json()["parts"] if part["type"] == "tool_call")
        assert part in events[-1].data["message"]["parts"], "the events and the page agree"
        state, digest = part["state"], part["digest"]
        assert (digest == waits.part["digest"]) == (decided != ["edited"])
        assert state in (FOLLOWS[decided[0]] if decided else {"cancelled"}), (done, state)
    bodies = [body for _, _, body in service.requests]
    bytes_of = {"approved": shown, "edited": b'{"sum":1,"to":"Bob"}'}
    assert len(bodies) <= 1
    for body in bodies:
        assert decided, done
        assert sorted(body) == sorted(bytes_of[decided[0]])
    return "deleted" if deleted else decided[0] if decided else "stopped"
