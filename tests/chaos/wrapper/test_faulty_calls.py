"""Each call to Redis and to MariaDB may be refused, go unheard, come twice or come late: nothing is lost by it (P1, P2,
P3, P5)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from parlor.settings import Settings
from parlor.store.migrations import migrate
from tests.chaos.call_rules import Calls
from tests.chaos.checker import check
from tests.chaos.history import Kind, Outcome, Recorder
from tests.chaos.wrapper.domain import TOOLS, Domain, DomainSettings
from tests.chaos.wrapper.injection import Rates
from tests.servers import Unavailable, private_mysql, private_redis, short_directory, skip_or_fail

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

SEEDS = int(os.environ.get("PARLOR_TEST_WRAPPER_SEEDS", "1"))
PEOPLE, ROOMS, STEPS = 8, 2, 30
REFUSED_WITHIN = 60.0
"""Seconds. Once through is enough for nine seeds of ten."""
PARTITIONS = 4
SEND_WITHIN = 2.0
BATCHES = {"batch_interval": 0.1, "batch_pause": 0.05, "batch_size": 10}
"""Small and often: more calls, more faults."""


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    with short_directory() as path:
        yield path


@pytest.fixture(scope="session")
def redis_url(directory: Path) -> Iterator[str]:
    try:
        with private_redis(directory) as url:
            yield url
    except Unavailable as error:
        skip_or_fail(str(error))


@pytest.fixture(scope="session")
def mysql_url(directory: Path) -> Iterator[str]:
    (directory / "m").mkdir()
    try:
        with private_mysql(directory / "m") as url:
            yield url
    except Unavailable as error:
        skip_or_fail(str(error))


def _settings(redis_url: str, mysql_url: str, seed: int) -> Settings:
    urls = tuple(SecretStr(mysql_url.replace("/parlor?", f"/w{seed}_{shard}?")) for shard in (1, 2))
    return DomainSettings.model_validate(
        {
            "redis": {"url": SecretStr(redis_url), "prefix": f"w{seed}"},
            "store": {"urls": urls, "partitions": PARTITIONS},
            "queue": {
                "batch_interval": 0.1,
                "batch_pause": 0.05,
                "lease_ttl": 1.0,
                "lease_wait": 0.3,
                "batch_size": 10,
            },
            # Nobody asks it: a parrot answers.
            "llm": {"base_url": "http://127.0.0.1:9/v1"},
            "rooms": {"reply_lease": 1.0, "max_attempts": 5, "approval_ttl": 5.0},
        }
    )


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
async def test_nothing_is_lost_by_calls_that_fail_or_come_twice(
    redis_url: str, mysql_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Those who wait for it would wait for most of the test.
    monkeypatch.setattr("parlor.rooms.tool_steps.SEND_WITHIN", SEND_WITHIN)
    settings = _settings(redis_url, mysql_url, seed)
    await migrate(settings.store)
    recorder = Recorder(None, time.monotonic, "town")
    domain = Domain(settings, Rates(), recorder, seed)
    await domain.open()
    try:
        domain.rage()
        # Owners and writers take from each other, and stand still for longer than a lease: some must be refused.
        async with asyncio.timeout(REFUSED_WITHIN):
            while not all(domain.tally.stale[what] for what in ("room", "batch")):
                await asyncio.gather(
                    *(domain.users.live_in(f"person-{number}", ROOMS, STEPS) for number in range(PEOPLE))
                )
        recorder.close()
        rooms = await domain.final_rooms()
    finally:
        await domain.close()
    assert check(recorder.operations, rooms, calls=Calls(TOOLS, domain.tools.runs, within=SEND_WITHIN)) == []
    assert domain.tools.runs
    assert any(operation.kind is Kind.DECIDE and operation.outcome is Outcome.OK for operation in recorder.operations)
    assert all(domain.counts[what] for what in ("refused", "unheard", "twice", "late", "stalled")), domain.counts
    assert domain.users.stale_copies
