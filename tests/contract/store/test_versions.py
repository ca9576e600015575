"""Versions: what a message said before is kept beside it, once, and goes with it."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason, MessageDoc, SenderType, Usage, ended_version, reserved_version
from parlor.settings import StoreSettings
from parlor.store.ports import Batch, MessageDelete, MessageSave, RowRefused, SeqConflict, VersionSave
from tests.contract.store.databases import sql
from tests.contract.store.fixtures import SHARD, StoreFixtures
from tests.contract.store.test_messages import TEXTS

pytestmark = pytest.mark.contract


def reserved(doc: MessageDoc, attempt: int) -> MessageDoc:
    """The row that keeps the reply's slot while an attempt is under way."""
    return MessageDoc(doc.message_id, SenderType.AI, "", 3000, version=reserved_version(attempt), attempt=attempt)


def ended(doc: MessageDoc, attempt: int, content: str) -> MessageDoc:
    return MessageDoc(
        message_id=doc.message_id,
        sender_type=SenderType.AI,
        content=content,
        timestamp=3000 + attempt,
        version=ended_version(attempt),
        attempt=attempt,
        ai_persona="GPT4O",
        finish_reason=FinishReason.STOP,
        usage=Usage(10 * attempt, attempt),
    )


async def reply_with_past(fixtures: StoreFixtures, *texts: str) -> tuple[RoomId, list[MessageDoc]]:
    """A reply at seq 1 that said the first texts before and says the last one now; all of its documents."""
    plain = fixtures.doc()
    docs = [ended(plain, attempt, text) for attempt, text in enumerate(texts, 1)]
    room_id = await fixtures.room_with(docs[0])
    for past, now in itertools.pairwise(docs):
        await fixtures.write(saves=[MessageSave(room_id, 1, now)], versions=[VersionSave(room_id, 1, past)])
    return room_id, docs


async def test_every_field_of_a_version_comes_back(fixtures: StoreFixtures) -> None:
    now = fixtures.doc(version=9)
    past = MessageDoc(
        message_id=now.message_id,
        sender_type=SenderType.AI,
        content="Half an ans",
        timestamp=1_750_000_000_123,
        version=7,
        attempt=4,
        ai_persona="",
        parent_message_id=fixtures.message_id(),
        finish_reason=FinishReason.ERROR,
        usage=Usage(0, 2**40),
        error_code="llm-error",
        error_detail="",
        metadata={"n": None, "i": 2**53 + 1, "": "empty key"},
    )
    room_id = await fixtures.room_with(now)
    await fixtures.write(versions=[VersionSave(room_id, 1, past)])
    assert await fixtures.versions(room_id) == [past]
    assert [row.doc for row in await fixtures.messages(room_id)] == [now]


async def test_earlier_attempts_come_back_in_order_and_the_present_one_is_not_among_them(
    fixtures: StoreFixtures,
) -> None:
    room_id, docs = await reply_with_past(fixtures, "one", "two", "three")
    assert await fixtures.versions(room_id) == docs[:2]
    assert [row.doc for row in await fixtures.messages(room_id)] == docs[2:]


async def test_a_reserved_row_replaces_what_the_attempt_before_ended_with(fixtures: StoreFixtures) -> None:
    plain = fixtures.doc()
    first, again, second = ended(plain, 1, "first"), reserved(plain, 2), ended(plain, 2, "second")
    room_id = await fixtures.room_with(reserved(plain, 1))
    await fixtures.write(saves=[MessageSave(room_id, 1, first)])
    await fixtures.write(saves=[MessageSave(room_id, 1, again)], versions=[VersionSave(room_id, 1, first)])
    assert [row.doc for row in await fixtures.messages(room_id)] == [again]
    assert (again.content, again.finish_reason, again.usage, again.ai_persona) == ("", None, None, None)
    assert await fixtures.versions(room_id) == [first]
    await fixtures.write(saves=[MessageSave(room_id, 1, second)])
    await fixtures.write(saves=[MessageSave(room_id, 1, again)], versions=[VersionSave(room_id, 1, first)])
    assert [row.doc for row in await fixtures.messages(room_id)] == [second], "a late reserved row changes nothing"
    assert await fixtures.versions(room_id) == [first]


async def test_a_version_that_was_never_the_stored_one_is_kept(fixtures: StoreFixtures) -> None:
    """An attempt that was stopped for an edit: the row goes from reserved to reserved."""
    plain = fixtures.doc()
    room_id = await fixtures.room_with(reserved(plain, 1))
    partial = ended(plain, 1, "parti")
    await fixtures.write(
        saves=[MessageSave(room_id, 1, reserved(plain, 2))], versions=[VersionSave(room_id, 1, partial)]
    )
    assert await fixtures.versions(room_id) == [partial]


