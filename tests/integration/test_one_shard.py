"""One shard answers nothing: its rooms go on from Redis, and the other shards' people notice nothing (P1, P7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import median
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.model.ids import RoomId
from parlor.store.addresses import MySqlAddress
from tests.installation import Installation
from tests.integration.room_keys import EVERYTHING, names
from tests.integration.shards import Shards
from tests.integration.user import PERSISTED, User, of, signed_in
from tests.integration.waiting import eventually
from tests.mysql import connect_mysql

pytestmark = pytest.mark.integration

KINDS = ("private",)
LAST = True
SICK = 2
"""The shard; the first one has the global database beside it."""
TABLES = ("rooms", "messages", "message_versions", "partition_progress")
TIMES = 25
SLOWER = 2.0
"""What the others' median may come to, times what it is in calm; or ``FLOOR``, below which it is all noise."""
FLOOR = 0.05


@asynccontextmanager
async def _standing_still(address: MySqlAddress) -> AsyncIterator[None]:
    """Whoever asks the shard for anything waits. Its neighbours on the same server are not touched."""
    link = await connect_mysql(address)
    try:
        async with link.cursor() as cursor:
            await cursor.execute(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in TABLES)}")
        yield
    finally:
        await link.ensure_closed()


async def _medians(user: User, room: str) -> dict[str, float]:
    """Seconds of a send, a commit that is waited for, and a page."""

    async def timed(ask: Callable[[], Awaitable[object]], times: int) -> float:
        took = []
        for _ in range(times):
            began = time.monotonic()
            await ask()
            took.append(time.monotonic() - began)
        return median(took)

    return {
        "send": await timed(partial(user.note, room, "note"), TIMES),
        "persisted": await timed(partial(user.note, room, "kept", persisted=True), TIMES // 5),
        "page": await timed(partial(user.messages, room), TIMES),
    }


async def test_the_other_shards_do_not_notice(
    installation: Installation, shards: Shards, redis: Redis, keys: Keys
) -> None:
    sick_address = installation.shards[SICK - 1]
    assert isinstance(sick_address, MySqlAddress)
    async with AsyncExitStack() as stack:
        users: dict[int, tuple[User, str, str]] = {}
        while not {1, SICK} <= users.keys():
            user = await stack.enter_async_context(signed_in(installation, f"resident-{uuid4().hex}"))
            warm, cold = await user.create_room("warm"), await user.create_room("cold")
            for room in (warm, cold):
                await user.note(room, "before", persisted=True)
            stored = await shards.room(warm)
            assert stored is not None
            users[stored.shard] = (user, warm, cold)
        neighbour, warm, cold = users[1]
        patient, sick_warm, sick_cold = users[SICK]
        calm = await _medians(neighbour, warm)

        async with _standing_still(sick_address):
            for room in (cold, sick_cold):
                await redis.delete(*names(keys, RoomId(room), *EVERYTHING))
            asked = asyncio.create_task(patient.http.get(f"{of(sick_cold)}/messages"))
            kept = asyncio.create_task(
                patient.http.post(
                    f"{of(sick_warm)}/messages", json={"content": "meanwhile", "reply": "none"}, headers=PERSISTED
                )
            )
            meanwhile = await _medians(neighbour, warm)
            assert [found["content"] for found in await neighbour.history(cold)] == ["before"]
            await patient.note(sick_warm, "also meanwhile")
            said = await patient.history(sick_warm)
            refused = [await asked, await kept]

        assert {kind: meanwhile[kind] < max(SLOWER * calm[kind], FLOOR) for kind in calm} == dict.fromkeys(
            calm, True
        ), (
            calm,
            meanwhile,
        )
        assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(503, "store-unavailable")] * 2
        assert sorted(found["content"] for found in said) == ["also meanwhile", "before", "meanwhile"]
        rows = await eventually(lambda: shards.messages(sick_warm), lambda rows: len(rows) == 3, 40)
        assert [row.content for row in rows] == [found["content"] for found in said]
        assert [found["content"] for found in await patient.history(sick_cold)] == ["before"]
