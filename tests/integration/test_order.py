"""Many clients at once: one order in each room, the same everywhere (P1, P2)."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import httpx2
import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.model.ids import RoomId, home_of
from tests.installation import Installation
from tests.integration.shards import Shards
from tests.integration.user import Json, User, of
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

ROOMS = 20
CLIENTS = 20
EACH = 50
"""Messages of one client."""
STORED, BATCHES = "ray_parlor_operations_stored_total", "ray_parlor_batch_operations_count"


@pytest.fixture
async def rooms(user: User) -> list[str]:
    return [await user.create_room(f"Room {number}") for number in range(ROOMS)]


async def test_a_thousand_messages_have_one_order_everywhere(
    user: User, rooms: list[str], redis: Redis, keys: Keys, shards: Shards
) -> None:
    acknowledged: dict[str, dict[int, str]] = {room: {} for room in rooms}

    async def talk(client: int) -> None:
        for number in range(EACH):
            # Every client visits every room, so that a room hears many at once.
            room = rooms[(client + number) % ROOMS]
            message = await user.note(room, f"client {client} says {number}")
            assert message["seq"] not in acknowledged[room]
            acknowledged[room][message["seq"]] = message["message_id"]

    reading = asyncio.create_task(_page_while_others_send(user, rooms[0]))
    await asyncio.gather(*(talk(client) for client in range(CLIENTS)))
    await reading

    assert sum(len(found) for found in acknowledged.values()) == CLIENTS * EACH
    begun: list[str] = []
    for room in rooms:
        order = [message for _, message in sorted(acknowledged[room].items())]
        assert sorted(acknowledged[room]) == list(range(1, len(order) + 1))
        held = await eventually(partial(_states, redis, keys.states(home_of(RoomId(room)), RoomId(room))), _all_sent)
        assert [row.message_id for row in await shards.messages(room)] == order
        history = await user.history(room)
        assert [(found["seq"], found["message_id"]) for found in history] == list(enumerate(order, 1))
        # "<at>,PENDING,PROCESSING,writer;": those of one batch were begun in the same millisecond.
        begun += [held[f"l:{seq}"].split(";")[1].split(",")[0] for seq in range(1, len(order) + 1)]
        assert (await user.get(of(room)))["persisted_seq"] == len(order)
    # All rooms are of one account, so of one partition: a writer takes them together.
    assert len(begun) / len(Counter(begun)) > 3, f"{len(Counter(begun))} batches for {len(begun)} messages"


async def _states(redis: Redis, key: str) -> dict[str, str]:
    return {str(field): str(value) for field, value in (await redis.hgetall(key)).items()}


def _all_sent(held: dict[str, str]) -> bool:
    return {state for field, state in held.items() if field.startswith("s:")} == {"SENT"}


async def _page_while_others_send(user: User, room: str) -> None:
    """Reads forwards in small pages until the room is quiet; nothing may be skipped or come twice."""
    seqs: list[int] = []
    while len(seqs) < EACH:
        page = await user.messages(room, limit=7, after=seqs[-1] if seqs else 0)
        assert len(page["messages"]) <= 7
        seqs += [message["seq"] for message in page["messages"]]
        if not page["messages"]:
            await asyncio.sleep(0.02)
    assert seqs == list(range(1, EACH + 1))


async def test_pages_backwards_do_not_shift_while_others_send(user: User) -> None:
    room = await user.create_room()
    for number in range(1, 31):
        await user.note(room, f"line {number}")

    async def more() -> None:
        for number in range(31, 61):
            await user.note(room, f"line {number}")

    sending = asyncio.create_task(more())
    page = await user.messages(room, limit=7)
    newest = page["messages"][-1]["seq"]
    found: list[Json] = page["messages"]
    while page["has_more"]:
        page = await user.messages(room, limit=7, before=page["next_before"])
        found = page["messages"] + found
    await sending

    assert page["next_before"] is None
    assert [message["seq"] for message in found] == list(range(1, newest + 1))
    assert [message["content"] for message in found] == [f"line {n}" for n in range(1, newest + 1)]


async def test_sends_of_one_client_keep_their_order_though_replies_are_slow(user: User) -> None:
    room = await user.create_room()
    first = await user.send(room, "[[tokens=5 delay=50ms]]")
    second = await user.send(room, "and [[text=second]]")
    third = await user.send(room, "then [[text=third]]")

    assert [sent["message"]["seq"] for sent in (first, second, third)] == [1, 3, 5]
    assert [sent["reply"]["seq"] for sent in (first, second, third)] == [2, 4, 6]
    history = await eventually(
        lambda: user.history(room), lambda found: not any(each["is_streaming"] for each in found)
    )
    assert [message["content"] for message in history[3::2]] == ["second", "third"]


async def test_metrics_tell_how_large_batches_are(user: User, installation: Installation) -> None:
    room = await user.create_room()
    await asyncio.gather(*(user.note(room, f"note {number}") for number in range(20)))
    await user.note(room, "last", persisted=True)

    async def counted() -> Counter[str]:
        """By name, over all actors."""
        addresses = (installation.runtime_dir / "ray" / "prom_metrics_service_discovery.json").read_text()
        found: Counter[str] = Counter()
        async with httpx2.AsyncClient(timeout=5) as http:
            for address in addresses.split('"targets": ["')[1].split('"]')[0].split('", "'):
                for line in (await http.get(f"http://{address}/metrics")).text.splitlines():
                    series, _, value = line.rpartition(" ")
                    if (name := series.split("{")[0]) in (STORED, BATCHES):
                        found[name] += int(float(value))
        return found

    # Ray gathers its metrics every few seconds.
    found = await eventually(counted, lambda found: found[STORED] >= 21, seconds=30)
    assert 1 <= found[BATCHES] <= found[STORED]
