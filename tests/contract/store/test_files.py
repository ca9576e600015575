"""What the shards know of files."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import structs

from parlor.model.files import File
from parlor.model.ids import FileId, IdMint, MessageId, RoomId
from parlor.store.files import FileQuota, FileUse, StoredFileRows
from parlor.store.ports import ChatStore, MessageDelete, RoomDelete, RowRefused
from tests.contract.store.fixtures import SHARD, StoreFixtures
from tests.unit.fake_clock import SeededEntropy, TickingClock

pytestmark = pytest.mark.contract

PLENTY = FileQuota(None, None)


class Account:
    """Files of an account that no other test has."""

    def __init__(self, fixtures: StoreFixtures) -> None:
        self.rows = StoredFileRows(fixtures.store)
        self.key = fixtures.key
        self.mint = IdMint(TickingClock(), SeededEntropy(fixtures.key))
        self.partition = fixtures.partition

    def new(self, content: str = "a", **changes: Any) -> File:
        file_id = self.mint.file_id(self.partition)
        file = File(file_id, file_id, "Übersicht 🫖.txt", "text/plain", 10, content * 64, 1_750_000_000_000)
        return structs.replace(file, **changes)

    async def add(self, file: File, quota: FileQuota = PLENTY) -> File | None:
        return await self.rows.add(SHARD, self.key, file, quota)

    async def added(self, content: str = "a", **changes: Any) -> File:
        found = await self.add(self.new(content, **changes))
        assert found is not None
        return found

    async def get(self, file_id: FileId) -> File | None:
        return await self.rows.get(SHARD, self.key, file_id)

    async def delete(self, file: File) -> tuple[bool, FileId | None]:
        return await self.rows.delete(SHARD, self.key, file.file_id, 5)


@pytest.fixture
def account(fixtures: StoreFixtures) -> Account:
    return Account(fixtures)


async def test_a_file_is_found_as_it_was_added(account: Account) -> None:
    file = account.new(size=10**12)
    assert await account.add(file) == file
    assert await account.get(file.file_id) == file
    assert await account.add(file) == file, "adding it again adds nothing"
    assert await account.rows.use(SHARD, account.key) == FileUse(1, 10**12)


@pytest.mark.parametrize("file_id", ["", "nonsense", "00000000-0000-8000-8000-000000000000"])
async def test_what_is_no_file_is_not_found(account: Account, file_id: str) -> None:
    assert await account.get(FileId(file_id)) is None
    assert await account.rows.delete(SHARD, account.key, FileId(file_id), 5) == (False, None)


async def test_another_account_neither_sees_nor_deletes_it(account: Account) -> None:
    file = await account.added()
    other = account.key + 1_000_000
    assert await account.rows.get(SHARD, other, file.file_id) is None
    assert await account.rows.delete(SHARD, other, file.file_id, 5) == (False, None)
    assert await account.rows.page(SHARD, other, 10, None) == []
    assert await account.rows.use(SHARD, other) == FileUse(0, 0)
    assert await account.get(file.file_id) == file


async def test_equal_bytes_are_kept_once_and_count_once(account: Account) -> None:
    first = await account.added(name="a.txt")
    assert await account.added(name="a.txt") == first, "the same name: the same file"
    second = await account.added(name="b.txt")
    assert (second.file_id != first.file_id, second.blob_id) == (True, first.blob_id)
    assert await account.rows.use(SHARD, account.key) == FileUse(2, 10)
    assert await account.delete(first) == (True, None), "the other file needs the bytes"
    assert (await account.added(name="c.txt")).blob_id == first.blob_id
    assert await account.delete(second) == (True, None)


async def test_accounts_do_not_share_bytes(account: Account) -> None:
    first = await account.added()
    other = account.new()
    assert await account.rows.add(SHARD, account.key + 1_000_000, other, PLENTY) == other
    assert other.blob_id != first.blob_id


async def test_the_last_file_of_some_bytes_leaves_them_to_be_deleted(account: Account) -> None:
    file = await account.added()
    assert await account.delete(file) == (True, file.blob_id)
    assert await account.delete(file) == (False, None)
    assert file.blob_id in await account.rows.removals(SHARD, 1000)
    again = await account.added()
    assert again.blob_id == again.file_id, "bytes that are being deleted are not used again"
    await account.rows.removal_done(SHARD, file.blob_id)
    await account.rows.removal_done(SHARD, file.blob_id)
    assert file.blob_id not in await account.rows.removals(SHARD, 1000)


@pytest.mark.parametrize(
    ("quota", "content", "fits"),
    [
        (FileQuota(2, None), "c", False),
        (FileQuota(3, None), "c", True),
        (FileQuota(None, 29), "c", False),
        (FileQuota(None, 30), "c", True),
        (FileQuota(None, 20), "a", True),
        (FileQuota(2, None), "a", False),
    ],
)
async def test_a_quota_holds(account: Account, quota: FileQuota, content: str, fits: bool) -> None:
    await account.added("a")
    await account.added("b")
    found = await account.add(account.new(content, name="new.txt"), quota)
    assert (found is not None) == fits
    assert (await account.rows.use(SHARD, account.key)).files == 2 + fits


async def test_a_quota_holds_for_uploads_that_end_together(account: Account) -> None:
    quota = FileQuota(5, None)
    found = await asyncio.gather(*(account.add(account.new(f"{n:x}"), quota) for n in range(12)))
    assert sum(file is not None for file in found) == 5
    assert (await account.rows.use(SHARD, account.key)).files == 5


async def test_equal_uploads_that_end_together_are_one_file(account: Account) -> None:
    found = await asyncio.gather(*(account.added() for _ in range(8)))
    assert len({file.file_id for file in found}) == 1


async def test_files_are_listed_newest_first(account: Account) -> None:
    files = [await account.added(f"{n:x}") for n in range(5)]
    newest = [*reversed(files)]
    assert await account.rows.page(SHARD, account.key, 2, None) == newest[:2]
    assert await account.rows.page(SHARD, account.key, 10, newest[1].file_id) == newest[2:]
    assert await account.rows.page(SHARD, account.key, 10, newest[-1].file_id) == []


async def test_a_check_sees_every_file(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.store.files.PAGE", 2)
    files = [await account.added(f"{n:x}") for n in range(5)]
    found = [file.file_id async for file in account.rows.scan(SHARD)]
    assert found == sorted(set(found))
    assert {file.file_id for file in files} <= set(found)


@pytest.mark.parametrize("changes", [{"name": "x" * 256}, {"media_type": "x" * 128}, {"sha256": "x" * 65}])
async def test_a_text_that_is_too_long_is_refused(account: Account, changes: dict[str, str]) -> None:
    with pytest.raises(RowRefused):
        await account.add(account.new(**changes))
    assert await account.rows.use(SHARD, account.key) == FileUse(0, 0)


async def test_files_of_another_shard_are_not_here(store: ChatStore, account: Account) -> None:
    file = await account.added()
    other = next(shard for shard in store.shard_ids() if shard != SHARD)
    assert await account.rows.get(other, account.key, file.file_id) is None


async def use(
    account: Account, *files: File, message: MessageId | None = None, room: RoomId | None = None
) -> MessageId:
    message = message or account.mint.message_id(account.partition)
    room = room or account.mint.room_id(account.partition)
    ids = [file.file_id for file in files]
    assert await account.rows.refer(SHARD, account.key, ids, message, room) == [*files]
    return message


async def released(account: Account) -> set[FileId]:
    """What goes because nobody names it; files of other tests too."""
    gone = set()
    while (found := await account.rows.release_next(SHARD, 7)) is not None:
        file_id, _ = found
        if await account.rows.find(SHARD, file_id) is None:
            gone.add(file_id)
    return gone


async def delete(fixtures: StoreFixtures, *messages: MessageId) -> None:
    room = fixtures.room_id()
    deletes = [MessageDelete(room, seq, message, 5) for seq, message in enumerate(messages, 1)]
    await fixtures.write(deletes=deletes)


async def test_a_file_goes_with_the_last_message_that_names_it(account: Account, fixtures: StoreFixtures) -> None:
    file, other = await account.added("a"), await account.added("b")
    first, second = await use(account, file), await use(account, file, other)
    assert await released(account) == set()
    await delete(fixtures, first)
    assert file.file_id not in await released(account)
    assert await account.get(file.file_id) == file
    await delete(fixtures, second)
    assert {file.file_id, other.file_id} <= await released(account)
    assert (await account.get(file.file_id), await account.rows.use(SHARD, account.key)) == (None, FileUse(0, 0))
    assert {file.blob_id, other.blob_id} <= set(await account.rows.removals(SHARD, 1000))


async def test_files_go_with_their_room(account: Account, fixtures: StoreFixtures) -> None:
    file = await account.added()
    room = account.mint.room_id(account.partition)
    await use(account, file, room=room)
    deleted = RoomDelete(room, account.partition, fixtures.account, account.key, 5)
    await fixtures.write(room_deletes=[deleted])
    assert file.file_id in await released(account)


async def test_a_file_that_is_named_again_stays(account: Account, fixtures: StoreFixtures) -> None:
    file = await account.added()
    await delete(fixtures, await use(account, file))
    again = await use(account, file)
    assert await use(account, file, message=again) == again, "noting it again changes nothing"
    assert file.file_id not in await released(account)
    await delete(fixtures, again)
    assert file.file_id in await released(account)


async def test_a_file_of_a_message_that_was_refused_stays(account: Account, fixtures: StoreFixtures) -> None:
    file = await account.added()
    message = await use(account, file)
    await account.rows.drop_references(SHARD, message)
    await delete(fixtures, message)
    assert await released(account) == set()
    assert await account.get(file.file_id) == file


@pytest.mark.parametrize("absent", ["gone", "another account's"])
async def test_a_message_that_names_a_file_that_is_not_there_notes_nothing(account: Account, absent: str) -> None:
    here, there = await account.added("a"), account.new("b")
    if absent == "gone":
        await account.add(there)
        await account.delete(there)
    else:
        assert await account.rows.add(SHARD, account.key + 1_000_000, there, PLENTY) == there
    message, room = account.mint.message_id(account.partition), account.mint.room_id(account.partition)
    ids = [here.file_id, there.file_id]
    assert await account.rows.refer(SHARD, account.key, ids, message, room) == [here]
    assert await account.rows.refer(SHARD, account.key, ids[1:], message, room) == []


async def test_a_file_is_not_removed_under_a_message_that_is_sent(account: Account, fixtures: StoreFixtures) -> None:
    """Either the file is found and stays, or it is not found."""
    for number in range(10):
        file = await account.added(f"{number:x}")
        await delete(fixtures, await use(account, file))
        message, room = account.mint.message_id(account.partition), account.mint.room_id(account.partition)
        found, _ = await asyncio.gather(
            account.rows.refer(SHARD, account.key, [file.file_id], message, room), released(account)
        )
        assert (await account.get(file.file_id) is not None) == (found == [file])


async def test_a_file_whose_bytes_are_lost_is_taken_out(account: Account) -> None:
    file = await account.added()
    await account.rows.lose(SHARD, file.file_id)
    await account.rows.lose(SHARD, file.file_id)
    assert await account.get(file.file_id) is None
    assert file.blob_id not in await account.rows.removals(SHARD, 1000)
    assert (await account.added()).blob_id != file.blob_id
