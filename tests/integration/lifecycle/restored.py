"""Databases that come from a backup, beside a Redis that has gone on: refused, adopted, and written to again (I21).

A part of `make chaos`, for the minute that it takes."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.integration.lifecycle.command import Conversation, Parlor
from tests.integration.lifecycle.conftest import MakeParlor
from tests.servers import PrivateServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def copy_databases(parlor: Parlor, to: Path) -> None:
    """A backup while everything runs, as `sqlite3 .backup` makes it."""
    to.mkdir()
    for path in (parlor.data_dir / "sqlite").glob("*.db"):
        source, copy = sqlite3.connect(path), sqlite3.connect(to / path.name)
        source.backup(copy)
        source.close()
        copy.close()


def stored(parlor: Parlor) -> list[str]:
    found: list[str] = []
    for path in (parlor.data_dir / "sqlite").glob("shard_*.db"):
        connection = sqlite3.connect(path)
        found += [str(content) for (content,) in connection.execute("SELECT content FROM messages")]
        connection.close()
    return sorted(found)


def test_restored_databases_are_refused_until_they_are_adopted(
    make_parlor: MakeParlor, external: PrivateServer, tmp_path: Path
) -> None:
    parlor = make_parlor("data", "--partitions", "4", "--redis-url", external.url)
    parlor.start()
    room = Conversation(parlor)
    room.send("one")
    copy_databases(parlor, tmp_path / "backup")
    room.send("two")
    assert parlor.down().returncode == 0

    for path in (parlor.data_dir / "sqlite").iterdir():
        path.unlink()
    shutil.copytree(tmp_path / "backup", parlor.data_dir / "sqlite", dirs_exist_ok=True)
    refused = parlor.up()
    assert refused.returncode == 1
    assert "have gone back behind Redis" in refused.stderr
    adopted = parlor.command("adopt", "--redis-url", external.url, "--yes")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    parlor.start()
    room.send("three")
    assert room.contents() == ["one", "two", "three"]
    checked = parlor.command("fsck")
    assert checked.returncode == 0, checked.stdout
    assert stored(parlor) == ["one", "three", "two"]
    assert parlor.down().returncode == 0
    assert parlor.remains() == {}
