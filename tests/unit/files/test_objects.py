"""An object store as a file store, over HTTP as S3 speaks it: whole, away, full, cut off."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parlor.errors import StoreUnavailable
from parlor.files import objects
from parlor.files.directory import DirectoryStore
from parlor.files.objects import ObjectStore
from parlor.files.ports import BytesMissing, FileStore
from parlor.files.stores import NoStore, open_file_store
from parlor.fsck.files import GRACE_MS, FileCheck
from parlor.model.ids import FileId, IdMint, InstallationId, Partition
from parlor.settings.uploads import FileSettings
from tests.bucket import NAME, Bucket, serving
from tests.unit.domain import Domain
from tests.unit.fake_clock import CountingEntropy, FakeClock
from tests.unit.files.test_files import put

pytestmark = pytest.mark.unit

MINT = IdMint(FakeClock(), CountingEntropy())
AWAY = "The file store does not answer"


async def one() -> InstallationId:
    return InstallationId("one")


async def other() -> InstallationId:
    return InstallationId("other")


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    async with serving(Bucket()) as served:
        monkeypatch.setenv("AWS_ENDPOINT", served.url)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        monkeypatch.setenv("AWS_REGION", "eu-1")
        yield served


@pytest.fixture
def store(bucket: Bucket) -> ObjectStore:
    del bucket
    return ObjectStore(f"s3://{NAME}/files", one, timeout=60)


def new_id() -> FileId:
    return MINT.file_id(Partition(3))


async def keep(store: FileStore, data: bytes) -> FileId:
    blob_id = new_id()
    async with store.writing(blob_id) as writer:
        for at in range(0, len(data), 100_000):
            await writer.write(data[at : at + 100_000])
        await writer.keep()
    return blob_id


async def read(store: FileStore, blob_id: FileId, start: int, stop: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(blob_id, start, stop)])


async def listed(store: FileStore) -> set[FileId]:
    return {blob.blob_id async for blob in store.blobs()}


async def test_bytes_are_there_when_they_are_kept(store: ObjectStore, bucket: Bucket) -> None:
    data = os.urandom(3_000_000)
    blob_id = await keep(store, data)
    assert bucket.objects == {f"files/one/{blob_id}": data}
    assert await read(store, blob_id, 0, len(data)) == data
    assert await read(store, blob_id, 1_000_000, 2_500_001) == data[1_000_000:2_500_001]
    await store.delete(blob_id)
    await store.delete(blob_id)
    assert bucket.objects == {}
    with pytest.raises(BytesMissing):
        await read(store, blob_id, 0, 1)


async def test_a_large_upload_is_sent_in_parts(
    store: ObjectStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "SINGLE", 6_000_000)
    data = os.urandom(11_000_000)
    blob_id = await keep(store, data)
    assert bucket.objects == {f"files/one/{blob_id}": data}
    assert bucket.parts == {}


async def test_everything_is_listed_and_nothing_of_others(store: ObjectStore, bucket: Bucket) -> None:
    kept = {await keep(store, b"x") for _ in range(5)}
    await keep(ObjectStore(f"s3://{NAME}/files", other, timeout=60), b"y")
    bucket.objects["files/one/readme.txt"] = b"not ours"
    assert await listed(store) == kept
    (stored_at,) = {blob.stored_at async for blob in store.blobs()}
    assert stored_at == bucket.stored_at.timestamp() * 1000


async def test_an_upload_that_is_cut_off_leaves_nothing(store: ObjectStore, bucket: Bucket) -> None:
    async with store.writing(new_id()) as writer:
        await writer.write(b"x" * 500_000)
    await store.close()
    assert bucket.objects == {}
    assert await listed(store) == set()
    assert await store.drop_unfinished(2**60) == 0


@pytest.mark.parametrize(
    ("status", "code", "detail"),
    [
        (403, "AccessDenied", AWAY),
        (500, "InternalError", AWAY),
        (503, "SlowDown", AWAY),
        (507, "InsufficientStorage", "The file store is full"),
        (403, "QuotaExceeded", "The file store is full"),
    ],
)
async def test_an_upload_that_is_refused_is_told_and_leaves_nothing(
    store: ObjectStore, bucket: Bucket, status: int, code: str, detail: str
) -> None:
    bucket.fails_puts, bucket.status, bucket.code = True, status, code
    with pytest.raises(StoreUnavailable) as refused:
        await keep(store, b"x" * 300_000)
    assert refused.value.detail == detail
    assert bucket.objects == {}
    bucket.status = 0
    assert len(await listed(store)) == 0
    assert await keep(store, b"again")


@pytest.mark.parametrize("how", ["refuses", "cuts", "hangs", "gone"])
async def test_a_store_that_is_away_is_told_by_everything(bucket: Bucket, store: ObjectStore, how: str) -> None:
    blob_id = await keep(store, b"x" * 300_000)
    if how == "gone":
        store = ObjectStore("s3://nothing-is-called-so/files", one, timeout=60)
        os.environ["AWS_ENDPOINT"] = "http://127.0.0.1:1"  # The fixture's monkeypatch puts it back.
    elif how == "hangs":
        store, bucket.hangs = ObjectStore(f"s3://{NAME}/files", one, timeout=0.2), True
    else:
        bucket.cut, bucket.status = how == "cuts", 0 if how == "cuts" else 500
    with pytest.raises(StoreUnavailable):
        await read(store, blob_id, 0, 10)
    with pytest.raises(StoreUnavailable):
        await store.delete(blob_id)
    with pytest.raises(StoreUnavailable):
        await listed(store)
    with pytest.raises(StoreUnavailable):
        async with store.writing(new_id()):
            pytest.fail("nothing is taken while the store is away")


async def test_a_full_disk_of_this_machine_is_told(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(objects, "_nameless", full)
    with pytest.raises(StoreUnavailable, match="no room"):
        async with store.writing(new_id()):
            pass


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("", NoStore),
        ("/srv/files", DirectoryStore),
        ("file:///srv/my%20files", DirectoryStore),
        ("s3://bucket", ObjectStore),
        ("gs://bucket/prefix", ObjectStore),
        ("az://container/a/b", ObjectStore),
    ],
)
async def test_the_url_says_which_store(url: str, kind: type) -> None:
    store = open_file_store(FileSettings(url=url), one)
    assert isinstance(store, kind)
    await store.close()


@pytest.mark.parametrize("url", ["srv/files", "s3:bucket", "http://x/y", "s3://k:s@bucket/x", "s3://b?x=1", "s3://"])
def test_what_is_no_place_for_files_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        FileSettings(url=url)


async def test_a_path_with_blanks_is_that_path(tmp_path: Path) -> None:
    store = open_file_store(FileSettings(url=f"file://{tmp_path}/my%20files"), one)
    await keep(store, b"x")
    assert (tmp_path / "my files" / "one").is_dir()
    await store.close()


async def test_fsck_finds_orphans_in_a_bucket_and_files_that_it_lost(
    domain: Domain, store: ObjectStore, bucket: Bucket
) -> None:
    kept = await put(domain, domain.ada, b"kept", "kept.txt")
    lost = await put(domain, domain.ada, b"lost", "lost.txt")
    orphan = new_id()
    bucket.objects = {f"files/one/{kept.blob_id}": b"kept", f"files/one/{orphan}": b"half of something"}
    await domain.clock.advance(2 * GRACE_MS / 1000)
    check = FileCheck(domain.store, store, domain.clock)
    bucket.stored_at = datetime.fromtimestamp(domain.clock.now_ms() / 1000, UTC)
    assert {finding.kind for finding in (await check.run(repair=False))[0]} == {"bytes-lost"}, "it may be on its way"
    bucket.age(hours=2)
    found, _ = await check.run(repair=True)
    assert {(each.kind, each.file_id) for each in found} == {("bytes-lost", lost.file_id), ("bytes-nameless", orphan)}
    assert await check.run(repair=False) == ([], [])
    assert bucket.objects == {f"files/one/{kept.blob_id}": b"kept"}
    bucket.status = 500
    with pytest.raises(StoreUnavailable):
        await check.run(repair=True)
