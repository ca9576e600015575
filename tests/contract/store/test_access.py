"""Keys that sign tokens, and what tells replicas to forget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from parlor.errors import StoreUnavailable
from parlor.model.ids import AccountId
from parlor.settings import StoreSettings
from parlor.store.access import BEFORE_ANY, Access, AccessChange, AccessStore, ApiKey, ApiKeyOwner, SigningKey
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import ChatStore, RowRefused
from tests.contract.store.databases import NewSettings, sql

pytestmark = pytest.mark.contract

OLD = SigningKey("2026-a", "EdDSA", '{"kty":"OKP","x":"ü"}', 1000)
NEW = SigningKey("2027-b", "EdDSA", '{"kty":"OKP","x":"b"}', 2000)


@pytest.fixture
def own(new_settings: NewSettings) -> StoreSettings:
    """Databases of the test's own: keys belong to no account."""
    return new_settings(shards=1)


@pytest.fixture
async def own_store(own: StoreSettings) -> AsyncIterator[ChatStore]:
    await migrate(own)
    store = await open_store(own)
    yield store
    await store.close()


@pytest.fixture
def access(own_store: ChatStore) -> Access:
    return AccessStore(own_store)


async def test_signing_keys_are_listed_oldest_first(access: Access) -> None:
    assert await access.signing_keys() == []
    await access.add_signing_key(NEW)
    await access.add_signing_key(OLD)
    assert await access.signing_keys() == [OLD, NEW]


async def test_a_key_that_is_there_keeps_what_it_is(access: Access) -> None:
    await access.add_signing_key(OLD)
    await access.add_signing_key(SigningKey(OLD.kid, "ES256", "other", 5))
    assert await access.signing_keys() == [OLD]
    assert (await access.changes(0)).head == 1, "nothing changed the second time"


async def test_a_retired_key_stays_retired(access: Access) -> None:
    await access.add_signing_key(OLD)
    await access.retire_signing_key(OLD.kid, 3000)
    await access.retire_signing_key(OLD.kid, 4000)
    await access.add_signing_key(OLD)
    (found,) = await access.signing_keys()
    assert found == SigningKey(OLD.kid, OLD.algorithm, OLD.jwk, OLD.created_at, 3000)


async def test_a_key_that_was_never_added_can_be_retired(access: Access) -> None:
    await access.retire_signing_key("secret", 3000)
    assert await access.signing_keys() == [SigningKey("secret", "", "", 3000, 3000)]


async def test_each_change_is_told_in_order(access: Access) -> None:
    assert (await access.changes(0)).changes == []
    await access.add_signing_key(OLD)
    await access.retire_signing_key(OLD.kid, 3000)
    told = await access.changes(0)
    assert told.head == 2
    assert told.changes == [
        AccessChange(1, "signing-keys", OLD.kid, 1000),
        AccessChange(2, "signing-keys", OLD.kid, 3000),
    ]
    assert (await access.changes(1)).changes == told.changes[1:]
    assert await access.changes(BEFORE_ANY) == await access.changes(2)


async def test_changes_that_come_together_get_revisions_without_a_hole(access: Access) -> None:
    await asyncio.gather(*(access.retire_signing_key(f"key-{number}", 1) for number in range(20)))
    told = await access.changes(0)
    assert [change.revision for change in told.changes] == list(range(1, 21))


async def test_old_changes_go(own: StoreSettings, access: Access) -> None:
    await access.add_signing_key(OLD)
    await access.add_signing_key(NEW)
    # As if 10,000 changes had come between these two and the next one.
    await sql(own, None, "UPDATE access_head SET revision = revision + 9999")
    await access.retire_signing_key(OLD.kid, 3000)
    told = await access.changes(0)
    assert (told.head, [change.revision for change in told.changes]) == (10_002, [10_002])


async def test_a_revocation_never_goes_back(own_store: ChatStore, access: Access) -> None:
    name = AccountId("Ädä")
    row = await own_store.open_account(name)
    assert row.not_before == 0
    assert [await access.revoke_account(name, at) for at in (3000, 2000, 4000)] == [3000, 3000, 4000]
    assert await own_store.open_account(name) == structs.replace(row, not_before=4000)
    assert (await own_store.open_account(AccountId("ädä"))).not_before == 0
    told = (await access.changes(0)).changes
    assert [(change.kind, change.subject, change.changed_at) for change in told] == [
        ("account-revoked", name, 3000),
        ("account-revoked", name, 2000),
        ("account-revoked", name, 4000),
    ]


async def test_an_account_that_is_not_there_is_not_revoked(access: Access) -> None:
    with pytest.raises(StoreUnavailable):
        await access.revoke_account(AccountId("nobody"), 1)


