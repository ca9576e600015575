"""fsck names partitions that have rows on a shard where they do not live."""

from __future__ import annotations

import pytest

from parlor.model.ids import ShardId
from tests.unit.domain import HOME, SHARD
from tests.unit.fsck.chat import Chat, check, kinds
from tests.unit.memory_store import MemoryDatabase

pytestmark = pytest.mark.unit


async def test_rows_on_another_shard_are_named_until_they_are_gone(chat: Chat) -> None:
    source, other = (chat.domain.store._database(shard) for shard in (SHARD, ShardId(3 - SHARD)))
    assert isinstance(source, MemoryDatabase)
    assert isinstance(other, MemoryDatabase)
    columns = [row[1] for row in source._connection.execute("PRAGMA table_info(rooms)")]
    names = ", ".join(columns)
    rows = source._connection.execute(f"SELECT {names} FROM rooms").fetchall()  # noqa: S608  # names of ours
    marks = ", ".join("?" for _ in columns)
    other._connection.executemany(f"INSERT INTO rooms ({names}) VALUES ({marks})", rows)  # noqa: S608  # likewise
    report = await check(chat.domain)
    assert kinds(report) == [("I28", "moving", 0)]
    assert report.findings[0].what.startswith(f"partition {HOME} lives on shard {SHARD} and has rows on shard ")
    other._connection.execute("DELETE FROM rooms")
    assert (await check(chat.domain)).findings == []
