"""Each server that Parlor depends on is reported as ok, or with what is wrong."""

from __future__ import annotations

import pytest

from parlor.errors import StoreUnavailable
from parlor.model.ids import ShardId
from parlor.model.requests import DependencyHealth
from parlor.reading.health import Dependencies
from tests.unit.domain import Domain

pytestmark = pytest.mark.unit


async def test_every_server_that_answers_is_well(domain: Domain) -> None:
    found = await Dependencies(domain.live, domain.store).health()
    shards = [f"store:shard{shard}" for shard in domain.store.shard_ids()]
    assert [health.name for health in found] == ["cache", "store:global", *shards]
    assert all(health == DependencyHealth(health.name, True, "ok") for health in found)


async def test_a_redis_that_is_down_is_named_and_the_shards_are_not(domain: Domain) -> None:
    domain.server.connected = False
    found = {health.name: health for health in await Dependencies(domain.live, domain.store).health()}
    assert [name for name, health in found.items() if not health.ok] == ["cache"]
    assert found["cache"].detail


async def test_a_shard_that_is_down_is_named_with_the_reason(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ping(shard: ShardId | None) -> None:
        if shard == 2:
            raise StoreUnavailable("gone fishing")

    monkeypatch.setattr(domain.store, "ping", ping)
    found = await Dependencies(domain.live, domain.store).health()
    assert [health for health in found if not health.ok] == [DependencyHealth("store:shard2", False, "gone fishing")]
