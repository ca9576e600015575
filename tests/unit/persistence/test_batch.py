"""Making one transaction of queued operations."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.queue import QueueEntry
from parlor.model.ids import AccountId, IdMint, MessageId, Partition, RoomId
from parlor.model.messages import MessageDoc, QueuePosition, SenderType, Usage, ended_version, reserved_version
from parlor.persistence.batch import build_batch
from parlor.store.ports import Fence, SummarySave, Use
from tests.unit.fake_clock import NOW_MS, FakeClock, SeededEntropy

pytestmark = pytest.mark.unit

mint = IdMint(FakeClock(), SeededEntropy())
HOME, NEIGHBOUR = Partition(0), Partition(2)
ROOM, OTHER = mint.room_id(HOME), mint.room_id(NEIGHBOUR)
M1, M2 = mint.message_id(HOME), mint.message_id(HOME)
NOON = 1_795_435_200_000  # 2026-11-23T12:00:00Z
QUARTER = NOON // 900_000
EPOCHS = {HOME: 7, NEIGHBOUR: 9}


class Queue:
    """Numbers entries as a partition does."""

    def __init__(self, room_id: RoomId = ROOM, partition: Partition = HOME, incarnation: int = 1) -> None:
        self._address = RoomAddress(room_id, AccountId("ada"), 5)
        self._partition = partition
        self._incarnation = incarnation
        self._number = 0

    def entry(self, op: str, **fields: object) -> QueueEntry:
        self._number += 1
        position = QueuePosition(self._incarnation, self._number)
        return QueueEntry(self._partition, position, op, self._address, **fields)  # type: ignore[arg-type]

    def save(
        self,
        seq: int = 1,
        content: str = "x",
        *,
        message_id: MessageId = M1,
        version: int = 1,
        final: bool = True,
        at: int = NOON,
        usage: Usage | None = None,
        sender: SenderType = SenderType.USER,
        last_seq: int = 1,
        count: int = 1,
        past: MessageDoc | None = None,
        recount: bool = False,
    ) -> QueueEntry:
        doc = MessageDoc(message_id, sender, content, at, version=version, usage=usage)
        return self.entry(
            "CHAT_MESSAGE_SAVE",
            seq=seq,
            doc=doc,
            message_id=message_id,
            final=final,
            at=at,
            active=at,
            last_seq=last_seq,
            count=count,
            past=past,
            recount=recount,
        )


def test_an_empty_queue_makes_an_empty_batch() -> None:
    batch = build_batch([], [], {})
    assert (batch.fences, batch.message_saves) == ([], [])


def test_each_partition_has_one_fence_at_its_last_position() -> None:
    mine, yours = Queue(), Queue(OTHER, NEIGHBOUR, incarnation=3)
    entries = [yours.save(), mine.save(), mine.save(2, message_id=M2), yours.save(2, message_id=M2)]
    batch = build_batch(entries, [True] * 4, EPOCHS)
    assert batch.fences == [
        Fence(HOME, 7, QueuePosition(1, 2)),
        Fence(NEIGHBOUR, 9, QueuePosition(3, 2)),
    ]


def test_a_position_of_a_later_incarnation_is_the_later_one() -> None:
    old, new = Queue(incarnation=1), Queue(incarnation=2)
    entries = [*[old.save(n) for n in range(1, 10)], new.save(10)]
    batch = build_batch(entries, [True] * 10, EPOCHS)
    assert batch.fences == [Fence(HOME, 7, QueuePosition(2, 1))]


def test_of_several_contents_of_a_message_the_newest_is_written() -> None:
    queue = Queue()
    entries = [
        queue.save(2, "", version=0, final=False),
        queue.save(2, "second", version=2),
        queue.save(2, "first", version=1),
    ]
    (saved,) = build_batch(entries, [True] * 3, EPOCHS).message_saves
    assert (saved.doc.content, saved.doc.version) == ("second", 2)


def test_of_two_contents_with_one_version_the_later_is_written() -> None:
    queue = Queue()
    (saved,) = build_batch([queue.save(content="a"), queue.save(content="b")], [True] * 2, EPOCHS).message_saves
    assert saved.doc.content == "b"


def test_what_is_not_wanted_is_not_written_but_still_counts_for_the_room() -> None:
    queue = Queue()
    entries = [queue.save(1, "secret", last_seq=1, count=1), queue.save(2, "kept", message_id=M2, last_seq=2, count=1)]
    batch = build_batch(entries, [False, True], EPOCHS)
    assert [save.doc.content for save in batch.message_saves] == ["kept"]
    # Its place is not left empty: the delete behind it could be lost with Redis.
    assert [(delete.seq, delete.message_id, delete.sender_type) for delete in batch.message_deletes] == [
        (1, M1, SenderType.USER)
    ]
    assert [(touch.last_seq, touch.message_count) for touch in batch.room_touches] == [(2, 1)]
    assert batch.fences[0].applied == QueuePosition(1, 2)


def test_the_last_word_about_a_room_counts() -> None:
    queue = Queue()
    batch = build_batch(
        [
            queue.entry("CHAT_ROOM_CREATE", title="one", persona="GPT4O", at=NOON, version=1),
            queue.entry("CHAT_ROOM_UPDATE", title="two", version=2),
            queue.entry("CHAT_ROOM_UPDATE", title="three", version=3),
            queue.entry("CHAT_ROOM_DELETE", at=NOON + 1),
        ],
        [True] * 4,
        EPOCHS,
    )
    (create,) = batch.room_creates
    assert (create.title, create.partition, create.account_db_key, create.created_at) == ("one", HOME, 5, NOON)
    assert [(update.title, update.version) for update in batch.room_updates] == [("three", 3)]
    assert [(delete.room_id, delete.deleted_at) for delete in batch.room_deletes] == [(ROOM, NOON + 1)]


def test_a_title_that_comes_back_late_does_not_hide_the_newer_one() -> None:
    queue = Queue()
    entries = [
        queue.entry("CHAT_ROOM_UPDATE", title="new", version=3),
        queue.entry("CHAT_ROOM_UPDATE", title="replayed", version=2),
    ]
    (update,) = build_batch(entries, [True] * 2, EPOCHS).room_updates
    assert (update.title, update.version) == ("new", 3)


def test_an_operation_that_comes_back_late_does_not_set_the_room_back() -> None:
    queue = Queue()
    entries = [
        queue.save(9, last_seq=9, count=9),
        queue.save(4, message_id=M2, last_seq=4, count=4),
        queue.entry("CHAT_MESSAGE_DELETE", seq=3, message_id=M1, at=NOON, last_seq=9, count=8),
        queue.entry("CHAT_MESSAGE_DELETE", seq=2, message_id=M1, at=NOON, last_seq=4, count=3),
    ]
    (touch,) = build_batch(entries, [True] * 4, EPOCHS).room_touches
    assert (touch.last_seq, touch.message_count) == (9, 8)


def test_a_summary_is_saved_without_a_title_and_a_title_without_a_summary() -> None:
    queue = Queue()
    entries = [
        queue.entry("CHAT_ROOM_UPDATE", summary="so far", through_seq=6, summary_version=2, at=NOON),
        queue.entry("CHAT_ROOM_UPDATE", title="new", version=5, at=NOON),
    ]
    alone = build_batch(entries[:1], [True], EPOCHS)
    assert alone.room_updates == []
    assert alone.summary_saves == [SummarySave(ROOM, "so far", 6, 2, NOON)]
    both = build_batch(entries, [True] * 2, EPOCHS)
    assert both.summary_saves == alone.summary_saves
    assert [(update.title, update.version) for update in both.room_updates] == [("new", 5)]


def test_of_several_summaries_the_newest_is_written_an_empty_one_too() -> None:
    queue = Queue()
    entries = [
        queue.entry("CHAT_ROOM_UPDATE", summary="one", through_seq=4, summary_version=1, at=NOON),
        queue.entry("CHAT_ROOM_UPDATE", summary="", summary_version=3, at=NOON + 2),
        queue.entry("CHAT_ROOM_UPDATE", summary="replayed", through_seq=8, summary_version=2, at=NOON + 1),
    ]
    assert build_batch(entries, [True] * 3, EPOCHS).summary_saves == [SummarySave(ROOM, "", 0, 3, NOON + 2)]


def attempt(number: int, content: str, usage: Usage | None = None) -> MessageDoc:
    return MessageDoc(M2, SenderType.AI, content, NOON, version=ended_version(number), attempt=number, usage=usage)


def test_what_a_message_said_before_is_kept_beside_it() -> None:
    queue = Queue()
    first, second = attempt(1, "first"), attempt(2, "second")
    entries = [
        queue.save(2, "", message_id=M2, version=reserved_version(2), sender=SenderType.AI, final=False, past=first),
        queue.save(2, "second", message_id=M2, version=ended_version(2), sender=SenderType.AI),
        queue.save(2, "", message_id=M2, version=reserved_version(3), sender=SenderType.AI, final=False, past=second),
    ]
    batch = build_batch(entries, [True] * 3, EPOCHS)
    assert [(save.doc.content, save.doc.version) for save in batch.message_saves] == [("", 4)]
    assert [(save.room_id, save.seq, save.doc) for save in batch.version_saves] == [(ROOM, 2, first), (ROOM, 2, second)]


def test_what_a_deleted_message_said_before_is_not_written() -> None:
    queue = Queue()
    entry = queue.save(2, "", message_id=M2, version=2, sender=SenderType.AI, past=attempt(1, "secret"))
    batch = build_batch([entry], [False], EPOCHS)
    assert (batch.message_saves, batch.version_saves) == ([], [])


def test_a_delete_is_a_tombstone_at_its_place() -> None:
    queue = Queue()
    entry = queue.entry("CHAT_MESSAGE_DELETE", seq=1, message_id=M1, at=NOON, active=NOW_MS, last_seq=4, count=3)
    batch = build_batch([entry], [True], EPOCHS)
    assert [(delete.seq, delete.message_id, delete.deleted_at) for delete in batch.message_deletes] == [(1, M1, NOON)]
    (touch,) = batch.room_touches
    assert (touch.last_message_at, touch.message_count) == (NOW_MS, 3), "a delete is no activity"


def test_rows_are_sorted_by_their_keys() -> None:
    mine, yours = Queue(), Queue(OTHER, NEIGHBOUR)
    entries = [
        yours.save(2, message_id=M2),
        mine.save(3),
        yours.save(1),
        mine.save(1, message_id=M2),
    ]
    batch = build_batch(entries, [True] * 4, EPOCHS)
    places = [(save.room_id, save.seq) for save in batch.message_saves]
    assert places == sorted(places)
    assert [touch.room_id for touch in batch.room_touches] == sorted({ROOM, OTHER})


def test_use_is_counted_with_the_end_of_each_message() -> None:
    queue = Queue()
    entries = [
        queue.save(1),
        queue.save(2, "", version=0, final=False, message_id=M2, sender=SenderType.AI),
        queue.save(2, "answer", message_id=M2, sender=SenderType.AI, usage=Usage(3, 5)),
        queue.save(3, at=NOON + 86_400_000),
    ]
    uses = build_batch(entries, [True] * 4, EPOCHS).uses
    assert uses == [Use(5, QUARTER, 2, 3, 5), Use(5, QUARTER + 96, 1, 0, 0)]


def test_a_further_end_of_a_message_counts_its_tokens_and_not_the_message() -> None:
    queue = Queue()
    past = attempt(1, "first", Usage(3, 5))
    entries = [
        queue.save(2, "first", message_id=M2, sender=SenderType.AI, usage=Usage(3, 5)),
        queue.save(2, "", message_id=M2, version=2, sender=SenderType.AI, final=False, past=past),
        queue.save(2, "second", message_id=M2, version=3, sender=SenderType.AI, usage=Usage(7, 11), recount=True),
    ]
    assert build_batch(entries, [True] * 3, EPOCHS).uses == [Use(5, QUARTER, 1, 10, 16)]


def test_tokens_that_no_message_counts_are_counted() -> None:
    queue = Queue()
    entries = [
        queue.save(2, "answer", message_id=M2, sender=SenderType.AI, usage=Usage(3, 5)),
        queue.entry("CHAT_USAGE_ADD", at=NOON, usage=Usage(7, 11)),
        queue.entry("CHAT_USAGE_ADD", at=NOON + 86_400_000, usage=Usage(1, 2)),
    ]
    batch = build_batch(entries, [True] * 3, EPOCHS)
    assert batch.uses == [Use(5, QUARTER, 1, 10, 16), Use(5, QUARTER + 96, 0, 1, 2)]
    assert (batch.room_updates, batch.message_saves[1:]) == ([], [])


def test_use_is_counted_by_the_quarter_of_an_hour() -> None:
    queue, begin = Queue(), QUARTER * 900_000
    entries = [queue.save(seq, at=at) for seq, at in ((1, begin - 1), (2, begin), (3, begin + 899_999))]
    uses = build_batch(entries, [True] * 3, EPOCHS).uses
    assert [(use.quarter, use.messages) for use in uses] == [(QUARTER - 1, 1), (QUARTER, 2)]