@pytest.mark.parametrize("kid", ["x" * 65, "ü" * 65])
async def test_a_text_that_is_too_long_is_refused_whole(access: Access, kid: str) -> None:
    with pytest.raises(RowRefused):
        await access.add_signing_key(SigningKey(kid, "EdDSA", "{}", 1))
    assert await access.signing_keys() == []
    assert (await access.changes(0)).head == 0


KEY = ApiKey("0abc", "Backups ü", "read write", 1000, None)


async def test_the_keys_of_an_account_are_listed_page_by_page(own_store: ChatStore, access: Access) -> None:
    ada, bob = [(await own_store.open_account(AccountId(name))).account_db_key for name in ("ada", "bob")]
    keys = [structs.replace(KEY, key_id=f"key-{number}", expires_at=number) for number in range(5)]
    for key in reversed(keys):
        assert await access.add_api_key(ada, key, "d" * 64, 10)
    assert await access.api_keys(ada, 10) == keys
    assert await access.api_keys(ada, 2) == keys[:2]
    assert await access.api_keys(ada, 10, keys[1].key_id) == keys[2:]
    assert await access.api_keys(bob, 10) == []


async def test_a_key_is_found_with_its_account(own_store: ChatStore, access: Access) -> None:
    row = await own_store.open_account(AccountId("Ädä"))
    await access.add_api_key(row.account_db_key, KEY, "d" * 64, 10)
    found = await access.find_api_key(KEY.key_id)
    assert found == ApiKeyOwner(KEY.key_id, row.account_id, "d" * 64, KEY.scopes, 1000, None, None)
    assert await access.find_api_key(KEY.key_id.upper()) is None
    assert await access.find_api_key("") is None


async def test_a_key_is_added_once_and_stays_its_accounts(own_store: ChatStore, access: Access) -> None:
    ada, bob = [(await own_store.open_account(AccountId(name))).account_db_key for name in ("ada", "bob")]
    assert await access.add_api_key(ada, KEY, "d" * 64, 1)
    assert await access.add_api_key(ada, KEY, "e" * 64, 1), "the answer to the first time may have been lost"
    assert not await access.add_api_key(bob, KEY, "e" * 64, 1)
    found = await access.find_api_key(KEY.key_id)
    assert found is not None
    assert (found.account_id, found.digest) == ("ada", "d" * 64)


async def test_an_account_has_no_more_keys_than_its_limit(own_store: ChatStore, access: Access) -> None:
    ada = (await own_store.open_account(AccountId("ada"))).account_db_key
    keys = [structs.replace(KEY, key_id=f"key-{number}") for number in range(20)]
    added = await asyncio.gather(*(access.add_api_key(ada, key, "d" * 64, 3) for key in keys))
    assert sum(added) == len(await access.api_keys(ada, 100)) == 3
    assert not await access.add_api_key(ada + 1000, KEY, "d" * 64, 3), "there is no such account"


async def test_a_key_is_ended_by_its_account_alone_and_once(own_store: ChatStore, access: Access) -> None:
    ada, bob = [(await own_store.open_account(AccountId(name))).account_db_key for name in ("ada", "bob")]
    await access.add_api_key(ada, KEY, "d" * 64, 10)
    assert not await access.end_api_key(bob, KEY.key_id, 5)
    assert (await access.changes(0)).changes == []
    assert [await access.end_api_key(ada, KEY.key_id, 5) for _ in range(2)] == [True, False]
    assert await access.find_api_key(KEY.key_id) is None
    assert (await access.changes(0)).changes == [AccessChange(1, "api-key-ended", KEY.key_id, 5)]


async def test_the_last_use_never_goes_back(own_store: ChatStore, access: Access) -> None:
    ada = (await own_store.open_account(AccountId("ada"))).account_db_key
    await access.add_api_key(ada, KEY, "d" * 64, 10)
    for at in (7, 5, 9):
        await access.note_api_key_use(KEY.key_id, at)
    assert [key.used_at for key in await access.api_keys(ada, 10)] == [9]
    await access.note_api_key_use("nobody's", 9)


@pytest.mark.parametrize(("field", "length"), [("key_id", 33), ("name", 201), ("scopes", 65)])
async def test_what_is_too_long_for_a_key_is_refused(
    own_store: ChatStore, access: Access, field: str, length: int
) -> None:
    ada = (await own_store.open_account(AccountId("ada"))).account_db_key
    with pytest.raises(RowRefused):
        await access.add_api_key(ada, structs.replace(KEY, **{field: "x" * length}), "d" * 64, 10)
    assert await access.api_keys(ada, 10) == []
