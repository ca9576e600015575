"""A directory as a file store."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parlor.errors import StoreUnavailable
from parlor.files import directory
from parlor.files.directory import DirectoryStore
from parlor.files.ports import CHUNK, BytesMissing
from parlor.model.ids import FileId, IdMint, InstallationId, Partition
from tests.unit.fake_clock import CountingEntropy, FakeClock

pytestmark = pytest.mark.unit

MINT = IdMint(FakeClock(), CountingEntropy())
HOUR_MS = 3_600_000


def new_id() -> FileId:
    return MINT.file_id(Partition(3))


def opened(root: Path, installation: str = "one") -> DirectoryStore:
    async def own() -> InstallationId:
        return InstallationId(installation)

    return DirectoryStore(root, own, timeout=60)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DirectoryStore]:
    made = opened(tmp_path / "files")
    yield made
    await made.close()


async def keep(store: DirectoryStore, data: bytes, blob_id: FileId | None = None) -> FileId:
    blob_id = blob_id or new_id()
    async with store.writing(blob_id) as writer:
        for at in range(0, len(data), 100_000):
            await writer.write(data[at : at + 100_000])
        await writer.keep()
    return blob_id


async def read(store: DirectoryStore, blob_id: FileId, start: int, stop: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(blob_id, start, stop)])


async def listed(store: DirectoryStore) -> set[FileId]:
    return {blob.blob_id async for blob in store.blobs()}


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_what_was_kept_is_read_whole_and_in_parts(store: DirectoryStore) -> None:
    data = os.urandom(2 * CHUNK + 17)
    blob_id = await keep(store, data)
    for start, stop in ((0, len(data)), (0, 1), (CHUNK - 1, CHUNK + 1), (len(data) - 1, len(data)), (5, 5)):
        assert await read(store, blob_id, start, stop) == data[start:stop]
    chunks = [len(chunk) async for chunk in store.read(blob_id, 0, len(data))]
    assert chunks == [CHUNK, CHUNK, 17]


async def test_only_what_is_whole_is_there(store: DirectoryStore, tmp_path: Path) -> None:
    blob_id = new_id()
    async with store.writing(blob_id) as writer:
        await writer.write(b"x" * CHUNK)
        assert len(files_in(tmp_path)) == 1
        assert await listed(store) == set()
        with pytest.raises(BytesMissing):
            await read(store, blob_id, 0, 1)
    assert files_in(tmp_path) == [], "nothing half there"


async def test_the_disk_has_the_bytes_before_anybody_sees_the_name(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(kind)
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    await keep(store, b"x")
    assert steps == ["file", "rename", "folder", "folder"]


async def test_nobody_else_may_read_them(store: DirectoryStore, tmp_path: Path) -> None:
    await keep(store, b"x")
    (path,) = files_in(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_deleting_is_harmless_when_repeated(store: DirectoryStore) -> None:
    first, second = await keep(store, b"1"), await keep(store, b"2")
    await store.delete(first)
    await store.delete(first)
    assert await listed(store) == {second}
    with pytest.raises(BytesMissing):
        await read(store, first, 0, 1)


async def test_bytes_that_were_cut_are_not_taken_for_the_whole(store: DirectoryStore, tmp_path: Path) -> None:
    blob_id = await keep(store, b"0123456789")
    files_in(tmp_path)[0].write_bytes(b"01234")
    with pytest.raises(BytesMissing):
        await read(store, blob_id, 0, 10)


async def test_what_a_dead_process_left_is_dropped_when_it_is_old(store: DirectoryStore, tmp_path: Path) -> None:
    kept = await keep(store, b"x")
    incoming = tmp_path / "files/one/incoming"
    old, young = incoming / new_id(), incoming / new_id()
    for path, age in ((old, 2 * HOUR_MS), (young, 0)):
        path.write_bytes(b"half")
        os.utime(path, ns=(0, (10 * HOUR_MS - age) * 1_000_000))
    assert await store.drop_unfinished(9 * HOUR_MS) == 1
    assert (old.exists(), young.exists()) == (False, True)
    assert await listed(store) == {kept}


async def test_installations_that_share_a_directory_do_not_see_each_other(
    store: DirectoryStore, tmp_path: Path
) -> None:
    blob_id = await keep(store, b"x")
    other = opened(tmp_path / "files", "two")
    assert await listed(other) == set()
    await other.delete(blob_id)
    assert await listed(store) == {blob_id}
    await other.close()


@pytest.mark.parametrize("step", ["_create", "_drop"])
async def test_an_upload_that_is_cancelled_leaves_nothing_whatever_its_thread_does(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    begun, go_on, dropped = threading.Event(), threading.Event(), threading.Event()
    taken, drop = getattr(directory, step), directory._drop

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return taken(*arguments)

    def last(*arguments: Any) -> None:
        (slow if step == "_drop" else drop)(*arguments)
        dropped.set()

    monkeypatch.setattr(directory, "_create", slow if step == "_create" else directory._create)
    monkeypatch.setattr(directory, "_drop", last)

    async def upload() -> None:
        async with store.writing(new_id()):
            raise ConnectionError("the line is cut")

    uploading = asyncio.create_task(upload())
    await asyncio.to_thread(begun.wait, 30)
    uploading.cancel()
    await asyncio.sleep(0)
    uploading.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert await asyncio.to_thread(dropped.wait, 30)
    assert _files(tmp_path) == []


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_a_store_that_was_never_written_to_is_empty(store: DirectoryStore, tmp_path: Path) -> None:
    assert await listed(store) == set()
    assert await store.drop_unfinished(10**15) == 0
    await store.delete(new_id())
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize(
    ("number", "detail"),
    [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EIO, "not answer"), (errno.EACCES, "not answer")],
)
async def test_a_failing_disk_is_said_and_leaves_nothing(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, detail: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(directory, "_write_all", fail)
    with pytest.raises(StoreUnavailable, match=detail):
        await keep(store, b"x" * 10)
    assert files_in(tmp_path) == []


async def test_a_file_where_the_directory_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(b"")
    store = opened(tmp_path / "files")
    with pytest.raises(StoreUnavailable):
        await keep(store, b"x")
    await store.close()


async def test_after_close_nothing_is_done(store: DirectoryStore) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await keep(store, b"x")


async def test_uploads_go_on_side_by_side(store: DirectoryStore) -> None:
    datas = [os.urandom(300_000) for _ in range(20)]
    ids = await asyncio.gather(*(keep(store, data) for data in datas))
    for blob_id, data in zip(ids, datas, strict=True):
        assert await read(store, blob_id, 0, len(data)) == data
