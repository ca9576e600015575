"""The parts of a message come back as they were stored, in messages and versions, and go with what was deleted."""

from __future__ import annotations

import msgspec
import pytest

from parlor.model.parts import FilePart, ImagePart, ReasoningPart, StoredParts, TextSpan, parts_of
from parlor.settings import StoreSettings
from parlor.store.ports import MessageDelete, MessageSave, VersionSave
from tests.contract.store.databases import sql
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract

PARTS: StoredParts = (
    ReasoningPart('hm\u2028"\\ \U0001f914', 12),
    TextSpan(2),
    ImagePart("f1", "a.png", "image/png", 10),
    FilePart("f2", "b \u00fc.csv", "text/csv", 2**40),
    TextSpan(3),
)


async def test_parts_are_stored_with_the_message_and_its_versions(fixtures: StoreFixtures) -> None:
    plain = fixtures.doc(content="Hello")
    first = msgspec.structs.replace(plain, parts=PARTS)
    second = msgspec.structs.replace(plain, content="Hi", version=2)
    room_id = await fixtures.room_with(first)
    assert [row.doc for row in await fixtures.messages(room_id)] == [first]
    assert "".join(getattr(part, "text", "") for part in parts_of("Hello", PARTS)[1:]) == "Hello"
    await fixtures.write(saves=[MessageSave(room_id, 1, second)], versions=[VersionSave(room_id, 1, first)])
    assert [row.doc for row in await fixtures.messages(room_id)] == [second], "the parts went with the text"
    assert await fixtures.versions(room_id) == [first]
    found = await fixtures.store.message_find(SHARD, room_id, plain.message_id)
    assert found is not None
    assert found.doc == second


async def test_a_single_text_stores_no_parts(fixtures: StoreFixtures, settings: StoreSettings) -> None:
    room_id = await fixtures.room_with(fixtures.doc(content="Hello"))
    key = room_id.replace("-", "")
    (stored,) = await sql(settings, 1, f"SELECT parts FROM messages WHERE room_id = x'{key}'")  # noqa: S608 - a UUID
    assert stored == (None,)


async def test_what_was_deleted_has_no_parts(fixtures: StoreFixtures, settings: StoreSettings) -> None:
    doc = msgspec.structs.replace(fixtures.doc(content="Hello"), parts=PARTS)
    room_id = await fixtures.room_with(doc)
    await fixtures.write(deletes=[MessageDelete(room_id, 1, doc.message_id, 5000)])
    (row,) = await fixtures.messages(room_id)
    assert (row.deleted, row.doc.content, row.doc.parts) == (True, "", None)
