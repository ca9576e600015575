"""Rows on their way to a shard, and back."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from parlor.errors import ParlorError, StoreUnavailable
from parlor.model.ids import AccountId, MessageId, Partition, RoomId
from parlor.model.messages import MessageDoc, QueuePosition, SenderType
from parlor.store.ports import (
    Batch,
    Fence,
    MessageSave,
    RoomCreate,
    RoomTouch,
    RoomUpdate,
    RowRefused,
    SeqConflict,
    SummarySave,
    Use,
    VersionSave,
)
from parlor.store.rows import encode_batch, encode_fences, full_room_row, refused_partitions, room_row

pytestmark = pytest.mark.unit

ROOM_A = RoomId("00000000-0000-8000-8000-00000000000a")
ROOM_B = RoomId("00000000-0000-8000-8000-00000000000b")
MESSAGE = MessageId("00000000-0000-8000-8000-00000000000c")


def doc(**fields: object) -> MessageDoc:
    return msgspec.structs.replace(MessageDoc(MESSAGE, SenderType.USER, "x", 1), **fields)


def parts(batch: Batch) -> dict[str, list[dict[str, object]]]:
    rows, saves = encode_batch(batch)
    found = msgspec.json.decode(rows, type=dict[str, list[dict[str, object]]])
    return {**found, "message_saves": msgspec.json.decode(saves)}


def test_rows_are_sorted_by_primary_key() -> None:
    saves = [MessageSave(ROOM_B, 1, doc()), MessageSave(ROOM_A, 2, doc()), MessageSave(ROOM_A, 1, doc(version=2))]
    creates = [RoomCreate(room, Partition(0), AccountId("a"), 1, "t", "p", 1, 1) for room in (ROOM_B, ROOM_A)]
    uses = [Use(2, 8, 1, 1, 1), Use(1, 9, 1, 1, 1), Use(1, 8, 1, 1, 1)]
    found = parts(Batch([], room_creates=creates, message_saves=saves, uses=uses))
    assert [(row["room_id"], row["seq"]) for row in found["message_saves"]] == [(ROOM_A, 1), (ROOM_A, 2), (ROOM_B, 1)]
    assert [row["room_id"] for row in found["room_creates"]] == [ROOM_A, ROOM_B]
    assert [(row["account_db_key"], row["quarter"]) for row in found["uses"]] == [(1, 8), (1, 9), (2, 8)]


def test_fences_are_sorted_by_partition() -> None:
    fences = [Fence(Partition(number), 1, QueuePosition(2, 3)) for number in (5, 1, 3)]
    found = msgspec.json.decode(encode_fences(fences))
    assert [fence["partition"] for fence in found] == [1, 3, 5]
    assert found[0] == {"partition": 1, "epoch": 1, "incarnation": 2, "number": 3}


def test_an_absent_field_is_left_out_and_an_empty_one_is_not() -> None:
    (row,) = parts(Batch([], message_saves=[MessageSave(ROOM_A, 1, doc(ai_persona=""))]))["message_saves"]
    assert row["ai_persona"] == ""
    assert {"parent_message_id", "finish_reason", "input_tokens", "error_code"}.isdisjoint(row)
    (touch,) = parts(Batch([], room_touches=[RoomTouch(ROOM_A, 1, 1, None)]))["room_touches"]
    assert "last_message_at" not in touch


def test_no_json_null_is_ever_sent() -> None:
    batch = Batch([], message_saves=[MessageSave(ROOM_A, 1, doc())], room_touches=[RoomTouch(ROOM_A, 1, 1, None)])
    assert all("null" not in text for text in encode_batch(batch))


def test_versions_are_rows_like_messages_in_the_order_of_their_key() -> None:
    docs = [doc(version=3), doc(version=1, ai_persona="GPT4O")]
    saves = [VersionSave(ROOM_B, 1, docs[0]), *(VersionSave(ROOM_A, 2, one) for one in docs)]
    found = parts(Batch([], version_saves=saves))["version_saves"]
    assert [(row["room_id"], row["seq"], row["version"]) for row in found] == [
        (ROOM_A, 2, 1),
        (ROOM_A, 2, 3),
        (ROOM_B, 1, 3),
    ]
    (save,) = parts(Batch([], message_saves=[MessageSave(ROOM_B, 1, docs[0])]))["message_saves"]
    assert save == found[2]


def test_a_room_gets_one_summary_in_a_batch_the_newest() -> None:
    saves = [SummarySave(ROOM_B, "b", 1, 1, 5), SummarySave(ROOM_A, "", 0, 3, 7), SummarySave(ROOM_A, "a", 4, 2, 6)]
    assert parts(Batch([], summary_saves=saves))["summary_saves"] == [
        {"room_id": ROOM_A, "summary": "", "through_seq": 0, "version": 3, "updated_at": 7},
        {"room_id": ROOM_B, "summary": "b", "through_seq": 1, "version": 1, "updated_at": 5},
    ]


def test_the_long_part_comes_last_and_messages_by_themselves() -> None:
    rows, saves = encode_batch(Batch([], message_saves=[MessageSave(ROOM_A, 1, doc())]))
    assert list(msgspec.json.decode(rows))[-1] == "version_saves"
    assert MESSAGE in saves
    assert MESSAGE not in rows


def test_a_room_is_touched_and_renamed_once_in_a_batch() -> None:
    touches = [RoomTouch(ROOM_A, 5, 1, 1), RoomTouch(ROOM_A, 4, 9, 9), RoomTouch(ROOM_A, 5, 2, 2)]
    updates = [RoomUpdate(ROOM_A, "new", 3), RoomUpdate(ROOM_A, "old", 2), RoomUpdate(ROOM_A, "same", 3)]
    found = parts(Batch([], room_touches=touches, room_updates=updates))
    assert [row["message_count"] for row in found["room_touches"]] == [2]
    assert [row["title"] for row in found["room_updates"]] == ["new"]


@pytest.mark.parametrize(
    "save",
    [
        MessageSave(RoomId("x"), 1, doc()),
        MessageSave(RoomId(ROOM_A.upper()), 1, doc()),
        MessageSave(ROOM_A, 2**63, doc()),
        MessageSave(ROOM_A, 1, doc(timestamp=-(2**63) - 1)),
        MessageSave(ROOM_A, 1, doc(content="\ud800")),
        MessageSave(ROOM_A, 1, doc(content="x" * 2**22)),
        MessageSave(ROOM_A, 1, doc(metadata={"o": object()})),
        MessageSave(ROOM_A, 1, doc(parent_message_id=MessageId(""))),
    ],
)
def test_what_no_database_can_hold_is_refused(save: MessageSave) -> None:
    as_version = VersionSave(save.room_id, save.seq, save.doc)
    for batch in (Batch([], message_saves=[save]), Batch([], version_saves=[as_version])):
        with pytest.raises(RowRefused) as caught:
            encode_batch(batch)
        assert len(caught.value.debug) < 500


def test_a_row_of_another_shape_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        room_row((b"\0" * 16, "a", "not a number"))


def test_a_room_of_tables_that_are_not_migrated_is_unavailable() -> None:
    row = (b"\0" * 16, "a", 1, "t", "p", 1, None, 0, 1, 0, None)
    assert room_row(row).summary == ""
    with pytest.raises(StoreUnavailable):
        full_room_row(row)
    assert full_room_row((*row, "sum", 4, 5, 1, None)).summary == "sum"


def test_refused_partitions_are_read_as_text_or_bytes() -> None:
    assert refused_partitions([("[]",)]) == []
    assert refused_partitions([(b"[2, 3]",)]) == [2, 3]
    with pytest.raises(StoreUnavailable):
        refused_partitions([(None,)])


@pytest.mark.parametrize("kind", [RowRefused, SeqConflict])
def test_the_stores_errors_survive_pickling_and_the_wire(kind: type[ParlorError]) -> None:
    error = kind(debug="why")
    for again in (pickle.loads(pickle.dumps(error)), ParlorError.from_wire(error.to_wire())):  # noqa: S301  # our own
        assert type(again) is kind
        assert again.debug == "why"
