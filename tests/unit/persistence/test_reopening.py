"""A replica that lacked the newest goes on with what the primary had (I27)."""

from __future__ import annotations

import pytest

from parlor.errors import CacheUnavailable
from parlor.rooms.commands import Wake
from tests.fake_redis import FakeReplica, load_for_fakes
from tests.unit.domain import HOME, Domain, DomainMaker, crash
from tests.unit.persistence.writer_fixture import INTERVAL, started

pytestmark = pytest.mark.unit


@pytest.fixture
def domain(new_domain: DomainMaker, monkeypatch: pytest.MonkeyPatch) -> Domain:
    monkeypatch.setattr("parlor.cache.live.load", load_for_fakes)
    return new_domain(redis={"url": "redis+sentinel://127.0.0.1:9/primary"})


@pytest.fixture
def replica(domain: Domain) -> FakeReplica:
    return FakeReplica(domain.server)


async def test_a_reply_that_only_the_shard_knows_of_gets_an_owner(domain: Domain, replica: FakeReplica) -> None:
    room = domain.room(await domain.new_room())
    await started(domain)
    await domain.clock.advance(INTERVAL + 1)
    replica.replicate()
    receipt = await domain.send(room, "Hello")
    await domain.clock.advance(INTERVAL + 1)
    assert [row.seq for row in await domain.rows(room.room_id)] == [1, 2]
    await crash(room)
    replica.fail_over()
    with pytest.raises(CacheUnavailable):
        await domain.reader.overdue_rooms(HOME, 10)
    await domain.clock.advance(INTERVAL + 20)
    assert await domain.reader.overdue_rooms(HOME, 10) == [room.room_id]
    heir = domain.room(room.room_id)
    await heir.execute(Wake(None, room.room_id, "sweep", ticket=await domain.reader.claims(room.room_id)))
    assert receipt.reply is not None
    await domain.answer(-1, "Hello you")
    assert [text for _, text in await domain.texts(room.room_id)] == ["Hello", "Hello you"]
    assert await domain.reader.overdue_rooms(HOME, 10) == []
