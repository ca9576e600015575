"""How rooms and messages are written in Redis, and read from there."""

from __future__ import annotations

import pytest

from parlor.cache.records import decode_doc, encode_doc, read_log, read_room, stored_state, tombstone, view
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import Durability, FinishReason, MessageDoc, MessageRow, SenderType, Usage
from parlor.model.parts import Said
from parlor.model.requests import Transition
from parlor.model.states import MessageState

pytestmark = pytest.mark.unit

ROOM = RoomId("room")
DOC = MessageDoc(
    MessageId("m"),
    SenderType.AI,
    "Hé 🎉",
    1000,
    version=2,
    attempt=2,
    ai_persona="GPT4O",
    parent_message_id=MessageId("p"),
    finish_reason=FinishReason.ERROR,
    usage=Usage(3, 4),
    error_code="llm-error",
    error_detail="no",
    metadata={"a": [1, None, {"b": "c"}]},
)


def test_a_document_comes_back_as_it_was() -> None:
    assert decode_doc(encode_doc(DOC)) == DOC


def test_a_tombstone_keeps_place_author_and_time_and_no_word() -> None:
    left = tombstone(DOC)
    assert (left.message_id, left.sender_type, left.timestamp, left.parent_message_id) == (
        "m",
        SenderType.AI,
        1000,
        "p",
    )
    assert (left.content, left.metadata, left.usage, left.error_code, left.finish_reason) == ("", {}, None, None, None)


@pytest.mark.parametrize("state", [MessageState.DELETING, MessageState.DELETED])
def test_what_is_deleted_is_shown_without_its_content(state: MessageState) -> None:
    assert view(ROOM, 2, state, DOC, Said("live")).content == ""


def test_what_is_being_written_is_shown_with_what_there_is() -> None:
    shown = view(ROOM, 2, MessageState.COMPOSING, DOC, Said("so far"))
    assert (shown.content, shown.is_streaming, shown.durability) == ("so far", True, Durability.CACHED)


@pytest.mark.parametrize("state", list(MessageState))
def test_only_what_the_shard_has_is_called_persisted(state: MessageState) -> None:
    stored = state in (MessageState.SENT, MessageState.DELETING, MessageState.DELETED)
    assert (view(ROOM, 1, state, DOC).durability is Durability.PERSISTED) == stored


@pytest.mark.parametrize(
    ("version", "deleted", "state"),
    [(1, False, MessageState.SENT), (0, False, MessageState.COMPOSING), (0, True, MessageState.DELETED)],
)
def test_a_row_tells_the_state_that_redis_forgot(version: int, deleted: bool, state: MessageState) -> None:
    doc = MessageDoc(MessageId("m"), SenderType.AI, "", 1, version=version)
    assert stored_state(MessageRow(1, doc, deleted)) is state


def test_a_log_is_read_line_by_line() -> None:
    assert read_log(b"1,A,B,room;2,B,C,account:x y;") == [
        Transition(1, "A", "B", "room"),
        Transition(2, "B", "C", "account:x y"),
    ]
    assert read_log(None) == read_log(b"") == []


def test_a_room_without_messages_has_no_last_activity() -> None:
    found = read_room(ROOM, [b"ada", b"T", b"P", b"5", b"", b"0", b"ACTIVE", b"0", b"0", None, None])
    assert found is not None
    assert (found.room.last_message_at, found.room.external_id, found.room.metadata) == (None, None, "")
    assert read_room(ROOM, [None] * 11) is None
