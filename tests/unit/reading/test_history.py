"""Pages of history: the cached tail joined to the shard, whatever either of them has."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from parlor.errors import CacheUnavailable, MessageNotFound, RoomNotFound, StoreUnavailable
from parlor.model.ids import RoomId
from parlor.model.messages import Durability, Message
from parlor.model.states import MessageState
from parlor.rooms.room import Room
from tests.unit.domain import HOME, Domain, DomainMaker, settle

pytestmark = pytest.mark.unit


async def filled(domain: Domain, stored: int, queued: int) -> Room:
    """Returns a room with messages 1, 2, 3, ..., of which the last ones are not stored yet."""
    room = domain.room(await domain.new_room())
    for number in range(1, stored + queued + 1):
        await domain.say(room, f"{number}")
        if number == stored:
            await domain.write_all()
    return room


async def cool(domain: Domain, room: Room, *, up_to: int) -> None:
    """Drops older messages and their states from the cache."""
    fields = [f"d:{seq}" for seq in range(1, up_to + 1)]
    await domain.redis.hdel(domain.live.keys.messages(HOME, room.room_id), *fields)
    await domain.redis.hdel(domain.live.keys.states(HOME, room.room_id), *[f"s:{seq}" for seq in range(1, up_to + 1)])


def seqs(messages: list[Message]) -> list[int]:
    assert all(message.content == f"{message.seq}" for message in messages)
    return [message.seq for message in messages]


TOTAL = 12


@pytest.mark.parametrize("cold", [0, 5, 8], ids=["all cached", "some cached", "only the queue cached"])
async def test_every_window_is_whole_and_in_order(domain: Domain, cold: int) -> None:
    room = await filled(domain, stored=8, queued=4)
    if cold:
        await cool(domain, room, up_to=cold)
    everything = list(range(1, TOTAL + 1))
    for limit, bound in product((1, 3, 12, 50), range(TOTAL + 3)):
        page = await domain.page(room.room_id, limit=limit, after=bound)
        expected = [seq for seq in everything if seq > bound][:limit]
        assert seqs(page.messages) == expected
        assert page.has_more == bool(expected and expected[-1] < TOTAL)
        page = await domain.page(room.room_id, limit=limit, before=bound + 1)
        expected = [seq for seq in everything if seq <= bound][-limit:]
        assert seqs(page.messages) == expected
        assert page.has_more == bool(expected and expected[0] > 1)
        assert page.next_before == (expected[0] if page.has_more else None)


async def test_without_a_window_the_newest_page_comes(domain: Domain) -> None:
    room = await filled(domain, stored=8, queued=4)
    page = await domain.page(room.room_id, limit=5)
    assert seqs(page.messages) == [8, 9, 10, 11, 12]
    assert (page.has_more, page.next_before, page.persisted_seq) == (True, 8, 8)


async def test_pages_backwards_meet_without_gap_or_repeat(domain: Domain) -> None:
    room = await filled(domain, stored=8, queued=4)
    await cool(domain, room, up_to=6)
    found: list[int] = []
    before: int | None = None
    while True:
        page = await domain.page(room.room_id, limit=5, before=before)
        found = seqs(page.messages) + found
        if not page.has_more:
            break
        before = page.next_before
    assert found == list(range(1, TOTAL + 1))


async def test_events_after_a_pages_cursor_continue_it(domain: Domain) -> None:
    room = await filled(domain, stored=2, queued=1)
    page = await domain.page(room.room_id)
    await domain.say(room, "4")
    stream = domain.live.keys.events(HOME, room.room_id)
    (entry,) = await domain.log.entries(stream, page.cursor)
    assert entry[1][b"seq"] == b"4"


async def test_an_empty_room_is_an_empty_page(domain: Domain) -> None:
    room_id = await domain.new_room()
    page = await domain.page(room_id)
    assert (page.messages, page.has_more, page.next_before, page.persisted_seq) == ([], False, None, 0)


async def test_a_room_that_is_not_cached_at_all_is_loaded(domain: Domain) -> None:
    room = await filled(domain, stored=12, queued=0)
    await domain.forget_room(room.room_id)
    assert seqs((await domain.page(room.room_id)).messages) == list(range(1, 13))
    assert await domain.reader.room(room.room_id) is not None


async def test_a_loaded_room_counts_what_is_queued(domain: Domain) -> None:
    room = await filled(domain, stored=8, queued=4)
    await domain.forget_room(room.room_id)
    await domain.write_all()
    page = await domain.page(room.room_id)
    assert seqs(page.messages) == list(range(1, 13))
    assert page.persisted_seq == 12


async def test_a_cold_page_with_its_shard_down_is_an_error_not_a_shorter_page(domain: Domain) -> None:
    room = await filled(domain, stored=8, queued=4)
    await cool(domain, room, up_to=6)
    domain.store.down = True
    assert seqs((await domain.page(room.room_id, limit=6)).messages) == [7, 8, 9, 10, 11, 12]
    with pytest.raises(StoreUnavailable):
        await domain.page(room.room_id, limit=7)


async def test_a_message_that_is_nowhere_is_an_error_not_a_hole(domain: Domain) -> None:
    room = await filled(domain, stored=2, queued=2)
    await domain.redis.hdel(domain.live.keys.messages(HOME, room.room_id), "d:3")
    with pytest.raises(StoreUnavailable):
        await domain.page(room.room_id)


async def test_with_redis_down_the_stored_page_is_read(domain: Domain) -> None:
    room = await filled(domain, stored=8, queued=4)
    domain.server.connected = False
    page = await domain.page(room.room_id, limit=5)
    assert seqs(page.messages) == [4, 5, 6, 7, 8]
    assert (page.has_more, page.next_before, page.persisted_seq) == (True, 4, 8)
    assert seqs((await domain.page(room.room_id, limit=3, after=2)).messages) == [3, 4, 5]
    assert all(message.durability is Durability.PERSISTED for message in page.messages)
    with pytest.raises(RoomNotFound):
        await domain.page(room.room_id, session=domain.session("eve"))
    with pytest.raises(CacheUnavailable):
        await domain.page(domain.mint.room_id(HOME))


async def test_with_redis_down_nobody_says_that_what_only_redis_has_is_not_there(domain: Domain) -> None:
    room = await filled(domain, stored=1, queued=1)
    queued = (await domain.page(room.room_id)).messages[-1].message_id
    fresh = await domain.new_room()
    domain.server.connected = False
    with pytest.raises(CacheUnavailable):
        await domain.history.message(room.room_id, domain.ada.account_id, queued)
    with pytest.raises(CacheUnavailable):
        await domain.page(fresh)
    with pytest.raises(CacheUnavailable):
        await domain.directory.room(fresh, domain.ada.account_id)
    with pytest.raises(CacheUnavailable):
        await domain.directory.memory(fresh, domain.ada.account_id)


async def test_with_both_down_the_answer_says_so(domain: Domain) -> None:
    room = await filled(domain, stored=2, queued=0)
    domain.server.connected = False
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await domain.page(room.room_id)


async def test_what_is_being_deleted_is_deleted_for_its_readers_at_once(domain: Domain) -> None:
    """The shard still has the text; the state in Redis wins over the row."""
    room = await filled(domain, stored=4, queued=0)
    message = (await domain.page(room.room_id)).messages[1]
    await domain.delete_message(room, message.message_id)
    await domain.redis.delete(domain.live.keys.messages(HOME, room.room_id))
    found = (await domain.page(room.room_id)).messages[1]
    assert (found.seq, found.content, found.state) == (2, "", MessageState.DELETING)
    assert (await domain.rows(room.room_id))[1].doc.content == "2"


async def test_a_tombstone_keeps_its_slot_for_ever(domain: Domain) -> None:
    room = await filled(domain, stored=3, queued=0)
    message = (await domain.page(room.room_id)).messages[1]
    await domain.delete_message(room, message.message_id)
    await domain.write_all()
    await domain.forget_room(room.room_id)
    messages = (await domain.page(room.room_id)).messages
    assert [(found.seq, found.content, found.state) for found in messages] == [
        (1, "1", MessageState.SENT),
        (2, "", MessageState.DELETED),
        (3, "3", MessageState.SENT),
    ]
    assert (await domain.message(room.room_id, message.message_id)).state is MessageState.DELETED


# One message


async def test_one_message_is_found_wherever_it_is(domain: Domain) -> None:
    room = await filled(domain, stored=2, queued=1)
    ids = [message.message_id for message in (await domain.page(room.room_id)).messages]
    for message_id in ids:
        assert (await domain.history.message(room.room_id, domain.ada.account_id, message_id)).message_id == message_id
    await domain.write_all()
    await domain.forget_room(room.room_id)
    assert (await domain.message(room.room_id, ids[2])).content == "3"
    domain.server.connected = False
    assert (await domain.history.message(room.room_id, domain.ada.account_id, ids[0])).content == "1"


@pytest.mark.parametrize("connected", [True, False])
async def test_a_message_of_another_room_or_person_is_not_found(domain: Domain, connected: bool) -> None:
    room, other = await filled(domain, stored=2, queued=0), await filled(domain, stored=1, queued=0)
    (first, *_) = (await domain.page(room.room_id)).messages
    domain.server.connected = connected
    with pytest.raises(MessageNotFound if connected else CacheUnavailable):
        await domain.history.message(other.room_id, domain.ada.account_id, first.message_id)
    with pytest.raises(RoomNotFound):
        await domain.history.message(room.room_id, domain.session("eve").account_id, first.message_id)
    # Without Redis it cannot be reported as missing, because it may be queued.
    with pytest.raises(MessageNotFound if connected else CacheUnavailable):
        await domain.history.message(room.room_id, domain.ada.account_id, domain.mint.message_id(HOME))
    with pytest.raises(RoomNotFound if connected else CacheUnavailable):
        await domain.history.message(domain.mint.room_id(HOME), domain.ada.account_id, first.message_id)


# For the memory, and exports


async def test_the_memory_reads_what_is_before_a_seq(domain: Domain) -> None:
    room = await filled(domain, stored=4, queued=3)
    assert seqs(await domain.internal_history.before(room.room_id, 6, 3)) == [3, 4, 5]
    assert await domain.internal_history.before(room.room_id, 1, 3) == []


async def test_an_export_has_every_message_once_in_order(
    new_domain: DomainMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlor.reading.history.EXPORT_PAGE", 5)
    domain = new_domain()
    room = await filled(domain, stored=8, queued=4)
    await cool(domain, room, up_to=6)
    exported = [message async for message in domain.history.all(room.room_id, domain.ada.account_id)]
    assert seqs(exported) == list(range(1, 13))
    assert [message async for message in domain.history.all(await domain.new_room(), domain.ada.account_id)] == []


async def test_an_export_is_the_owners_only(domain: Domain) -> None:
    room = await filled(domain, stored=1, queued=0)
    with pytest.raises(RoomNotFound):
        await anext(domain.history.all(room.room_id, domain.session("eve").account_id))


async def test_a_page_read_during_a_commit_is_whole(domain: Domain) -> None:
    room = await filled(domain, stored=2, queued=2)
    domain.store.commit_gate = asyncio.Event()
    domain.spawn(domain.writer().run())
    await domain.clock.advance(3.1)
    assert seqs((await domain.page(room.room_id)).messages) == [1, 2, 3, 4]
    domain.store.commit_gate.set()
    await settle()
    assert seqs((await domain.page(room.room_id)).messages) == [1, 2, 3, 4]


async def test_an_id_that_is_none_is_not_found(domain: Domain) -> None:
    with pytest.raises(RoomNotFound):
        await domain.directory.room(RoomId("nothing like an id"), domain.ada.account_id)


async def test_a_message_that_is_only_in_redis_is_not_denied_when_redis_goes_away_in_between(domain: Domain) -> None:
    """Its seq is found in Redis, but its page is then read from the shard, which does not have it yet."""
    room = await filled(domain, stored=1, queued=1)
    stored, queued = (await domain.page(room.room_id)).messages
    domain.pipeline.refuse["read_page"] = 1
    ada = domain.ada.account_id
    with pytest.raises(CacheUnavailable):
        await domain.history.message(room.room_id, ada, queued.message_id)
    domain.pipeline.refuse["read_page"] = 1
    assert (await domain.history.message(room.room_id, ada, stored.message_id)).seq == 1
    assert (await domain.history.message(room.room_id, ada, queued.message_id)).seq == 2
