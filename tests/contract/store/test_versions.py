"""Versions: what a message said before is kept beside it, once, and goes with it."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from parlor.ids import RoomId
from parlor.model import FinishReason, MessageDoc, SenderType, Usage, ended_version, reserved_version
from parlor.settings import StoreSettings
from parlor.store.ports import Batch, MessageDelete, MessageSave, RowRefused, SeqConflict, VersionSave
from tests.contract.store.test_messages import TEXTS
from tests.contract.store.test_migrations import sql
from tests.contract.store.world import SHARD, World

pytestmark = pytest.mark.contract


def reserved(doc: MessageDoc, attempt: int) -> MessageDoc:
    """The row that keeps the reply's place while an attempt is under way."""
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


async def reply_with_past(world: World, *texts: str) -> tuple[RoomId, list[MessageDoc]]:
    """A reply at seq 1 that said the first texts before and says the last one now; all of its documents."""
    plain = world.doc()
    docs = [ended(plain, attempt, text) for attempt, text in enumerate(texts, 1)]
    room_id = await world.room_with(docs[0])
    for past, now in itertools.pairwise(docs):
        await world.write(saves=[MessageSave(room_id, 1, now)], versions=[VersionSave(room_id, 1, past)])
    return room_id, docs


async def test_every_field_of_a_version_comes_back(world: World) -> None:
    now = world.doc(version=9)
    past = MessageDoc(
        message_id=now.message_id,
        sender_type=SenderType.AI,
        content="Half an ans",
        timestamp=1_750_000_000_123,
        version=7,
        attempt=4,
        ai_persona="",
        parent_message_id=world.message_id(),
        finish_reason=FinishReason.ERROR,
        usage=Usage(0, 2**40),
        error_code="llm-error",
        error_detail="",
        metadata={"n": None, "i": 2**53 + 1, "": "empty key"},
    )
    room_id = await world.room_with(now)
    await world.write(versions=[VersionSave(room_id, 1, past)])
    assert await world.versions(room_id) == [past]
    assert [row.doc for row in await world.messages(room_id)] == [now]


async def test_earlier_attempts_come_back_in_order_and_the_present_one_is_not_among_them(world: World) -> None:
    room_id, docs = await reply_with_past(world, "one", "two", "three")
    assert await world.versions(room_id) == docs[:2]
    assert [row.doc for row in await world.messages(room_id)] == docs[2:]


async def test_a_reserved_row_takes_the_place_of_what_the_attempt_before_ended_with(world: World) -> None:
    plain = world.doc()
    first, again, second = ended(plain, 1, "first"), reserved(plain, 2), ended(plain, 2, "second")
    room_id = await world.room_with(reserved(plain, 1))
    await world.write(saves=[MessageSave(room_id, 1, first)])
    await world.write(saves=[MessageSave(room_id, 1, again)], versions=[VersionSave(room_id, 1, first)])
    assert [row.doc for row in await world.messages(room_id)] == [again]
    assert (again.content, again.finish_reason, again.usage, again.ai_persona) == ("", None, None, None)
    assert await world.versions(room_id) == [first]
    await world.write(saves=[MessageSave(room_id, 1, second)])
    await world.write(saves=[MessageSave(room_id, 1, again)], versions=[VersionSave(room_id, 1, first)])
    assert [row.doc for row in await world.messages(room_id)] == [second], "a late reserved row changes nothing"
    assert await world.versions(room_id) == [first]


async def test_a_version_that_was_never_the_stored_one_is_kept(world: World) -> None:
    """An attempt that was stopped for an edit: the row goes from reserved to reserved."""
    plain = world.doc()
    room_id = await world.room_with(reserved(plain, 1))
    partial = ended(plain, 1, "parti")
    await world.write(saves=[MessageSave(room_id, 1, reserved(plain, 2))], versions=[VersionSave(room_id, 1, partial)])
    assert await world.versions(room_id) == [partial]


