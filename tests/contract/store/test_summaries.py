"""Summaries: the newest version counts, the room's deletion is final."""

from __future__ import annotations

import msgspec
import pytest

from parlor.model.ids import RoomId
from parlor.store.ports import Batch, RoomTouch, RoomUpdate, RowRefused, SummarySave
from tests.contract.store.fixtures import SHARD, StoreFixtures
from tests.contract.store.test_messages import TEXTS

pytestmark = pytest.mark.contract


async def save(fixtures: StoreFixtures, *summaries: SummarySave) -> None:
    await fixtures.apply(Batch([fixtures.fence()], summary_saves=list(summaries)))


async def summary(fixtures: StoreFixtures, room_id: RoomId) -> tuple[str, int, int | None, int]:
    room = await fixtures.room(room_id)
    assert room is not None
    return room.summary, room.summary_through, room.summary_at, room.summary_version


async def test_a_room_begins_without_a_summary(fixtures: StoreFixtures) -> None:
    assert await summary(fixtures, await fixtures.room_with()) == ("", 0, None, 0)


async def test_the_higher_version_wins(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    await save(fixtures, SummarySave(room_id, "two", 8, 2, 6000))
    for late in (SummarySave(room_id, "one", 4, 1, 5000), SummarySave(room_id, "two again", 9, 2, 7000)):
        await save(fixtures, late)
        assert await summary(fixtures, room_id) == ("two", 8, 6000, 2)
    await save(fixtures, SummarySave(room_id, "four", 12, 4, 8000), SummarySave(room_id, "three", 10, 3, 7500))
    assert await summary(fixtures, room_id) == ("four", 12, 8000, 4)


async def test_an_empty_summary_is_a_reset(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    await save(fixtures, SummarySave(room_id, "one", 4, 1, 5000))
    await save(fixtures, SummarySave(room_id, "", 0, 2, 6000))
    await save(fixtures, SummarySave(room_id, "one", 4, 1, 5000))
    assert await summary(fixtures, room_id) == ("", 0, 6000, 2)


async def test_a_summary_and_a_title_have_versions_of_their_own(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    await fixtures.apply(
        Batch(
            [fixtures.fence()],
            room_updates=[RoomUpdate(room_id, "New title", 7)],
            summary_saves=[SummarySave(room_id, "one", 4, 1, 5000)],
            room_touches=[RoomTouch(room_id, 4, 4, 4000)],
        )
    )
    await fixtures.apply(Batch([fixtures.fence()], room_updates=[RoomUpdate(room_id, "Newer", 8)]))
    await save(fixtures, SummarySave(room_id, "two", 6, 2, 6000))
    room = await fixtures.room(room_id)
    assert room is not None
    assert (room.title, room.version, room.last_seq) == ("Newer", 8, 4)
    assert await summary(fixtures, room_id) == ("two", 6, 6000, 2)


async def test_a_room_and_its_summary_in_one_batch_are_both_stored(fixtures: StoreFixtures) -> None:
    room_id = fixtures.room_id()
    first = SummarySave(room_id, "one", 4, 1, 5000)
    await fixtures.apply(Batch([fixtures.fence()], room_creates=[fixtures.create(room_id)], summary_saves=[first]))
    assert await summary(fixtures, room_id) == ("one", 4, 5000, 1)


async def test_a_list_of_rooms_does_not_read_summaries(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    await save(fixtures, SummarySave(room_id, "one", 4, 1, 5000))
    full = await fixtures.room(room_id)
    assert full is not None
    (listed,) = await fixtures.store.rooms_get(SHARD, fixtures.key, limit=10)
    assert listed.summary == ""
    bare = {"summary": "", "summary_through": 0, "summary_at": None, "summary_version": 0}
    assert listed == msgspec.structs.replace(full, **bare)


async def test_nothing_gives_a_deleted_room_a_summary(fixtures: StoreFixtures) -> None:
    room_id, never_stored = await fixtures.room_with(), fixtures.room_id()
    await fixtures.write(room_deletes=[fixtures.delete_room(room_id), fixtures.delete_room(never_stored)])
    late = [SummarySave(room, "late", 4, 99, 9000) for room in (room_id, never_stored)]
    await save(fixtures, *late)
    assert await fixtures.room(room_id) is None
    assert await fixtures.room(never_stored) is None


@pytest.mark.parametrize("text", [*TEXTS, "x" * 200_000, "\U0001f600" * 65_536], ids=range(len(TEXTS) + 2))
async def test_a_summary_of_any_script_and_length_comes_back_as_it_was(fixtures: StoreFixtures, text: str) -> None:
    room_id = await fixtures.room_with()
    await save(fixtures, SummarySave(room_id, text, 4, 1, 5000))
    assert await summary(fixtures, room_id) == (text, 4, 5000, 1)


@pytest.mark.parametrize("bad", [{"summary": "x" * 2**24}, {"summary": "\ud800"}, {"version": 2**63}], ids=range(3))
async def test_a_summary_that_no_database_takes_is_refused(fixtures: StoreFixtures, bad: dict[str, object]) -> None:
    room_id = await fixtures.room_with()
    poison = msgspec.structs.replace(SummarySave(room_id, "one", 4, 1, 5000), **bad)
    with pytest.raises(RowRefused):
        await fixtures.store.apply(SHARD, Batch([fixtures.fence()], summary_saves=[poison]))
    assert await summary(fixtures, room_id) == ("", 0, None, 0)
