"""Accounts that are deleted: receipts, and what leaves the tables (I22)."""

from __future__ import annotations

from uuid import uuid4

import pytest

from parlor.model.access import Standing
from parlor.model.ids import AccountId
from parlor.store.access import AccessStore, ApiKey
from parlor.store.accounts import AccountStore
from parlor.store.deletions import DeletionStore, Remains
from parlor.store.ports import Batch, ChatStore, Use, VersionSave
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract

NOW = 1_795_403_885_042


async def test_the_receipt_shuts_the_account_out_and_ends_its_keys(store: ChatStore) -> None:
    access, deletions, name = AccessStore(store), DeletionStore(store), AccountId(f"{uuid4()}")
    assert await deletions.begin(name, "none", NOW) is None
    row, head = await store.open_account(name), (await access.changes(0)).head
    other = await store.open_account(AccountId(f"{uuid4()}"))
    for owner in (row, other):
        key_id = f"{owner.account_db_key:016}"
        await access.add_api_key(owner.account_db_key, ApiKey(key_id, "k", "read", NOW, None), "d" * 64, 9)
    first = await deletions.begin(name, "first", NOW)
    assert first is not None
    assert (first.account_id, first.account_db_key, first.partition) == (name, row.account_db_key, row.partition)
    assert (first.receipt_id, first.requested_at, first.finished_at, first.rooms) == ("first", NOW, None, 0)
    assert await deletions.begin(name, "second", NOW + 1) == first == await deletions.find(name)
    found = await store.open_account(name)
    assert (found.standing, found.standing_at) == (Standing.DELETED, NOW)
    assert await AccountStore(store).set_standing(name, Standing.ACTIVE, NOW + 5) == found, "it stays deleted"
    counts = [len(await access.api_keys(owner.account_db_key, 9)) for owner in (row, other)]
    assert counts == [0, 1]
    told = [change.kind for change in (await access.changes(head)).changes if change.subject == name]
    assert told == ["account-deleted"]


async def test_a_deletion_is_found_until_it_is_finished_and_then_among_the_finished(store: ChatStore) -> None:
    deletions, name = DeletionStore(store), AccountId(f"{uuid4()}")
    key = (await store.open_account(name)).account_db_key
    begun = await deletions.begin(name, "receipt", NOW)
    assert await deletions.page(1, key - 1) == [begun]
    assert await deletions.page(1, key - 1, finished=True) == []
    for rooms, at in ((3, NOW + 1), (5, NOW + 2)):
        await deletions.finish(key, rooms, at)
    assert await deletions.page(1, key - 1) == []
    (done,) = await deletions.page(1, key - 1, finished=True)
    assert (done.finished_at, done.rooms) == (NOW + 1, 3), "the first end stays"
    assert await deletions.find(name) == done


async def test_what_a_deleted_room_held_leaves_the_tables(fixtures: StoreFixtures) -> None:
    deletions, store, key = DeletionStore(fixtures.store), fixtures.store, fixtures.key
    first = fixtures.doc()
    gone = await fixtures.room_with(first, fixtures.doc(), fixtures.doc())
    await fixtures.write(versions=[VersionSave(gone, 1, fixtures.doc(first.message_id, "before", version=0))])
    stays = await fixtures.room_with(fixtures.doc(), fixtures.doc(), fixtures.doc())
    await fixtures.apply(Batch([fixtures.fence()], uses=[Use(key, 1_990_000, 3, 4, 5)]))
    assert gone < stays
    assert await deletions.remains(SHARD, key) == Remains(2, 7, 1, 0)
    assert await deletions.rooms(SHARD, key, None, 10) == [gone, stays]
    assert await deletions.rooms(SHARD, key, gone, 10) == [stays]
    await deletions.purge_room(SHARD, stays)
    assert await deletions.remains(SHARD, key) == Remains(2, 7, 1, 0), "it is not deleted"
    await fixtures.write(room_deletes=[fixtures.delete_room(gone)])
    await deletions.purge_room(SHARD, gone)
    assert await deletions.remains(SHARD, key) == Remains(1, 3, 1, 0)
    assert len(await store.messages_get(SHARD, gone, limit=9, newest=False)) == 0
    row = await store.room_get(SHARD, gone)
    assert row is None or row.title == ""
    await deletions.purge_use(SHARD, key)
    await deletions.purge_use(SHARD, key)
    assert await deletions.remains(SHARD, key) == Remains(1, 3, 0, 0)
    assert await deletions.rooms(SHARD, key, None, 10) == [gone, stays], "its tombstone stays"
