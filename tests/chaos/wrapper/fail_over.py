"""Redis fails over, under load, to a replica that lacks the newest: what was acknowledged and not stored may be lost,
and nothing else (P1, P2, P3, P5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from parlor.settings import Settings
from parlor.store.addresses import store_addresses
from parlor.store.migrations import migrate
from tests.chaos.call_rules import Calls
from tests.chaos.checker import Lost, check
from tests.chaos.history import Recorder
from tests.chaos.system.rows import StoredRoom, stored_rooms
from tests.chaos.wrapper.domain import TOOLS, Domain, DomainSettings
from tests.chaos.wrapper.injection import Rates
from tests.redis_groups import Group, Node, cluster_group, cut_off, sentinel_group, until
from tests.servers import Unavailable, skip_or_fail, valkey_program

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

PEOPLE, ROOMS, STEPS = 6, 2, 60
SEND_WITHIN = 2.0
BEHIND_SECONDS = 0.8
CALM_WITHIN = 30.0
"""Seconds until something is stored."""
BEHIND_BYTES = 1000
"""Some operations: pings alone come to a fraction of it."""
HEALED_WITHIN = 60.0
REPLICATED_WITHIN = 0.5
"""Seconds in which a replica that hears its primary has what was acknowledged."""
ARRANGEMENTS: dict[str, Callable[[], AbstractContextManager[Group]]] = {
    "sentinel-redis7": sentinel_group,
    "cluster-valkey9": lambda: cluster_group(valkey_program()),
}


def _settings(url: str, directory: Path) -> Settings:
    return DomainSettings.model_validate(
        {
            "redis": {"url": SecretStr(url)},
            "store": {"urls": (SecretStr(f"sqlite:///{directory}/shard.db"),), "partitions": 12},
            # Long enough that there is something which is not stored.
            "queue": {"batch_interval": 1.0, "batch_pause": 0.5, "lease_ttl": 3.0, "lease_wait": 0.5},
            "llm": {"base_url": "http://127.0.0.1:9/v1"},
            "rooms": {"reply_lease": 1.0, "max_attempts": 5, "approval_ttl": 5.0},
        }
    )


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
async def test_a_fail_over_loses_what_was_not_stored_and_nothing_else(
    arrangement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlor.rooms.tool_steps.SEND_WITHIN", SEND_WITHIN)
    with ExitStack() as stack:
        try:
            group = stack.enter_context(ARRANGEMENTS[arrangement]())
        except Unavailable as error:
            skip_or_fail(str(error))
        settings = _settings(group.url, tmp_path)
        await migrate(settings.store)
        recorder = Recorder(None, time.monotonic, "town")
        domain = Domain(settings, Rates(), recorder, 1)
        await domain.open()
        try:
            async with asyncio.TaskGroup() as people:
                for number in range(PEOPLE):
                    people.create_task(domain.users.live_in(f"person-{number}", ROOMS, STEPS))
                async with asyncio.timeout(CALM_WITHIN):
                    while not any(room.rows for room in await _stored(settings)):  # noqa: ASYNC110 - as below
                        await asyncio.sleep(0.1)
                lost, before, behind = await _fail_over(group, domain, settings)
            recorder.close()
            rooms = await domain.final_rooms()
        finally:
            await domain.close()
    operations = recorder.operations
    calls = Calls(TOOLS, domain.tools.runs, within=SEND_WITHIN)
    assert check(operations, rooms, [lost], calls=calls) == []
    # A replica that lacked nothing would show that nothing was tested.
    assert behind > BEHIND_BYTES
    # Without any allowance: what was stored when the primary died is where it was.
    now = {(room.room, row.seq): row.message_id for room in rooms for row in room.rows}
    assert before
    assert before.items() <= now.items()


async def _fail_over(group: Group, domain: Domain, settings: Settings) -> tuple[Lost, dict[tuple[str, int], str], int]:
    """Also returns what was stored when the primary was killed, and how many bytes its replica lacked."""
    primary = await asyncio.to_thread(lambda: max(group.primaries, key=Node.offset))
    replicas = await asyncio.to_thread(group.replicas_of, primary)
    since = time.monotonic() - REPLICATED_WITHIN
    try:
        await asyncio.to_thread(cut_off, primary, replicas)
        heard = await asyncio.to_thread(primary.offset)
        await asyncio.sleep(BEHIND_SECONDS)
        behind = await asyncio.to_thread(primary.offset) - heard
        await asyncio.to_thread(primary.kill)
        rooms = await _stored(settings)
    finally:
        for node in replicas:
            node.wake()
    await asyncio.to_thread(until, lambda: any(node in group.primaries for node in replicas), "one is promoted")
    await asyncio.to_thread(primary.start)
    async with asyncio.timeout(HEALED_WITHIN):
        while not await domain.opened():  # noqa: ASYNC110 - by writers, which tell nobody
            await asyncio.sleep(0.05)
    stored = {(room.room, row.seq): row.message_id for room in rooms for row in room.rows}
    return Lost(since, time.monotonic()), stored, behind


async def _stored(settings: Settings) -> list[StoredRoom]:
    return await stored_rooms(list(store_addresses(settings.store).shards.values()))