async def test_the_first_word_about_a_version_stays(fixtures: StoreFixtures) -> None:
    room_id, docs = await reply_with_past(fixtures, "one", "two", "three")
    other = msgspec.structs.replace(docs[0], content="other")
    await fixtures.write(versions=[VersionSave(room_id, 1, docs[1]), VersionSave(room_id, 1, other)])
    assert await fixtures.versions(room_id) == docs[:2]


async def test_versions_arrive_in_any_order_and_more_than_once(fixtures: StoreFixtures) -> None:
    plain = fixtures.doc()
    docs = [ended(plain, attempt, f"v{attempt}") for attempt in (1, 2, 3, 4)]
    room_id = await fixtures.room_with(docs[3])
    for order in ([2], [0, 2], [1, 0], [0, 1, 2]):
        await fixtures.write(versions=[VersionSave(room_id, 1, docs[index]) for index in order])
    assert await fixtures.versions(room_id) == docs[:3]
    await fixtures.write(saves=[MessageSave(room_id, 1, docs[0])])
    assert [row.doc for row in await fixtures.messages(room_id)] == docs[3:], "a lower version changes nothing"


async def test_a_version_that_is_not_earlier_is_not_shown(fixtures: StoreFixtures) -> None:
    plain = fixtures.doc()
    docs = [ended(plain, attempt, f"v{attempt}") for attempt in (1, 2, 3)]
    room_id = await fixtures.room_with(docs[1])
    await fixtures.write(versions=[VersionSave(room_id, 1, doc) for doc in docs])
    assert await fixtures.versions(room_id) == docs[:1]
    await fixtures.write(saves=[MessageSave(room_id, 1, ended(plain, 4, "v4"))])
    assert await fixtures.versions(room_id) == docs


async def test_versions_belong_to_one_slot_of_one_room(fixtures: StoreFixtures) -> None:
    room_id, docs = await reply_with_past(fixtures, "one", "two")
    other, _ = await reply_with_past(fixtures, "three")
    await fixtures.write(saves=[MessageSave(room_id, 2, fixtures.doc())])
    assert await fixtures.versions(room_id) == docs[:1]
    assert await fixtures.versions(room_id, 2) == []
    assert await fixtures.versions(room_id, 3) == []
    assert await fixtures.versions(other) == []
    assert await fixtures.versions(fixtures.room_id()) == []
    for wrong in ("", room_id.upper(), "%"):
        assert await fixtures.versions(RoomId(wrong)) == []


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_an_earlier_text_of_any_script_comes_back_as_it_was(fixtures: StoreFixtures, text: str) -> None:
    doc = fixtures.doc(version=2)
    room_id = await fixtures.room_with(doc)
    past = fixtures.doc(doc.message_id, text, metadata={text: [text]})
    await fixtures.write(versions=[VersionSave(room_id, 1, past)])
    assert await fixtures.versions(room_id) == [past]


