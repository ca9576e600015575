"""`parlor backup` while people talk, and `parlor restore` elsewhere: every room is compared."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from parlor.model.ids import RoomId, home_of
from parlor.settings import StoreSettings
from parlor.store.migrations import open_store
from tests.installation import Installation, run_parlor
from tests.integration.test_fsck import COMMAND_SECONDS, parlor
from tests.integration.user import User
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

SHARDS = 3
ROOMS = 4
NOTES = 200
"""In each room at the most: together fewer than an account may send at once."""
PAUSE = 0.05
"""Seconds between two notes of a room: some are sent before the backup, some meanwhile."""


async def test_a_backup_under_load_has_all_that_was_accepted_before(
    installation: Installation, user: User, tmp_path: Path
) -> None:
    rooms = [RoomId(await user.create_room(f"room {number}")) for number in range(ROOMS)]
    sent: dict[RoomId, list[tuple[str, str]]] = {room: [] for room in rooms}
    done = asyncio.Event()

    async def talk(room: RoomId) -> None:
        while not done.is_set() and len(sent[room]) < NOTES:
            text = f"note {len(sent[room])}"
            note = await user.note(room, text)
            sent[room].append((note["message_id"], text))
            await asyncio.sleep(PAUSE)

    async def fewest() -> int:
        return min(map(len, sent.values()))

    talks = [asyncio.create_task(talk(room)) for room in rooms]
    try:
        await eventually(fewest, lambda found: found > 3)
        before = {room: list(notes) for room, notes in sent.items()}
        manifest = await parlor(installation, "backup", str(tmp_path / "backup"))
        during = await fewest() - min(map(len, before.values()))
    finally:
        done.set()
        await asyncio.gather(*talks)
    assert during > 0, "nobody has to wait for a backup"
    log = await asyncio.to_thread(installation.parlor, "audit", "--limit", "1", timeout=COMMAND_SECONDS)
    noted = json.loads(log.stdout)
    assert (noted["action"], noted["subject"]) == ("backup-made", manifest["installation"])
    assert noted["detail"] == str(tmp_path / "backup")
    restored = await _restored(installation, tmp_path)
    store = await open_store(restored)
    try:
        assert await store.installation() == manifest["installation"]
        for room in rooms:
            shard = await store.shard_of(home_of(room))
            rows = await store.messages_get(shard, room, limit=100_000, newest=False)
            found = [(str(row.doc.message_id), row.doc.content) for row in rows]
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            assert found[: len(before[room])] == before[room], "what was accepted before the backup is in it"
            assert found == sent[room][: len(found)], "and nothing that nobody sent"
            row = await store.room_get(shard, room)
            assert row is not None
            assert row.message_count == len(found)
    finally:
        await store.close()


async def _restored(installation: Installation, tmp_path: Path) -> StoreSettings:
    """Restores into SQLite; returns where."""
    elsewhere = tmp_path / "elsewhere"
    command = ("restore", str(tmp_path / "backup"), "--shards", str(SHARDS), "--data-dir", str(elsewhere))
    done = await asyncio.to_thread(run_parlor, *command, timeout=COMMAND_SECONDS)
    assert done.returncode == 0, done.stderr
    urls = [f"sqlite:///{elsewhere}/sqlite/shard_{number}.db" for number in range(1, SHARDS + 1)]
    partitions = installation.settings.store.partitions
    return StoreSettings.model_validate(
        {"urls": urls, "global_url": f"sqlite:///{elsewhere}/sqlite/global.db", "partitions": partitions}
    )
