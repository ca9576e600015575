"""A shard writer when Redis, the shard or another writer get in the way."""

from __future__ import annotations

from itertools import pairwise

import pytest

from parlor.model.ids import ShardId
from parlor.model.states import MessageState
from tests.unit.domain import Domain
from tests.unit.persistence.writer_fixture import INTERVAL, opened, started, states, stored

pytestmark = pytest.mark.unit


# The shard fails


async def test_nothing_is_lost_while_the_shard_is_down(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    domain.store.down = True
    for n in range(3):
        await domain.say(room, f"{n}")
        await domain.clock.advance(10)
    assert await domain.queued() == 3
    domain.store.down = False
    await domain.clock.advance(5 + INTERVAL)
    assert await stored(domain, room.room_id) == ["0", "1", "2"]
    assert await domain.queued() == 0
    assert set(await states(domain, room.room_id)) == {MessageState.SENT}


async def test_attempts_back_off_while_the_shard_is_down(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    await opened(domain)
    domain.store.down = True
    tried: list[float] = []
    check_shard = domain.store.check_shard

    async def counted(shard: ShardId) -> None:
        tried.append(domain.clock.monotonic())
        await check_shard(shard)

    monkeypatch.setattr(domain.store, "check_shard", counted)
    await started(domain)
    await domain.clock.advance(60)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[0] == pytest.approx(0.2)
    assert all(later > earlier - 0.001 for earlier, later in pairwise(pauses))
    assert pauses[-1] == pytest.approx(5)
    assert len(tried) < 20


async def test_stopping_ends_a_writer_whose_shard_is_down(domain: Domain) -> None:
    room = await opened(domain)
    writer = domain.writer()
    task = await started(domain, writer)
    domain.store.down = True
    await domain.say(room)
    await domain.clock.advance(30)
    await writer.stop()
    await domain.clock.advance(0.1)
    assert task.done()
    assert await domain.queued() == 1


# Redis fails


async def test_redis_down_delays_a_writer(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    await domain.say(room, "kept")
    domain.server.connected = False
    await domain.clock.advance(20)
    domain.server.connected = True
    await domain.clock.advance(INTERVAL + 6)
    assert await stored(domain, room.room_id) == ["kept"]
