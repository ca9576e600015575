"""What nobody needs any more goes."""

from __future__ import annotations

import pytest

from parlor.errors import StoreUnavailable
from parlor.files.removal import PAUSE, UNFINISHED_MS, FileRemoval
from parlor.model.files import File
from tests.unit.domain import Domain, settle
from tests.unit.files.test_files import put

pytestmark = pytest.mark.unit


@pytest.fixture
def removal(domain: Domain) -> FileRemoval:
    return FileRemoval(domain.file_rows, domain.file_store, domain.ada.shard_id, domain.clock)


async def named(domain: Domain, file: File) -> None:
    """A message names the file, and is deleted."""
    ada, mint = domain.ada, domain.mint
    message, room = mint.message_id(ada.partition), mint.room_id(ada.partition)
    await domain.file_rows.refer(ada.shard_id, ada.account_db_key, [file.file_id], message, room)
    batch = f'[{{"room_id":"{room}","seq":1,"message_id":"{message}","deleted_at":1}}]'
    await domain.store.call_shard_procedure(ada.shard_id, "fp_file_uses_release_messages", (batch,))


async def test_a_file_goes_with_its_last_message_and_its_bytes_with_it(domain: Domain, removal: FileRemoval) -> None:
    file, other = await put(domain, domain.ada, b"a"), await put(domain, domain.ada, b"b")
    await named(domain, file)
    await removal.look()
    assert [*domain.file_store.kept] == [other.blob_id]
    assert (await domain.files.page(domain.ada, 10, None)).files == [other]
    assert await domain.file_rows.removals(domain.ada.shard_id, 10) == []


async def test_bytes_that_could_not_be_deleted_are_deleted_later(domain: Domain, removal: FileRemoval) -> None:
    file = await put(domain, domain.ada)
    domain.file_store.down = True
    await domain.files.delete(domain.ada, file.file_id)
    with pytest.raises(StoreUnavailable):
        await removal.look()
    domain.file_store.down = False
    await removal.look()
    assert domain.file_store.kept == {}


async def test_it_goes_on_when_something_was_away(domain: Domain, removal: FileRemoval) -> None:
    file = await put(domain, domain.ada)
    await named(domain, file)
    domain.store.down = True
    domain.spawn(removal.run())
    await settle()
    assert [*domain.file_store.kept] == [file.blob_id]
    domain.store.down = False
    await domain.clock.advance(PAUSE)
    assert domain.file_store.kept == {}


async def test_uploads_of_processes_that_died_are_dropped(domain: Domain, removal: FileRemoval) -> None:
    file_id = domain.mint.file_id(domain.ada.partition)
    domain.file_store.unfinished[file_id] = domain.clock.now_ms()
    await removal.look()
    assert file_id in domain.file_store.unfinished
    await domain.clock.advance(UNFINISHED_MS / 1000 + 1)
    await removal.look()
    assert domain.file_store.unfinished == {}