async def test_the_first_word_about_a_version_stays(world: World) -> None:
    room_id, docs = await reply_with_past(world, "one", "two", "three")
    other = msgspec.structs.replace(docs[0], content="other")
    await world.write(versions=[VersionSave(room_id, 1, docs[1]), VersionSave(room_id, 1, other)])
    assert await world.versions(room_id) == docs[:2]


async def test_versions_arrive_in_any_order_and_more_than_once(world: World) -> None:
    plain = world.doc()
    docs = [ended(plain, attempt, f"v{attempt}") for attempt in (1, 2, 3, 4)]
    room_id = await world.room_with(docs[3])
    for order in ([2], [0, 2], [1, 0], [0, 1, 2]):
        await world.write(versions=[VersionSave(room_id, 1, docs[index]) for index in order])
    assert await world.versions(room_id) == docs[:3]
    await world.write(saves=[MessageSave(room_id, 1, docs[0])])
    assert [row.doc for row in await world.messages(room_id)] == docs[3:], "a lower version changes nothing"


async def test_a_version_that_is_not_earlier_is_not_shown(world: World) -> None:
    plain = world.doc()
    docs = [ended(plain, attempt, f"v{attempt}") for attempt in (1, 2, 3)]
    room_id = await world.room_with(docs[1])
    await world.write(versions=[VersionSave(room_id, 1, doc) for doc in docs])
    assert await world.versions(room_id) == docs[:1]
    await world.write(saves=[MessageSave(room_id, 1, ended(plain, 4, "v4"))])
    assert await world.versions(room_id) == docs


async def test_versions_belong_to_one_place_of_one_room(world: World) -> None:
    room_id, docs = await reply_with_past(world, "one", "two")
    other, _ = await reply_with_past(world, "three")
    await world.write(saves=[MessageSave(room_id, 2, world.doc())])
    assert await world.versions(room_id) == docs[:1]
    assert await world.versions(room_id, 2) == []
    assert await world.versions(room_id, 3) == []
    assert await world.versions(other) == []
    assert await world.versions(world.room_id()) == []
    for wrong in ("", room_id.upper(), "%"):
        assert await world.versions(RoomId(wrong)) == []


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_an_earlier_text_of_any_script_comes_back_as_it_was(world: World, text: str) -> None:
    doc = world.doc(version=2)
    room_id = await world.room_with(doc)
    past = world.doc(doc.message_id, text, metadata={text: [text]})
    await world.write(versions=[VersionSave(room_id, 1, past)])
    assert await world.versions(room_id) == [past]


async def test_long_versions_come_back_as_they_were(world: World) -> None:
    doc = world.doc(version=9)
    room_id = await world.room_with(doc)
    texts = ["x" * 200_000, "\U0001f600" * 65_536, "'\\\"\n" * 50_000]
    past = [world.doc(doc.message_id, text, version=version) for version, text in enumerate(texts, 1)]
    await world.write(versions=[VersionSave(room_id, 1, doc) for doc in past])
    assert await world.versions(room_id) == past


async def test_a_deleted_message_loses_its_versions_and_a_late_one_brings_nothing_back(
    world: World, settings: StoreSettings
) -> None:
    room_id, docs = await reply_with_past(world, "secret one", "secret two", "secret three")
    number = room_id.replace("-", "").upper()
    rows = f"SELECT COUNT(*) FROM message_versions WHERE HEX(room_id) = '{number}'"  # noqa: S608  # an id of ours
    assert await sql(settings, SHARD, rows) == [(2,)]
    await world.write(deletes=[MessageDelete(room_id, 1, docs[0].message_id, 5000)])
    assert await world.versions(room_id) == []
    assert await sql(settings, SHARD, rows) == [(0,)]
    await world.write(
        saves=[MessageSave(room_id, 1, docs[2])], versions=[VersionSave(room_id, 1, doc) for doc in docs[:2]]
    )
    assert await sql(settings, SHARD, rows) == [(0,)]
    assert [(row.deleted, row.doc.content) for row in await world.messages(room_id)] == [(True, "")]


