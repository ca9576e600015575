"""Pieces of a backup, in a directory and in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest
from obstore.store import MemoryStore

from parlor.errors import StoreUnavailable
from parlor.files.archive import Archive, DirectoryArchive, RemoteArchive, open_archive


@pytest.fixture(params=["directory", "objects"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    if request.param == "directory":
        return open_archive(f"file://{tmp_path}/a%20place")
    bucket = MemoryStore()
    return RemoteArchive("s3://bucket/monday", lambda _: bucket)


async def test_a_piece_is_there_when_it_was_put(archive: Archive) -> None:
    assert await archive.get("files/a/00001") is None
    await archive.put("files/a/00001", b"\x00first")
    assert await archive.get("files/a/00001") == b"\x00first"
    await archive.put("files/a/00001", b"second")
    assert await archive.get("files/a/00001") == b"second"


async def test_a_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    await DirectoryArchive(tmp_path / "new").put("shard-1/rooms", b"text")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert (tmp_path / "new/shard-1").stat().st_mode & 0o077 == 0
    assert (tmp_path / "new/shard-1/rooms").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "new/shard-1").iterdir()] == ["rooms"]


@pytest.mark.parametrize("kind", ["file", "link"])
async def test_what_somebody_else_has_put_there_is_not_written_to(tmp_path: Path, kind: str) -> None:
    """In a directory that others may write to."""
    theirs, waiting = tmp_path / "theirs", tmp_path / "shard-1/.rooms.new"
    waiting.parent.mkdir()
    theirs.write_bytes(b"")
    waiting.symlink_to(theirs) if kind == "link" else waiting.hardlink_to(theirs)
    await DirectoryArchive(tmp_path).put("shard-1/rooms", b"text")
    assert theirs.read_bytes() == b""
    assert (tmp_path / "shard-1/rooms").read_bytes() == b"text"
    assert (tmp_path / "shard-1/rooms").stat().st_mode & 0o077 == 0


async def test_a_place_that_cannot_be_used_is_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        await open_archive(str(tmp_path / "file/inside")).put("a", b"b")
    with pytest.raises(StoreUnavailable):
        await open_archive("nonsense://bucket").get("a")