async def test_long_versions_come_back_as_they_were(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc(version=9)
    room_id = await fixtures.room_with(doc)
    texts = ["x" * 200_000, "\U0001f600" * 65_536, "'\\\"\n" * 50_000]
    past = [fixtures.doc(doc.message_id, text, version=version) for version, text in enumerate(texts, 1)]
    await fixtures.write(versions=[VersionSave(room_id, 1, doc) for doc in past])
    assert await fixtures.versions(room_id) == past


async def test_a_deleted_message_loses_its_versions_and_a_late_one_brings_nothing_back(
    fixtures: StoreFixtures, settings: StoreSettings
) -> None:
    room_id, docs = await reply_with_past(fixtures, "secret one", "secret two", "secret three")
    number = room_id.replace("-", "").upper()
    rows = f"SELECT COUNT(*) FROM message_versions WHERE HEX(room_id) = '{number}'"  # noqa: S608  # an id of ours
    assert await sql(settings, SHARD, rows) == [(2,)]
    await fixtures.write(deletes=[MessageDelete(room_id, 1, docs[0].message_id, 5000)])
    assert await fixtures.versions(room_id) == []
    assert await sql(settings, SHARD, rows) == [(0,)]
    await fixtures.write(
        saves=[MessageSave(room_id, 1, docs[2])], versions=[VersionSave(room_id, 1, doc) for doc in docs[:2]]
    )
    assert await sql(settings, SHARD, rows) == [(0,)]
    assert [(row.deleted, row.doc.content) for row in await fixtures.messages(room_id)] == [(True, "")]


async def test_a_message_deleted_in_the_batch_that_keeps_a_version_has_none(fixtures: StoreFixtures) -> None:
    plain = fixtures.doc()
    room_id = await fixtures.room_with(ended(plain, 1, "one"))
    await fixtures.write(
        saves=[MessageSave(room_id, 1, ended(plain, 2, "two"))],
        versions=[VersionSave(room_id, 1, ended(plain, 1, "one"))],
        deletes=[MessageDelete(room_id, 1, plain.message_id, 5000)],
    )
    assert await fixtures.versions(room_id) == []


async def test_a_message_deleted_before_it_was_stored_takes_no_version(fixtures: StoreFixtures) -> None:
    room_id, plain = await fixtures.room_with(), fixtures.doc()
    await fixtures.write(deletes=[MessageDelete(room_id, 1, plain.message_id, 5000)])
    await fixtures.write(versions=[VersionSave(room_id, 1, ended(plain, 1, "late"))])
    assert await fixtures.versions(room_id) == []


async def test_a_delete_leaves_the_versions_of_other_messages(fixtures: StoreFixtures) -> None:
    room_id, docs = await reply_with_past(fixtures, "one", "two")
    gone = fixtures.doc(version=2)
    await fixtures.write(
        saves=[MessageSave(room_id, 2, gone)], versions=[VersionSave(room_id, 2, fixtures.doc(gone.message_id))]
    )
    await fixtures.write(deletes=[MessageDelete(room_id, 2, gone.message_id, 5000)])
    assert await fixtures.versions(room_id) == docs[:1]
    assert await fixtures.versions(room_id, 2) == []


async def test_a_delete_of_another_message_erases_nothing(fixtures: StoreFixtures) -> None:
    room_id, docs = await reply_with_past(fixtures, "one", "two")
    with pytest.raises(SeqConflict):
        await fixtures.write(deletes=[MessageDelete(room_id, 1, fixtures.message_id(), 5000)])
    assert await fixtures.versions(room_id) == docs[:1]


async def test_a_deleted_room_shows_no_versions(fixtures: StoreFixtures) -> None:
    room_id, _ = await reply_with_past(fixtures, "one", "two")
    await fixtures.write(room_deletes=[fixtures.delete_room(room_id)])
    assert await fixtures.versions(room_id) == []


async def test_a_version_of_another_message_is_a_conflict_and_nothing_is_applied(fixtures: StoreFixtures) -> None:
    room_id, docs = await reply_with_past(fixtures, "one", "two")
    save, stranger = MessageSave(room_id, 1, ended(docs[0], 3, "three")), VersionSave(room_id, 1, fixtures.doc())
    with pytest.raises(SeqConflict) as caught:
        await fixtures.store.apply(SHARD, Batch([fixtures.fence()], message_saves=[save], version_saves=[stranger]))
    assert f"{room_id} seq 1" in caught.value.debug
    assert [row.doc for row in await fixtures.messages(room_id)] == docs[1:]
    assert await fixtures.versions(room_id) == docs[:1]


async def test_a_version_of_a_message_that_is_not_there_is_refused_and_nothing_is_applied(
    fixtures: StoreFixtures,
) -> None:
    room_id = await fixtures.room_with(fixtures.doc())
    batch = Batch(
        [fixtures.fence()],
        message_saves=[MessageSave(room_id, 2, fixtures.doc())],
        version_saves=[VersionSave(room_id, 3, fixtures.doc())],
    )
    with pytest.raises(RowRefused) as caught:
        await fixtures.store.apply(SHARD, batch)
    assert not isinstance(caught.value, SeqConflict)
    assert [row.seq for row in await fixtures.messages(room_id)] == [1]


@pytest.mark.parametrize(
    "bad",
    [{"ai_persona": "x" * 256}, {"error_code": "x" * 256}, {"content": "\ud800"}, {"timestamp": 2**63}],
    ids=lambda bad: next(iter(bad)),
)
async def test_a_version_that_no_database_takes_is_refused(fixtures: StoreFixtures, bad: dict[str, object]) -> None:
    doc = fixtures.doc(version=2)
    room_id = await fixtures.room_with(doc)
    poison = msgspec.structs.replace(fixtures.doc(doc.message_id), **bad)
    with pytest.raises(RowRefused):
        await fixtures.store.apply(SHARD, Batch([fixtures.fence()], version_saves=[VersionSave(room_id, 1, poison)]))
    assert await fixtures.versions(room_id) == []
