"""set_summary, reset_summary: what the older turns of a room become in its prompt."""

from __future__ import annotations

import msgspec
import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.queue import QueueEntry
from parlor.cache.summaries import SummaryCache
from parlor.errors import Fenced, OutOfStep, PartitionUnknown, RoomNotFound
from parlor.model.ids import Partition
from parlor.model.rooms import RoomMemory
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, NOW, CacheFixtures
from tests.contract.cache.test_deletes import delete

pytestmark = pytest.mark.contract

TEXT = "Ada likes tea. 茶 🍵 \"quoted\" {'through_seq': 99}"


@pytest.fixture
def summaries(fixtures: CacheFixtures) -> SummaryCache:
    return SummaryCache(fixtures.live)


async def memory(summaries: SummaryCache, address: RoomAddress) -> RoomMemory:
    found = await summaries.read(address.room_id)
    assert found is not None
    assert found.account_id == address.account_id
    return found.memory


async def updates(fixtures: CacheFixtures) -> list[QueueEntry]:
    return [entry for entry in await fixtures.queued() if entry.op == "CHAT_ROOM_UPDATE"]


async def talked(fixtures: CacheFixtures, count: int = 6) -> RoomAddress:
    """A claimed room with so many messages."""
    address = await fixtures.claimed()
    await fixtures.sent(address, count)
    return address


