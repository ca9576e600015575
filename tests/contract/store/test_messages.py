"""Messages: stored exactly, versioned, never overwritten, deleted for good."""

from __future__ import annotations

import msgspec
import pytest

from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import FinishReason, MessageDoc, SenderType, Usage
from parlor.store.ports import Batch, MessageDelete, MessageSave, RoomTouch, RowRefused, SeqConflict
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract

CONTROLS = "".join(chr(code) for code in range(1, 0x20)) + "\x7f\x80\u2028\u2029\ufeff\uffff"
TEXTS = [
    "plain",
    " blanks at both ends  ",
    "NUL a\x00b",
    "emoji 😀 👩‍👩‍👧‍👦 🇰🇷",
    "right to left: שלום مرحبا \u202eabc\u202c",
    CONTROLS,
    r"backslashes \\u0041 \n \" \' % %s %(name)s ; -- /* */ {} $[0]",
    "quotes ' '' \" ` \\' \\\" ';DROP TABLE messages;--",
    "combining e\u0301 and composed é are not the same",
    "",
    "한국어 日本語 ไทย" * 3000,
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_text_of_any_script_comes_back_as_it_was(fixtures: StoreFixtures, text: str) -> None:
    doc = fixtures.doc(content=text, metadata={text: [text, {"nested": text}]})
    room_id = await fixtures.room_with(doc)
    (row,) = await fixtures.messages(room_id)
    assert row.doc == doc
    assert row.doc.content == text


async def test_the_longest_message_comes_back_as_it_was(fixtures: StoreFixtures) -> None:
    docs = [fixtures.doc(content="\U0001f600" * 32_768), fixtures.doc(content="'\\\"\n" * 50_000)]
    room_id = await fixtures.room_with(*docs)
    assert [row.doc for row in await fixtures.messages(room_id)] == docs


async def test_every_field_of_a_document_comes_back(fixtures: StoreFixtures) -> None:
    doc = MessageDoc(
        message_id=fixtures.message_id(),
        sender_type=SenderType.AI,
        content="Half an ans",
        timestamp=1_750_000_000_123,
        version=7,
        attempt=3,
        ai_persona="",
        parent_message_id=fixtures.message_id(),
        finish_reason=FinishReason.ERROR,
        usage=Usage(0, 2**40),
        error_code="llm-error",
        error_detail="",
        metadata={
            "n": None,
            "t": True,
            "i": 2**53 + 1,
            "f": 1.5e300,
            "e": {},
            "l": [[], {}],
            "": "empty key",
            "z": -0.5,
        },
    )
    room_id = await fixtures.room_with(doc)
    assert [row.doc for row in await fixtures.messages(room_id)] == [doc]


async def test_the_order_of_metadata_is_kept(fixtures: StoreFixtures) -> None:
    metadata = {"zebra": 1, "a": {"y": 1, "b": 2}, "m": 3}
    room_id = await fixtures.room_with(fixtures.doc(metadata=metadata))
    (row,) = await fixtures.messages(room_id)
    assert list(row.doc.metadata) == ["zebra", "a", "m"]
    assert list(row.doc.metadata["a"]) == ["y", "b"]


async def test_the_same_save_again_changes_nothing(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc()
    room_id = await fixtures.room_with(doc)
    await fixtures.write(saves=[MessageSave(room_id, 1, doc)])
    assert [row.doc for row in await fixtures.messages(room_id)] == [doc]


async def test_a_lower_or_equal_version_changes_nothing(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc(version=5)
    room_id = await fixtures.room_with(doc)
    for version in (0, 4, 5):
        await fixtures.write(saves=[MessageSave(room_id, 1, fixtures.doc(doc.message_id, "other", version=version))])
    assert [row.doc for row in await fixtures.messages(room_id)] == [doc]


async def test_a_higher_version_replaces_every_field(fixtures: StoreFixtures) -> None:
    first = MessageDoc(
        fixtures.message_id(), SenderType.AI, "one", 1, ai_persona="X", finish_reason=FinishReason.STOP,
        usage=Usage(1, 2), error_code="c", error_detail="d", metadata={"a": 1},
    )  # fmt: skip
    second = MessageDoc(first.message_id, SenderType.SYSTEM, "two", 2, version=2, attempt=2)
    room_id = await fixtures.room_with(first)
    await fixtures.write(saves=[MessageSave(room_id, 1, second)])
    assert [row.doc for row in await fixtures.messages(room_id)] == [second]


async def test_the_highest_version_in_one_batch_wins_in_any_order(fixtures: StoreFixtures) -> None:
    room_id, message_id = await fixtures.room_with(), fixtures.message_id()
    docs = [fixtures.doc(message_id, f"v{version}", version=version) for version in (2, 3, 1)]
    await fixtures.write(saves=[MessageSave(room_id, 1, doc) for doc in docs])
    assert [row.doc for row in await fixtures.messages(room_id)] == [docs[1]]


async def test_another_message_in_the_same_slot_is_a_conflict_and_nothing_is_applied(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc()
    room_id = await fixtures.room_with(doc)
    other_room = fixtures.room_id()
    batch = Batch(
        [fixtures.fence()],
        room_creates=[fixtures.create(other_room)],
        message_saves=[MessageSave(other_room, 1, fixtures.doc()), MessageSave(room_id, 1, fixtures.doc(version=9))],
        room_touches=[RoomTouch(room_id, 9, 9, 9)],
    )
    with pytest.raises(SeqConflict) as caught:
        await fixtures.store.apply(SHARD, batch)
    assert f"{room_id} seq 1" in caught.value.debug
    assert [row.doc for row in await fixtures.messages(room_id)] == [doc]
    assert await fixtures.room(other_room) is None
    assert await fixtures.messages(other_room) == []
    room = await fixtures.room(room_id)
    assert room is not None
    assert room.last_seq == 0
    (progress,) = [p for p in await fixtures.store.progress(SHARD) if p.partition == fixtures.partition]
    assert progress.applied.number == fixtures.number
    await fixtures.write(saves=[MessageSave(room_id, 2, fixtures.doc())])


async def test_two_messages_for_one_slot_in_one_batch_are_a_conflict(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    saves = [MessageSave(room_id, 1, fixtures.doc()), MessageSave(room_id, 1, fixtures.doc())]
    with pytest.raises(SeqConflict):
        await fixtures.store.apply(SHARD, Batch([fixtures.fence()], message_saves=saves))
    assert await fixtures.messages(room_id) == []


async def test_deleting_another_message_in_a_slot_is_a_conflict(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc()
    room_id = await fixtures.room_with(doc)
    with pytest.raises(SeqConflict):
        await fixtures.write(deletes=[MessageDelete(room_id, 1, fixtures.message_id(), 5000)])
    assert [(row.doc, row.deleted) for row in await fixtures.messages(room_id)] == [(doc, False)]


async def test_a_deleted_message_is_an_empty_tombstone_that_keeps_its_slot(fixtures: StoreFixtures) -> None:
    docs = [fixtures.doc(content=text, metadata={"k": text}) for text in "abc"]
    room_id = await fixtures.room_with(*docs)
    await fixtures.write(deletes=[MessageDelete(room_id, 2, docs[1].message_id, 5000)])
    found = await fixtures.messages(room_id)
    assert [(row.seq, row.deleted, row.doc.content) for row in found] == [
        (1, False, "a"),
        (2, True, ""),
        (3, False, "c"),
    ]
    assert found[1].doc.metadata == {}
    assert found[1].doc.message_id == docs[1].message_id
    assert found[1].doc.sender_type is SenderType.USER


async def test_a_save_cannot_bring_a_deleted_message_back(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc()
    room_id = await fixtures.room_with(doc)
    await fixtures.write(deletes=[MessageDelete(room_id, 1, doc.message_id, 5000)])
    tombstone = await fixtures.messages(room_id)
    await fixtures.write(saves=[MessageSave(room_id, 1, fixtures.doc(doc.message_id, "back", version=99))])
    await fixtures.write(deletes=[MessageDelete(room_id, 1, doc.message_id, 9999)])
    assert await fixtures.messages(room_id) == tombstone


async def test_a_message_deleted_before_it_was_stored_stays_deleted(fixtures: StoreFixtures) -> None:
    room_id, doc = await fixtures.room_with(), fixtures.doc(content="late", version=3)
    await fixtures.write(deletes=[MessageDelete(room_id, 1, doc.message_id, 5000)])
    await fixtures.write(saves=[MessageSave(room_id, 1, doc)])
    (row,) = await fixtures.messages(room_id)
    assert (row.deleted, row.doc.content, row.doc.message_id) == (True, "", doc.message_id)


async def test_a_message_deleted_before_it_was_stored_keeps_its_author_and_its_time(fixtures: StoreFixtures) -> None:
    room_id, ids = await fixtures.room_with(), [fixtures.message_id() for _ in range(2)]
    complete = MessageDelete(room_id, 1, ids[0], 5000, SenderType.AI, 4000)
    of_an_older_release = MessageDelete(room_id, 2, ids[1], 6000)
    await fixtures.write(deletes=[complete, of_an_older_release])
    rows = await fixtures.messages(room_id)
    assert [(row.deleted, row.doc.sender_type, row.doc.timestamp) for row in rows] == [
        (True, SenderType.AI, 4000),
        (True, SenderType.SYSTEM, 6000),
    ]


async def test_a_tombstone_of_a_stored_message_has_its_own_author_and_time(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc()
    room_id = await fixtures.room_with(doc)
    await fixtures.write(deletes=[MessageDelete(room_id, 1, doc.message_id, 5000, SenderType.AI, 4000)])
    (row,) = await fixtures.messages(room_id)
    assert (row.deleted, row.doc.sender_type, row.doc.timestamp) == (True, doc.sender_type, doc.timestamp)


async def test_a_tombstone_guards_its_slot_against_other_messages(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    await fixtures.write(deletes=[MessageDelete(room_id, 1, fixtures.message_id(), 5000)])
    with pytest.raises(SeqConflict):
        await fixtures.write(saves=[MessageSave(room_id, 1, fixtures.doc())])


@pytest.mark.parametrize(
    "bad",
    [
        {"ai_persona": "x" * 256},
        {"error_code": "x" * 256},
        {"error_detail": "é" * 2**23},
        {"content": "x" * (2**24)},
        {"content": "lone surrogate \ud800"},
        {"metadata": {"s": "\udfff"}},
        {"timestamp": 2**63},
        {"usage": Usage(2**70, 1)},
        {"message_id": MessageId("not-an-id")},
        {"parent_message_id": MessageId("AAAAAAAA-0000-8000-8000-000000000000")},
    ],
    ids=lambda bad: next(iter(bad)),
)
async def test_a_row_that_no_database_takes_is_refused_and_nothing_is_applied(
    fixtures: StoreFixtures, bad: dict[str, object]
) -> None:
    room_id = await fixtures.room_with()
    poison = msgspec.structs.replace(fixtures.doc(), **bad)
    saves = [MessageSave(room_id, 1, fixtures.doc()), MessageSave(room_id, 2, poison)]
    with pytest.raises(RowRefused):
        await fixtures.store.apply(SHARD, Batch([fixtures.fence()], message_saves=saves))
    assert await fixtures.messages(room_id) == []
    await fixtures.write(saves=saves[:1])
    assert len(await fixtures.messages(room_id)) == 1


async def test_pages_are_exact_from_either_end(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with(*[fixtures.doc(content=str(seq)) for seq in range(1, 31)])

    async def page(**where: int | bool | None) -> list[int]:
        found = await fixtures.store.messages_get(SHARD, room_id, **where)  # type: ignore[arg-type]
        return [row.seq for row in found]

    assert await page(limit=5, newest=True) == [26, 27, 28, 29, 30]
    assert await page(limit=5, newest=False) == [1, 2, 3, 4, 5]
    assert await page(below=26, limit=3, newest=True) == [23, 24, 25]
    assert await page(above=26, limit=3, newest=False) == [27, 28, 29]
    assert await page(above=10, below=14, limit=50, newest=True) == [11, 12, 13]
    assert await page(above=10, below=11, limit=50, newest=False) == []
    assert await page(above=30, limit=50, newest=False) == []
    assert await page(limit=0, newest=True) == []


async def test_a_message_is_found_by_its_id_in_its_own_room_only(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc()
    room_id, other = await fixtures.room_with(doc), await fixtures.room_with(fixtures.doc())
    found = await fixtures.store.message_find(SHARD, room_id, doc.message_id)
    assert found is not None
    assert (found.seq, found.doc) == (1, doc)
    assert await fixtures.store.message_find(SHARD, other, doc.message_id) is None
    assert await fixtures.store.message_find(SHARD, room_id, fixtures.message_id()) is None


async def test_the_room_of_a_message_is_found_for_its_account_only(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc()
    room_id, key = await fixtures.room_with(doc), fixtures.key
    find = fixtures.store.message_room
    assert await find(SHARD, key, doc.message_id) == room_id
    assert await find(SHARD, key + 5000, doc.message_id) is None
    assert await find(SHARD, key, fixtures.message_id()) is None
    assert await find(SHARD, key, MessageId(doc.message_id.upper())) is None
    await fixtures.write(room_deletes=[fixtures.delete_room(room_id)])
    assert await find(SHARD, key, doc.message_id) is None


async def test_what_is_no_id_is_not_found(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with(fixtures.doc())
    for wrong in ("", "ff", room_id.upper(), f"{room_id}0", room_id.replace("-", ""), "%"):
        assert await fixtures.room(RoomId(wrong)) is None
        assert await fixtures.messages(RoomId(wrong)) == []
        assert await fixtures.store.message_find(SHARD, RoomId(wrong), MessageId(wrong)) is None
