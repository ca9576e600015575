"""A file of the largest size while something is away or full: refused by name, nothing half there, and what a crash may
leave is found (I24)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from parlor.clock import SystemClock, SystemEntropy
from parlor.model.ids import IdMint, partition_of
from tests.bucket import NAME, Bucket, serving
from tests.installation import Installation
from tests.integration.second_replica import second_replica
from tests.integration.shards import Shards
from tests.integration.test_files import HEAD, MULTIPART, SIZE_MAX, TAIL, stored
from tests.integration.test_outages import frozen
from tests.integration.user import User, signed_in, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

KINDS = ("private",)
LAST = True
LARGEST = b"0,1,2,3,4,5,6,7\n" * (SIZE_MAX // 16)
LONG_AGO = 2 * 3600
"""Seconds. What is younger may still be on its way, as fsck sees it."""


async def upload(user: User, data: bytes = LARGEST) -> httpx2.Response:
    return await user.http.post("/v1/files", files={"file": ("large.csv", data)}, timeout=90)


def refused(answer: httpx2.Response, detail: str = "") -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable"), answer.text
    assert detail in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 1


async def whole(user: User, file_id: str) -> bool:
    answer = await user.http.get(f"/v1/files/{file_id}", timeout=90)
    return answer.status_code == 200 and hashlib.sha256(answer.content).digest() == hashlib.sha256(LARGEST).digest()


async def fsck(installation: Installation, *arguments: str) -> set[tuple[str, str, bool]]:
    """What it says of files."""
    done = await asyncio.to_thread(installation.parlor, "fsck", "--json", *arguments, timeout=100)
    found = json.loads(done.stdout)["findings"]
    return {(one["kind"], one["file_id"], one["repaired"]) for one in found if one["about"] == "file"}


def age(path: Path) -> None:
    then = time.time() - LONG_AGO
    os.utime(path, (then, then))


async def test_nothing_is_written_while_the_shard_is_down(user: User, installation: Installation) -> None:
    assert (await user.get("/v1/files"))["files"] == []
    before = stored(installation)
    async with frozen(installation, "mariadb"):
        refused(await upload(user))
        assert stored(installation) == before
    made = succeeded(await eventually(lambda: upload(user), lambda answer: answer.status_code == 201), 201)
    assert await whole(user, made["file_id"])
    assert (await user.http.delete(f"/v1/files/{made['file_id']}")).status_code == 204


async def test_a_shard_that_goes_down_under_an_upload_leaves_a_file_or_bytes_that_fsck_drops(
    user: User, installation: Installation
) -> None:
    assert (await user.get("/v1/files"))["files"] == []
    before, half, frozen_now = stored(installation), asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + LARGEST[: SIZE_MAX // 2]
        half.set()
        await frozen_now.wait()
        yield LARGEST[SIZE_MAX // 2 :] + TAIL

    sending = asyncio.create_task(user.http.post("/v1/files", content=body(), headers=MULTIPART, timeout=90))
    await half.wait()
    async with frozen(installation, "mariadb"):
        frozen_now.set()
        refused(await sending)
        left = stored(installation) - before
        assert left, "the row may be there, so its bytes stay"

    async def listed() -> list[str]:
        answer = await user.http.get("/v1/files")
        return [one["file_id"] for one in answer.json()["files"]] if answer.status_code == 200 else ["?"]

    known = await eventually(listed, lambda found: found != ["?"])
    # The database may have taken the row when it woke, after nobody waited for it any more.
    if not known:
        for path in left:
            age(path)
        names = {path.name for path in left}
        assert await fsck(installation, "--repair") == {("bytes-nameless", name, True) for name in names}
        assert stored(installation) == before
    else:
        assert [await whole(user, file_id) for file_id in known] == [True]
        assert (await user.http.delete(f"/v1/files/{known[0]}")).status_code == 204
    assert await fsck(installation) == set()


async def test_fsck_finds_bytes_without_a_file_and_files_without_bytes(
    user: User, installation: Installation, shards: Shards
) -> None:
    made = succeeded(await upload(user), 201)
    (path,) = [path for path in stored(installation) if path.name == made["file_id"]]
    partition = partition_of(made["file_id"])
    assert partition is not None
    other = str(IdMint(SystemClock(), SystemEntropy()).file_id(partition))
    orphan = path.parent.parent / other[-2:] / other
    orphan.parent.mkdir(exist_ok=True)
    path.rename(orphan)
    age(orphan)
    await shards.age_file(made["file_id"], LONG_AGO)
    expected = {("bytes-nameless", orphan.name), ("bytes-lost", made["file_id"])}
    assert await fsck(installation) == {(*one, False) for one in expected}
    gone = await user.http.get(f"/v1/files/{made['file_id']}")
    assert gone.json()["code"] == "file-not-found", "said, not half of it"
    assert await fsck(installation, "--repair") == {(*one, True) for one in expected}
    assert await fsck(installation) == set()
    assert not orphan.exists()
    assert (await user.get("/v1/files"))["files"] == []


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """Half as large as the largest file."""
    path.mkdir()
    options = f"size={SIZE_MAX // 2},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "parlor-files", str(path)], check=True, timeout=20)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True, timeout=20)


MAY_MOUNT = os.geteuid() == 0 and shutil.which("mount") is not None


@pytest.mark.skipif(not MAY_MOUNT, reason="only root may mount a small disk")
async def test_a_disk_that_is_full_is_said_and_nothing_is_half_there(
    installation: Installation, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk, second_replica(installation, files=str(disk)) as url:
        async with signed_in(installation, f"person-{uuid4().hex}", url) as user:
            refused(await upload(user), "full")
            assert [path for path in disk.rglob("*") if path.is_file()] == []
            assert (await user.get("/v1/files"))["files"] == []
            fits = succeeded(await upload(user, LARGEST[: SIZE_MAX // 4]), 201)
            assert (await user.http.get(f"/v1/files/{fits['file_id']}")).content == LARGEST[: SIZE_MAX // 4]
            assert (await user.http.delete(f"/v1/files/{fits['file_id']}")).status_code == 204


async def test_an_object_store_that_goes_away_is_said_and_has_nothing_half(installation: Installation) -> None:
    async with serving(Bucket()) as bucket:
        environment = {
            "AWS_ENDPOINT": bucket.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "eu-1",
        }
        with second_replica(installation, files=f"s3://{NAME}/files", **environment) as url:
            async with signed_in(installation, f"person-{uuid4().hex}", url) as user:
                made = succeeded(await upload(user), 201)
                (name,) = bucket.objects
                assert (name.rpartition("/")[2], bucket.objects[name]) == (made["file_id"], LARGEST)
                assert await whole(user, made["file_id"])
                other = LARGEST[16:] + LARGEST[:16].replace(b"0", b"9")
                for status, cut in ((503, False), (0, True)):
                    bucket.status, bucket.cut = status, cut
                    refused(await upload(user, other))
                    refused(await user.http.get(f"/v1/files/{made['file_id']}", timeout=90))
                    bucket.status, bucket.cut = 0, False
                    assert (set(bucket.objects), len(bucket.parts)) == ({name}, 0)
                    assert [one["file_id"] for one in (await user.get("/v1/files"))["files"]] == [made["file_id"]]
                assert await whole(user, made["file_id"])
                again = succeeded(await upload(user, other), 201)
                assert again["sha256"] == hashlib.sha256(other).hexdigest()
                for file_id in (made["file_id"], again["file_id"]):
                    assert (await user.http.delete(f"/v1/files/{file_id}")).status_code == 204
                assert bucket.objects == {}