async def test_a_room_has_no_summary_at_first(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    assert await memory(summaries, await fixtures.claimed()) == RoomMemory("", 0, None, 0)
    assert await summaries.read(fixtures.address().room_id) is None


async def test_a_summary_is_here_and_queued(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    assert await summaries.set(address, CLAIM_1, 0, TEXT, 4)
    assert await memory(summaries, address) == RoomMemory(TEXT, 4, NOW, 1)
    (entry,) = await updates(fixtures)
    assert (entry.summary, entry.through_seq, entry.summary_version, entry.at) == (TEXT, 4, 1, NOW)
    assert entry.title is None


async def test_each_summary_has_a_higher_version(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    for version, through in enumerate((2, 3, 5)):
        assert await summaries.set(address, CLAIM_1, version, f"to {through}", through)
    assert [(entry.through_seq, entry.summary_version) for entry in await updates(fixtures)] == [(2, 1), (3, 2), (5, 3)]


async def test_a_summary_is_no_activity_and_no_event(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    before, events = (await fixtures.room(address)).room, await fixtures.event_types(address)
    fixtures.clock.ms += 1000
    await summaries.set(address, CLAIM_1, 0, TEXT, 4)
    assert ((await fixtures.room(address)).room, await fixtures.event_types(address)) == (before, events)


async def test_a_summary_of_an_older_version_is_refused(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    assert await summaries.set(address, CLAIM_1, 0, "first", 2)
    before = await fixtures.dump()
    assert not await summaries.set(address, CLAIM_1, 0, "second", 2)
    assert not await summaries.set(address, CLAIM_1, 7, "second", 2)
    assert await fixtures.dump() == before


@pytest.mark.parametrize("covered", [0, 2])
async def test_a_deletion_while_a_fold_is_made_refuses_it(
    fixtures: CacheFixtures, summaries: SummaryCache, covered: int
) -> None:
    """Also a deletion of what no summary covers yet: the fold may tell of it."""
    address = await talked(fixtures)
    if covered:
        assert await summaries.set(address, CLAIM_1, 0, "so far", covered)
    began = (await memory(summaries, address)).version
    await delete(fixtures, address, 3)
    assert not await summaries.set(address, CLAIM_1, began, "three was deleted", 4)
    after = await memory(summaries, address)
    assert after.summary == ("so far" if covered else "")
    # What is made from then on may stand.
    assert await summaries.set(address, CLAIM_1, after.version, "without three", 4)


async def test_a_deletion_of_what_the_summary_covers_forgets_it_also_in_the_shard(
    fixtures: CacheFixtures, summaries: SummaryCache
) -> None:
    address = await talked(fixtures)
    await summaries.set(address, CLAIM_1, 0, TEXT, 4)
    await delete(fixtures, address, 4)
    after = await memory(summaries, address)
    assert (after.summary, after.through_seq, after.updated_at) == ("", 0, None)
    last = (await updates(fixtures))[-1]
    assert (last.summary, last.through_seq, last.summary_version) == ("", 0, after.version)
    assert last.summary_version > 1


async def test_a_deletion_behind_the_summary_leaves_it(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    await summaries.set(address, CLAIM_1, 0, TEXT, 4)
    await delete(fixtures, address, 5)
    assert (await memory(summaries, address)).summary == TEXT
    assert len(await updates(fixtures)) == 1


async def test_a_reset_forgets_the_summary_here_and_in_the_shard(
    fixtures: CacheFixtures, summaries: SummaryCache
) -> None:
    address = await talked(fixtures)
    await summaries.set(address, CLAIM_1, 0, TEXT, 4)
    await summaries.reset(address, CLAIM_1)
    assert await memory(summaries, address) == RoomMemory("", 0, None, 2)
    last = (await updates(fixtures))[-1]
    assert (last.summary, last.through_seq, last.summary_version) == ("", 0, 2)
    assert not await summaries.set(address, CLAIM_1, 1, "made from what was forgotten", 5)


async def test_a_reset_without_a_summary_changes_nothing(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    before = await fixtures.dump()
    await summaries.reset(address, CLAIM_1)
    assert await fixtures.dump() == before


async def test_a_stale_owner_writes_nothing(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    await fixtures.claim(address.room_id, CLAIM_2)
    before = await fixtures.dump()
    with pytest.raises(Fenced):
        await summaries.set(address, CLAIM_1, 0, TEXT, 4)
    with pytest.raises(Fenced):
        await summaries.reset(address, CLAIM_1)
    with pytest.raises(Fenced):
        await summaries.give_title(address, CLAIM_1, 0, "Tea")
    assert await fixtures.dump() == before


async def test_a_room_that_is_gone_or_not_here_is_refused(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    missing = fixtures.address()
    with pytest.raises(OutOfStep):
        await summaries.set(missing, CLAIM_1, 0, TEXT, 4)
    with pytest.raises(OutOfStep):
        await summaries.reset(missing, CLAIM_1)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    with pytest.raises(RoomNotFound):
        await summaries.set(address, CLAIM_1, 0, TEXT, 4)
    with pytest.raises(RoomNotFound):
        await summaries.read(address.room_id)
    elsewhere = RoomAddress(fixtures.mint.room_id(Partition(4095)), address.account_id, 7)
    with pytest.raises(PartitionUnknown):
        await summaries.set(elsewhere, CLAIM_1, 0, TEXT, 4)


async def test_a_summary_does_not_expire_before_it_is_stored(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await talked(fixtures)
    await fixtures.stored(address)
    assert (await fixtures.dump())[fixtures.key("room", address)][1]
    await summaries.set(address, CLAIM_1, 0, TEXT, 4)
    assert not (await fixtures.dump())[fixtures.key("room", address)][1]
    await fixtures.stored(address)
    assert (await fixtures.dump())[fixtures.key("room", address)][1]


@pytest.mark.parametrize("stored", [("", 0, None, 3), (TEXT, 4, NOW, 3), (TEXT, 4, None, 3)])
async def test_a_room_that_is_loaded_has_the_summary_of_its_shard(
    fixtures: CacheFixtures, summaries: SummaryCache, stored: tuple[str, int, int | None, int]
) -> None:
    address = fixtures.address()
    text, through, at, version = stored
    row = msgspec.structs.replace(
        fixtures.room_row(address, 4), summary=text, summary_through=through, summary_at=at, summary_version=version
    )
    await fixtures.rooms.load(address, row, [], 4, 1)
    assert await memory(summaries, address) == RoomMemory(*stored)
    await fixtures.claim(address.room_id, CLAIM_1)
    assert await summaries.set(address, CLAIM_1, version, "further", 4)
    await delete_covered(fixtures, summaries, address)


async def delete_covered(fixtures: CacheFixtures, summaries: SummaryCache, address: RoomAddress) -> None:
    message = (await fixtures.send(address, 4, reply=False)).seq
    version = (await memory(summaries, address)).version
    assert await summaries.set(address, CLAIM_1, version, "further still", message)
    await delete(fixtures, address, message)
    assert (await memory(summaries, address)).summary == ""
