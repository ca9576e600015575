"""Property: batches of random operations, in any order and repeated, leave the same rows in every store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from parlor.model.ids import IdMint, MessageId, Partition, RoomId
from parlor.model.messages import MessageDoc, QueuePosition, SenderType
from parlor.settings import StoreSettings
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import (
    Batch,
    ChatStore,
    Fence,
    MessageDelete,
    MessageSave,
    RoomCreate,
    RoomDelete,
    RoomTouch,
    RoomUpdate,
    SeqConflict,
    SummarySave,
    VersionSave,
)
from tests.contract.store.fixtures import SHARD
from tests.servers import PrivateServer
from tests.unit.fake_clock import SeededEntropy, TickingClock

pytestmark = pytest.mark.contract

PARTITION = Partition(0)
MINT = IdMint(TickingClock(), SeededEntropy(0))
ROOMS = [MINT.room_id(PARTITION) for _ in range(2)]
# Each slot belongs to one message; the third id stands for a bug that puts another message into it.
MESSAGES = {(room, seq): MINT.message_id(PARTITION) for room in ROOMS for seq in (1, 2)}
STRANGER = MINT.message_id(PARTITION)

rooms = st.sampled_from(ROOMS)
seqs = st.sampled_from([1, 2])
small = st.integers(0, 4)
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=6)


@st.composite
def saves(draw: st.DrawFn) -> MessageSave:
    room, seq = draw(rooms), draw(seqs)
    stranger = draw(st.integers(0, 19)) == 0
    version = draw(small)
    # The content of a version is one: a version that is not higher brings nothing new.
    doc = MessageDoc(
        STRANGER if stranger else MESSAGES[room, seq], SenderType.AI, f"v{version}", 10, version=version,
        metadata={"t": draw(texts)} if version == 4 else {},
    )  # fmt: skip
    return MessageSave(room, seq, doc)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    room, seq = draw(rooms), draw(seqs)
    few, given = {"max_size": 2}, st.none() | texts
    written = draw(st.lists(saves(), max_size=4))
    return Batch(
        fences=[],
        room_creates=draw(st.lists(st.builds(_create, rooms, texts), **few)),  # type: ignore[arg-type]
        message_saves=written,
        version_saves=[_version(save, draw(small)) for save in written if draw(st.booleans())],
        room_touches=draw(st.lists(st.builds(RoomTouch, rooms, small, small, st.none() | small), **few)),  # type: ignore[arg-type]
        room_updates=draw(st.lists(st.builds(RoomUpdate, rooms, texts, small, given, given), **few)),  # type: ignore[arg-type]
        summary_saves=draw(st.lists(st.builds(SummarySave, rooms, texts, small, small, small), **few)),  # type: ignore[arg-type]
        message_deletes=[MessageDelete(room, seq, MESSAGES[room, seq], 50)] if draw(small) == 0 else [],
        room_deletes=[RoomDelete(room, PARTITION, "a", 1, 60)] if draw(st.integers(0, 9)) == 0 else [],  # type: ignore[arg-type]
    )


def _version(save: MessageSave, version: int) -> VersionSave:
    return VersionSave(
        save.room_id, save.seq, msgspec.structs.replace(save.doc, content=f"v{version}", version=version)
    )


def _create(room: RoomId, title: str) -> RoomCreate:
    return RoomCreate(room, PARTITION, "a", 1, title, "GPT4O", 5, 1)  # type: ignore[arg-type]


class Stores:
    """Both stores, and a fresh set of ids for each example."""

    def __init__(self, stores: list[ChatStore]) -> None:
        self.stores = stores
        self.mint = IdMint(TickingClock(), SeededEntropy(99))
        self.key = 100


@pytest.fixture
async def stores(mysql: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stores]:
    home = tmp_path_factory.mktemp("convergence")
    urls = [f"sqlite:///{home}/c.db", mysql.url.replace("/parlor?", "/convergence?")]
    opened = []
    for url in urls:
        made = StoreSettings.model_validate({"urls": [url], "partitions": 1})
        await migrate(made)
        opened.append(await open_store(made))
    yield Stores(opened)
    for store in opened:
        await store.close()


def renamed(batch: Batch, names: Callable[[str], str], key: int) -> Batch:
    """The same batch about rooms and messages of its own."""

    def again(value: object) -> object:
        if isinstance(value, dict):
            return {name: key if name == "account_db_key" else again(part) for name, part in value.items()}
        if isinstance(value, list):
            return [again(part) for part in value]
        return names(value) if isinstance(value, str) else value

    return msgspec.convert(again(msgspec.to_builtins(batch)), Batch)


async def seen(store: ChatStore, key: int, room_ids: list[RoomId], ids: list[MessageId]) -> list[object]:
    found: list[object] = [await store.rooms_get(SHARD, key, limit=10), await store.rooms_count(SHARD, key)]
    for room in room_ids:
        found.append(await store.room_get(SHARD, room))
        found.append(await store.messages_get(SHARD, room, limit=10, newest=True))
        found += [await store.message_find(SHARD, room, message) for message in ids]
        found += [await store.versions_get(SHARD, room, seq, limit=1000) for seq in (1, 2)]
    return found


@settings(
    max_examples=25, phases=[Phase.generate], deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(work=st.lists(batches(), min_size=1, max_size=5), order=st.lists(st.integers(0, 4), max_size=10))
async def test_any_order_of_repeated_batches_gives_the_same_rows_in_both_stores(
    stores: Stores, work: list[Batch], order: list[int]
) -> None:
    stores.key += 1
    fresh = {old: stores.mint.room_id(PARTITION) for old in ROOMS}
    fresh_ids = {old: stores.mint.message_id(PARTITION) for old in [*MESSAGES.values(), STRANGER]}
    names: dict[str, str] = {str(old): str(new) for old, new in [*fresh.items(), *fresh_ids.items()]}
    plan = [renamed(work[index % len(work)], lambda text: names.get(text, text), stores.key) for index in order]
    outcomes: list[list[object]] = []
    for store in stores.stores:
        held = await store.acquire_partition(SHARD, PARTITION)
        if held.incarnation == 0:
            held = await store.open_partition(SHARD, PARTITION)
        number = held.applied.number
        log: list[object] = []
        for batch in plan:
            fence = Fence(PARTITION, held.epoch, QueuePosition(held.incarnation, number + 1))
            try:
                assert await store.apply(SHARD, msgspec.structs.replace(batch, fences=[fence])) == []
                number += 1
                log.append("applied")
            except SeqConflict:
                log.append("conflict")
            log.append(await seen(store, stores.key, list(fresh.values()), list(fresh_ids.values())))
        outcomes.append(log)
    assert outcomes[0] == outcomes[1]
