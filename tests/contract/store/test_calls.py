"""Replies that wait for people, and what was approved once: kept with the messages, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from msgspec import structs

from parlor.model.ids import AccountId, MessageId, RoomId
from parlor.model.messages import MessageDoc, QueuePosition
from parlor.model.parts import ToolCallPart
from parlor.model.tools import ToolState
from parlor.store import calls
from parlor.store.calls import CallNotes, CallStore, NotedCalls, NotedReply, WaitingReply
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import Batch, CallNote, ChatStore, Fence, MessageDelete, MessageSave, RowRefused
from tests.contract.store.databases import NewSettings, sql
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract

DIGESTS = ["sha256:" + digit * 64 for digit in "ab"]


async def said(
    fixtures: StoreFixtures, doc: MessageDoc, *, waits: int, room_id: RoomId | None = None, approved: Sequence[str] = ()
) -> RoomId:
    """A message with its note, in a new room unless one is given."""
    room = room_id or fixtures.room_id()
    creates = [] if room_id else [fixtures.create(room)]
    note = CallNote(room, 1, doc.version, waits, list(approved))
    saves = [MessageSave(room, 1, doc)]
    await fixtures.apply(Batch([fixtures.fence()], room_creates=creates, message_saves=saves, call_notes=[note]))
    return room


async def waiting(
    fixtures: StoreFixtures, *, start: MessageId | None = None, limit: int = 10, key: int | None = None
) -> list[WaitingReply]:
    account = fixtures.key if key is None else key
    return await CallStore(fixtures.store).waiting(SHARD, account, start=start, limit=limit)


async def test_replies_that_wait_are_listed_by_account_oldest_first(fixtures: StoreFixtures) -> None:
    docs = [fixtures.doc(version=2) for _ in range(3)]
    rooms = [await said(fixtures, doc, waits=1) for doc in reversed(docs)][::-1]
    await said(fixtures, fixtures.doc(version=2), waits=0)
    every = [WaitingReply(doc.message_id, room) for doc, room in zip(docs, rooms, strict=True)]
    assert await waiting(fixtures) == every
    assert await waiting(fixtures, limit=2) == every[:2]
    assert await waiting(fixtures, start=docs[1].message_id) == every[1:]
    assert await waiting(fixtures, key=fixtures.key + 1) == []


async def test_a_reply_whose_next_row_waits_no_more_is_not_listed(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc(version=2)
    room = await said(fixtures, doc, waits=1)
    await said(fixtures, structs.replace(doc, version=4), waits=1, room_id=room)
    assert await waiting(fixtures) == [WaitingReply(doc.message_id, room)]
    await said(fixtures, structs.replace(doc, version=5), waits=0, room_id=room)
    assert await waiting(fixtures) == []


@pytest.mark.parametrize(("version", "waits", "listed"), [(2, 0, True), (4, 0, False), (6, 1, True)])
async def test_a_note_about_another_version_than_the_row_has_changes_nothing(
    fixtures: StoreFixtures, version: int, waits: int, listed: bool
) -> None:
    doc = fixtures.doc(version=4)
    room = await said(fixtures, doc, waits=1)
    await fixtures.apply(Batch([fixtures.fence()], call_notes=[CallNote(room, 1, version, waits)]))
    assert bool(await waiting(fixtures)) is listed
    ended = structs.replace(doc, version=5)
    await said(fixtures, ended, waits=0, room_id=room)
    await fixtures.apply(Batch([fixtures.fence()], call_notes=[CallNote(room, 1, 4, 1)]))
    assert await waiting(fixtures) == [], "a dead letter that is replayed comes too late"


async def test_a_deleted_message_waits_for_nobody(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc(version=2)
    room = await said(fixtures, doc, waits=1)
    delete = MessageDelete(room, 1, doc.message_id, 5000)
    gone = Batch([fixtures.fence()], message_deletes=[delete], call_notes=[CallNote(room, 1, 0, 0)])
    await fixtures.apply(gone)
    assert await waiting(fixtures) == []
    await said(fixtures, structs.replace(doc, version=4), waits=1, room_id=room)
    assert await waiting(fixtures) == []


async def test_a_deleted_room_forgets_its_calls(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc(version=2)
    room = await said(fixtures, doc, waits=1, approved=DIGESTS[:1])
    other = await said(fixtures, fixtures.doc(version=2), waits=0, approved=DIGESTS[:1])
    await fixtures.write(room_deletes=[fixtures.delete_room(room)])
    stored = CallStore(fixtures.store)
    assert await waiting(fixtures) == []
    assert [await stored.approved(SHARD, each, DIGESTS[0]) for each in (room, other)] == [False, True]
    late = CallNote(room, 1, 2, 1, DIGESTS[:1])
    await fixtures.apply(Batch([fixtures.fence()], call_notes=[late]))
    assert (await waiting(fixtures), await stored.approved(SHARD, room, DIGESTS[0])) == ([], False)


async def test_what_was_approved_once_is_the_rooms_and_stays(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc(version=2)
    room = await said(fixtures, doc, waits=0, approved=DIGESTS)
    await said(fixtures, structs.replace(doc, version=3), waits=0, room_id=room, approved=DIGESTS[:1])
    other = await said(fixtures, fixtures.doc(version=2), waits=0)
    stored = CallStore(fixtures.store)
    assert [await stored.approved(SHARD, room, digest) for digest in [*DIGESTS, "sha256:0"]] == [True, True, False]
    assert not await stored.approved(SHARD, other, DIGESTS[0])


async def test_a_refused_batch_notes_nothing(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc(version=2)
    room = await said(fixtures, doc, waits=0)
    notes = [CallNote(room, 1, 2, 1, DIGESTS)]
    stale = Batch([Fence(fixtures.partition, fixtures.epoch - 1, QueuePosition(1, 99))], call_notes=notes)
    assert await fixtures.store.apply(SHARD, stale) == [fixtures.partition]
    bad = Batch([fixtures.fence()], call_notes=[*notes, CallNote(room, 2, 0, 0, ["sha256:" + "a" * 100])])
    with pytest.raises(RowRefused):
        await fixtures.store.apply(SHARD, bad)
    assert await waiting(fixtures) == []
    assert not await CallStore(fixtures.store).approved(SHARD, room, DIGESTS[0])


async def test_replies_that_waited_before_there_was_a_list_are_in_it(new_settings: NewSettings) -> None:
    settings = new_settings(shards=1)
    await migrate(settings)
    store: ChatStore = await open_store(settings)
    await store.open_account(AccountId("ada"))
    fixtures = await StoreFixtures.make(store, 1)
    call = ToolCallPart("call_1", "pay", "Pay", '{"state":"waiting"}', DIGESTS[0], ToolState.WAITING, "required")
    waits = structs.replace(fixtures.doc(version=2), parts=(call,))
    ended = structs.replace(fixtures.doc(version=3), parts=(structs.replace(call, state=ToolState.DONE),))
    gone = structs.replace(fixtures.doc(version=2), parts=(call,))
    rooms = [await fixtures.room_with(doc) for doc in (waits, ended, gone)]
    await fixtures.write(deletes=[MessageDelete(rooms[2], 1, gone.message_id, 5000)])
    assert await waiting(fixtures) == []
    tables = [f"DROP TABLE {table}" for table in ("waiting_replies", "approved_calls")]
    await sql(settings, 1, *tables, "DELETE FROM schema_migrations WHERE name LIKE '%shard_waiting_calls%'")
    await migrate(settings)
    assert await waiting(fixtures) == [WaitingReply(waits.message_id, rooms[0])]
    await store.close()


async def test_notes_are_read_by_room_and_rooms_that_have_some_are_scanned(
    fixtures: StoreFixtures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PAGE", 2)
    notes, doc = CallNotes(fixtures.store), fixtures.doc(version=2)
    waits = await said(fixtures, doc, waits=1)
    both = await said(fixtures, fixtures.doc(version=2), waits=1, approved=DIGESTS)
    approved = await said(fixtures, fixtures.doc(version=2), waits=0, approved=DIGESTS[1:])
    neither = await said(fixtures, fixtures.doc(version=2), waits=0)
    found = await notes.of(SHARD, [neither, approved, both, waits])
    assert {room: (sorted(of.waiting), sorted(of.approved)) for room, of in found.items()} == {
        waits: ([1], []),
        both: ([1], DIGESTS),
        approved: ([], DIGESTS[1:]),
    }
    assert found[waits].waiting[1] == NotedReply(doc.message_id, fixtures.key)
    ours = {waits, both, approved, neither}
    scanned = [room async for room in notes.rooms(SHARD) if room in ours]
    assert scanned == sorted([waits, both, approved])


async def test_repairs_take_away_what_is_nobodys_and_leave_the_rest(new_settings: NewSettings) -> None:
    settings = new_settings(shards=1)
    await migrate(settings)
    store: ChatStore = await open_store(settings)
    await store.open_account(AccountId("ada"))
    fixtures, notes = await StoreFixtures.make(store, 1), CallNotes(store)
    docs = [fixtures.doc(version=2) for _ in range(6)]
    rooms = [await said(fixtures, doc, waits=1, approved=DIGESTS) for doc in docs]
    right, no_message, other_message, other_account, no_room, gone = rooms
    damages = {
        "UPDATE waiting_replies SET seq = 9": no_message,
        "UPDATE waiting_replies SET message_id = room_id": other_message,
        "UPDATE waiting_replies SET account_db_key = 1": other_account,
        "DELETE FROM messages": no_room,
        "DELETE FROM rooms": no_room,
        "UPDATE rooms SET deleted_at = 5000": gone,
    }
    await sql(settings, 1, *(f"{damage} WHERE room_id = X'{UUID(room).hex}'" for damage, room in damages.items()))
    for room in [*rooms, *rooms]:
        await notes.mend(SHARD, room)
    found = await notes.of(SHARD, rooms)
    assert {room: (sorted(of.waiting), sorted(of.approved)) for room, of in found.items()} == {
        right: ([1], DIGESTS),
        **{room: ([], DIGESTS) for room in (no_message, other_message, other_account)},
    }
    for room in (no_message, no_room, gone):
        await notes.note(SHARD, CallNote(room, 1, 2, 1, DIGESTS[:1]))
    await notes.forget_approval(SHARD, no_message, DIGESTS[1])
    await notes.forget_approval(SHARD, no_message, DIGESTS[1])
    found = await notes.of(SHARD, rooms)
    assert found[no_message] == NotedCalls({1: NotedReply(docs[1].message_id, fixtures.key)}, set(DIGESTS[:1]))
    assert not {no_room, gone} & found.keys()
    await store.close()