async def test_a_message_deleted_in_the_batch_that_keeps_a_version_has_none(world: World) -> None:
    plain = world.doc()
    room_id = await world.room_with(ended(plain, 1, "one"))
    await world.write(
        saves=[MessageSave(room_id, 1, ended(plain, 2, "two"))],
        versions=[VersionSave(room_id, 1, ended(plain, 1, "one"))],
        deletes=[MessageDelete(room_id, 1, plain.message_id, 5000)],
    )
    assert await world.versions(room_id) == []


async def test_a_message_deleted_before_it_was_stored_takes_no_version(world: World) -> None:
    room_id, plain = await world.room_with(), world.doc()
    await world.write(deletes=[MessageDelete(room_id, 1, plain.message_id, 5000)])
    await world.write(versions=[VersionSave(room_id, 1, ended(plain, 1, "late"))])
    assert await world.versions(room_id) == []


async def test_a_delete_leaves_the_versions_of_other_messages(world: World) -> None:
    room_id, docs = await reply_with_past(world, "one", "two")
    gone = world.doc(version=2)
    await world.write(
        saves=[MessageSave(room_id, 2, gone)], versions=[VersionSave(room_id, 2, world.doc(gone.message_id))]
    )
    await world.write(deletes=[MessageDelete(room_id, 2, gone.message_id, 5000)])
    assert await world.versions(room_id) == docs[:1]
    assert await world.versions(room_id, 2) == []


async def test_a_delete_of_another_message_erases_nothing(world: World) -> None:
    room_id, docs = await reply_with_past(world, "one", "two")
    with pytest.raises(SeqConflict):
        await world.write(deletes=[MessageDelete(room_id, 1, world.message_id(), 5000)])
    assert await world.versions(room_id) == docs[:1]


async def test_a_deleted_room_shows_no_versions(world: World) -> None:
    room_id, _ = await reply_with_past(world, "one", "two")
    await world.write(room_deletes=[world.delete_room(room_id)])
    assert await world.versions(room_id) == []


async def test_a_version_of_another_message_is_a_conflict_and_nothing_is_applied(world: World) -> None:
    room_id, docs = await reply_with_past(world, "one", "two")
    save, stranger = MessageSave(room_id, 1, ended(docs[0], 3, "three")), VersionSave(room_id, 1, world.doc())
    with pytest.raises(SeqConflict) as caught:
        await world.store.apply(SHARD, Batch([world.fence()], message_saves=[save], version_saves=[stranger]))
    assert f"{room_id} seq 1" in caught.value.debug
    assert [row.doc for row in await world.messages(room_id)] == docs[1:]
    assert await world.versions(room_id) == docs[:1]


async def test_a_version_of_a_message_that_is_not_there_is_refused_and_nothing_is_applied(world: World) -> None:
    room_id = await world.room_with(world.doc())
    batch = Batch(
        [world.fence()],
        message_saves=[MessageSave(room_id, 2, world.doc())],
        version_saves=[VersionSave(room_id, 3, world.doc())],
    )
    with pytest.raises(RowRefused) as caught:
        await world.store.apply(SHARD, batch)
    assert not isinstance(caught.value, SeqConflict)
    assert [row.seq for row in await world.messages(room_id)] == [1]


@pytest.mark.parametrize(
    "bad",
    [{"ai_persona": "x" * 256}, {"error_code": "x" * 256}, {"content": "\ud800"}, {"timestamp": 2**63}],
    ids=lambda bad: next(iter(bad)),
)
async def test_a_version_that_no_database_takes_is_refused(world: World, bad: dict[str, object]) -> None:
    doc = world.doc(version=2)
    room_id = await world.room_with(doc)
    poison = msgspec.structs.replace(world.doc(doc.message_id), **bad)
    with pytest.raises(RowRefused):
        await world.store.apply(SHARD, Batch([world.fence()], version_saves=[VersionSave(room_id, 1, poison)]))
    assert await world.versions(room_id) == []
