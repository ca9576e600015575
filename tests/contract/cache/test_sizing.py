"""docs/SIZING.md says what a room costs in Redis."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parlor.cache.connection import Answer
from parlor.cache.live import RoomAddress
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures

pytestmark = pytest.mark.contract

PAGE = Path(__file__).parents[3] / "docs/SIZING.md"
KINDS = ("room", "message", "state", "event", "key", "queued")
TOLERANCE = 0.25
MESSAGES = 50
"""As many as the fixtures' settings keep of a room."""


def costs() -> dict[str, tuple[float, float]]:
    """The bytes of each thing, and for each byte of its text."""
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (float(fixed), float(each)) for name, fixed, each in rows}


def test_the_formula_is_that_of_the_table() -> None:
    found = costs()
    assert tuple(found) == KINDS
    [formula] = re.findall(r"^ {4}(\d+ \+ min.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    numbers = [float(number) for number in re.findall(r"[\d.]+", formula)]
    message, event = found["message"], found["event"]
    assert numbers == [found["room"][0], 200, *message, 2000, found["state"][0], *event, found["key"][0]]


async def used(fixtures: CacheFixtures, *keys: str) -> int:
    sizes: list[Answer] = [await fixtures.redis.memory_usage(key, samples=0) for key in keys]
    return sum(size or 0 for size in sizes)


async def measured(fixtures: CacheFixtures, address: RoomAddress, text: int) -> dict[str, float]:
    """What a room with messages of such a length costs, by kind: of the room all, of the others each."""
    queue = fixtures.keys.queue(fixtures.partition)
    empty = await used(fixtures, queue)
    for after in range(MESSAGES):
        turn = fixtures.turn("x" * text, reply=False, key=f"{address.room_id}-{after}")
        await fixtures.rooms.append(address, CLAIM_1, after, turn)
    queued = await used(fixtures, queue) - empty
    await fixtures.stored(address)
    names = [name.decode() async for name in fixtures.redis.scan_iter(match=f"{fixtures.prefix}:*:idempotency:*")]
    kept = {"message": "messages", "state": "states", "event": "events"}
    each = {kind: await used(fixtures, fixtures.key(key, address)) / MESSAGES for kind, key in kept.items()}
    room = await used(fixtures, fixtures.key("room", address))
    return {"room": room, **each, "key": await used(fixtures, *names) / len(names), "queued": queued / MESSAGES}


@pytest.mark.parametrize("text", [100, 500, 2000])
async def test_a_room_costs_what_the_page_says(server_fixtures: CacheFixtures, text: int) -> None:
    server_fixtures.live.twice = False
    found = await measured(server_fixtures, await server_fixtures.claimed(), text)
    said = {kind: fixed + each * text for kind, (fixed, each) in costs().items()}
    print({kind: f"{found[kind]:.0f} said {said[kind]:.0f}" for kind in KINDS})
    assert found == {kind: pytest.approx(said[kind], rel=TOLERANCE) for kind in KINDS}
