"""Accounts, the partition map, and the specification's primitive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import msgspec
import pytest

from parlor.errors import InvalidRequest, LimitReached, StoreUnavailable
from parlor.model.ids import AccountId, Partition, ShardId
from parlor.settings import StoreSettings
from parlor.store.deletions import DeletionStore
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import ChatStore, RowRefused
from parlor.store.sql_files import newest_procedures
from tests.contract.store.databases import NewSettings
from tests.contract.store.fixtures import PARTITIONS, SHARD, StoreFixtures

pytestmark = pytest.mark.contract


async def test_an_account_keeps_its_row(store: ChatStore, settings: StoreSettings) -> None:
    name = AccountId(f"{uuid4()}")
    first = await store.open_account(name)
    assert first.account_id == name
    assert 0 <= first.partition < PARTITIONS
    assert await store.open_account(name) == first
    other = await open_store(settings)
    try:
        assert await other.open_account(name) == first
    finally:
        await other.close()


async def test_an_account_opened_many_times_at_once_is_one(store: ChatStore) -> None:
    name = AccountId(f"{uuid4()}")
    rows = await asyncio.gather(*(store.open_account(name) for _ in range(20)))
    assert len(set(rows)) == 1


@pytest.fixture
async def own_store(new_settings: NewSettings) -> AsyncIterator[ChatStore]:
    """A store of its own: what others make is not in it."""
    settings = new_settings(shards=1)
    await migrate(settings)
    opened = await open_store(settings)
    yield opened
    await opened.close()


async def test_no_more_accounts_than_may_be_are_made_however_many_come_at_once(own_store: ChatStore) -> None:
    async def opened(name: str) -> bool:
        try:
            return (await own_store.open_account(AccountId(name), 5)).account_id == name
        except LimitReached:
            return False

    names = [f"ada-{number}" for number in range(20)]
    found = await asyncio.gather(*map(opened, names * 2))
    known = {name for name, there in zip(names * 2, found, strict=True) if there}
    assert len(known) == 5
    assert [await opened(name) for name in names] == [name in known for name in names], "who is known gets in"
    assert (await own_store.open_account(AccountId("operator's"))).account_id == "operator's"
    await DeletionStore(own_store).begin(AccountId(min(known)), "receipt", 1)
    await DeletionStore(own_store).begin(AccountId("operator's"), "another receipt", 1)
    assert await opened("new")
    assert not await opened("newer"), "a deleted account does not count, and its name does not come back"


async def test_names_that_differ_in_a_blank_or_case_or_accent_are_other_accounts(store: ChatStore) -> None:
    base = f"{uuid4()}"
    names = [base + end for end in ("a", "A", "a ", " a", "á", "a\u0301", "😀", "😁", "")]
    rows = [await store.open_account(AccountId(name)) for name in names]
    assert [row.account_id for row in rows] == names
    assert len({row.account_db_key for row in rows}) == len(names)


async def test_a_name_of_255_characters_is_taken_and_a_longer_one_refused(store: ChatStore) -> None:
    name = (f"{uuid4()}" + "😀" * 255)[:255]
    assert (await store.open_account(AccountId(name))).account_id == name
    with pytest.raises(RowRefused):
        await store.open_account(AccountId(name + "x"))


@pytest.mark.parametrize("length", [1, 5000])
async def test_a_text_that_is_not_unicode_is_refused(store: ChatStore, length: int) -> None:
    with pytest.raises(RowRefused):
        await store.open_account(AccountId("\ud800" * length))


async def test_accounts_are_spread_over_partitions_in_the_same_way_by_every_store(store: ChatStore) -> None:
    rows = [await store.open_account(AccountId(f"spread-{number}")) for number in range(5)]
    assert [row.partition for row in rows] == [1055, 1161, 1331, 1445, 6]


async def test_every_partition_lives_on_one_shard_and_shards_share_alike(store: ChatStore) -> None:
    assert store.shard_ids() == [1, 2]
    first, second = [await store.partitions_of(shard) for shard in store.shard_ids()]
    assert len(first) == len(second) == PARTITIONS // 2
    assert sorted(first + second) == list(range(PARTITIONS))
    assert await store.shard_of(first[0]) == 1
    assert await store.shard_of(second[-1]) == 2


async def test_a_partition_off_the_map_is_on_the_default_shard(store: ChatStore) -> None:
    assert await store.shard_of(Partition(PARTITIONS + 5)) == 1


async def test_a_shard_that_is_not_configured_is_unavailable(store: ChatStore) -> None:
    with pytest.raises(StoreUnavailable):
        await store.ping(ShardId(9))


async def test_ping_asks_every_database(store: ChatStore) -> None:
    for shard in (None, *store.shard_ids()):
        await store.ping(shard)


async def test_procedures_can_be_called_by_name(fixtures: StoreFixtures) -> None:
    room_id, message_id = fixtures.room_id(), fixtures.message_id()
    call = fixtures.store.call_shard_procedure
    created = msgspec.json.encode([fixtures.create(room_id, title="By name")]).decode()
    assert await call(SHARD, "fp_chat_room_create", (created,)) == []
    save = {
        "room_id": room_id, "seq": 1, "message_id": message_id, "sender_type": "USER", "content": "Hi", "sent_at": 5,
        "version": 1, "attempt": 0, "metadata": "{}",
    }  # fmt: skip
    assert await call(SHARD, "fp_chat_message_save", (msgspec.json.encode([save]).decode(),)) == []
    (room,) = await call(SHARD, "fp_chat_rooms_get", (fixtures.key, 10, None, None))
    assert room[:4] == (UUID(room_id).bytes, fixtures.account, fixtures.key, "By name")
    newest = newest_procedures()
    (message,) = await call(SHARD, newest["fp_chat_messages_get"], (room_id, 0, None, 10, 1))
    assert message == (
        1, UUID(message_id).bytes, "USER", "Hi", 5, 1, 0, None, None, None, None, None, None, None, "{}", None, None,
    )  # fmt: skip
    updated = msgspec.json.encode([{"room_id": room_id, "title": "New", "version": 2}]).decode()
    await call(SHARD, "fp_chat_room_update", (updated,))
    assert (await call(SHARD, "fp_chat_room_get", (room_id,)))[0][3] == "New"
    assert await call(SHARD, "fp_chat_rooms_count", (fixtures.key,)) == [(1,)]
    assert await call(SHARD, newest["fp_chat_message_find"], (room_id, message_id)) == [message]


async def test_a_batch_of_another_shape_is_refused(fixtures: StoreFixtures) -> None:
    for wrong in ("{}}", '{"room_id": "x"}', '[{"seq": 1}]', "[1]"):
        with pytest.raises(RowRefused):
            await fixtures.store.call_shard_procedure(SHARD, "fp_chat_message_save", (wrong,))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("fp_no_such_thing", ()),
        ("fp_chat_room_get(1); DROP TABLE rooms; --", ()),
        ("SELECT 1", ()),
        ("fp_chat_room_get", ("a", "b", "c")),
        ("fp_chat_rooms_get", (1,)),
        ("fp_partition_open", ()),
        ("fp_chat_room_get", (1.5,)),
    ],
)
async def test_a_call_that_makes_no_sense_is_an_invalid_request(
    store: ChatStore, name: str, args: tuple[object, ...]
) -> None:
    with pytest.raises(InvalidRequest):
        await store.call_shard_procedure(SHARD, name, args)
