"""create_room: a room is everywhere or nowhere."""

from __future__ import annotations

import pytest

from parlor.cache.creations import Stored
from parlor.errors import IdempotencyMismatch, LimitReached, Overloaded, PartitionUnknown, RoomNotFound
from parlor.model.ids import AccountId, RoomId
from parlor.model.requests import Idempotency
from parlor.model.rooms import NewRoom
from parlor.model.states import RoomState
from tests.contract.cache.fixtures import CLAIM_1, NOW, CacheFixtures

pytestmark = pytest.mark.contract


async def fill_queue(fixtures: CacheFixtures, incarnation: int = 0) -> None:
    async with fixtures.redis.pipeline(transaction=False) as pipe:
        for number in range(fixtures.settings.queue.backlog_limit):
            pipe.xadd(fixtures.keys.queue(fixtures.partition), {"op": "x"}, id=f"{incarnation}-{number + 1}")
        await pipe.execute()


async def test_a_new_room_is_pending_queued_listed_and_told(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    found = await fixtures.states.room_state(address.room_id)
    assert found is not None
    state, log = found
    assert state is RoomState.PENDING
    assert [(step.at, step.from_state, step.to_state, step.by) for step in log] == [
        (NOW, "CREATING", "PENDING", "account")
    ]
    (entry,) = await fixtures.queued()
    assert (entry.op, entry.title, entry.persona, entry.at, entry.version) == (
        "CHAT_ROOM_CREATE",
        "A room",
        "GPT4O",
        NOW,
        1,
    )
    assert entry.address == address
    assert str(entry.position) == "1-1"
    assert await fixtures.account_events(address) == [("room.created", address.room_id)]
    assert await fixtures.redis.zrange(fixtures.key("rooms", address), 0, -1, withscores=True) == [
        (address.room_id.encode(), NOW)
    ]
    room = (await fixtures.room(address)).room
    assert (room.title, room.ai_persona, room.created_at, room.last_message_at) == ("A room", "GPT4O", NOW, None)
    assert (room.message_count, room.persisted_seq) == (0, 0)


async def test_creating_a_room_again_changes_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    before = await fixtures.dump()
    fixtures.clock.ms += 5
    await fixtures.creations.create(address, NewRoom("Another title", "OTHER"), "account")
    assert await fixtures.dump() == before


async def test_a_deleted_room_is_not_created_again(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    with pytest.raises(RoomNotFound):
        await fixtures.creations.create(address, NewRoom("Again", "GPT4O"), "account")
    await fixtures.stored(address)
    with pytest.raises(RoomNotFound):
        await fixtures.creations.create(address, NewRoom("Again", "GPT4O"), "account")


async def test_nothing_is_created_in_an_unknown_partition(fixtures: CacheFixtures) -> None:
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    before = await fixtures.dump()
    with pytest.raises(PartitionUnknown):
        await fixtures.created()
    assert await fixtures.dump() == before


async def test_nothing_is_created_over_a_full_queue(fixtures: CacheFixtures) -> None:
    await fill_queue(fixtures)
    before = await fixtures.dump()
    with pytest.raises(Overloaded) as refused:
        await fixtures.created()
    assert refused.value.retry_after is not None
    assert await fixtures.dump() == before


async def test_nothing_expires_before_it_is_stored(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    assert not any(
        ttl for name, (_, ttl) in (await fixtures.dump()).items() if "events" not in name and "lease" not in name
    )
    await fixtures.stored(address)
    dumped = await fixtures.dump()
    for name in ("room", "account", "rooms"):
        assert dumped[fixtures.key(name, address)][1], name


async def test_an_unknown_room_is_none(fixtures: CacheFixtures) -> None:
    room_id: RoomId = fixtures.address().room_id
    assert await fixtures.reader.room(room_id) is None
    assert await fixtures.states.room_state(room_id) is None


async def test_a_room_is_created_once_for_each_key(fixtures: CacheFixtures) -> None:
    once = Idempotency("k", "same")
    address, other = fixtures.address(), fixtures.address()
    made = await fixtures.creations.create(address, NewRoom("A room", "GPT4O"), "account", once)
    before = await fixtures.dump()
    again = await fixtures.creations.create(other, NewRoom("A room", "GPT4O"), "account", once)
    assert made == again == address.room_id
    assert await fixtures.dump() == before
    for account, key in (("ada", Idempotency("another", "same")), ("bob", once)):
        address = fixtures.address(account)
        assert await fixtures.creations.create(address, NewRoom("A room", "GPT4O"), "account", key) == address.room_id


async def test_a_key_with_another_request_creates_nothing(fixtures: CacheFixtures) -> None:
    await fixtures.creations.create(fixtures.address(), NewRoom("A room", "GPT4O"), "account", Idempotency("k", "one"))
    before = await fixtures.dump()
    with pytest.raises(IdempotencyMismatch):
        await fixtures.creations.create(
            fixtures.address(), NewRoom("Another", "GPT4O"), "account", Idempotency("k", "two")
        )
    assert await fixtures.dump() == before


async def test_a_key_of_a_creation_is_forgotten_in_time_and_after_a_refusal(fixtures: CacheFixtures) -> None:
    key = fixtures.keys.creation(fixtures.partition, AccountId("ada"), "k")
    await fill_queue(fixtures, incarnation=1)
    with pytest.raises(Overloaded):
        await fixtures.creations.create(
            fixtures.address(), NewRoom("A room", "GPT4O"), "account", Idempotency("k", "f")
        )
    assert await fixtures.redis.exists(key) == 0
    await fixtures.redis.delete(fixtures.keys.queue(fixtures.partition))
    await fixtures.creations.create(fixtures.address(), NewRoom("A room", "GPT4O"), "account", Idempotency("k", "f"))
    assert 0 < await fixtures.redis.pttl(key) <= fixtures.settings.cache.idempotency_ttl.total_seconds() * 1000


async def test_a_room_that_was_deleted_is_still_the_answer_of_its_key(fixtures: CacheFixtures) -> None:
    """Whoever asks for it then is told that it is not found; another one is not made."""
    address = fixtures.address()
    await fixtures.creations.create(address, NewRoom("A room", "GPT4O"), "account", Idempotency("k", "f"))
    await fixtures.claim(address.room_id, CLAIM_1)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    again = await fixtures.creations.create(
        fixtures.address(), NewRoom("A room", "GPT4O"), "account", Idempotency("k", "f")
    )
    assert again == address.room_id


async def test_a_list_that_is_not_complete_has_its_shard_asked(fixtures: CacheFixtures) -> None:
    creations = fixtures.creations
    fixtures.live.limits.set("ada", {"rooms": 3})
    address = fixtures.address()
    assert await creations.create(address, NewRoom("A room", "GPT4O"), "account", stored=None) is None
    assert await fixtures.queued() == []
    assert await creations.create(address, NewRoom("A room", "GPT4O"), "account", stored=Stored(2)) == address.room_id
    before = await fixtures.dump()
    with pytest.raises(LimitReached):
        await creations.create(fixtures.address(), NewRoom("A room", "GPT4O"), "account", stored=Stored(3))
    assert await fixtures.dump() == before


async def test_a_complete_list_is_counted_and_a_repeat_is_no_further_room(fixtures: CacheFixtures) -> None:
    fixtures.live.limits.set("ada", {"rooms": 2})
    first = await fixtures.created()
    await fixtures.redis.hset(fixtures.key("account", first), "complete", "1")
    second = fixtures.address()
    for _ in range(2):
        assert (
            await fixtures.creations.create(second, NewRoom("A room", "GPT4O"), "account", stored=None)
            == second.room_id
        )
    with pytest.raises(LimitReached):
        await fixtures.creations.create(fixtures.address(), NewRoom("A room", "GPT4O"), "account", stored=None)
