"""An old and a new version of the code run against one database at once, as they do during an upgrade."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
import pytest

from parlor.model.ids import Partition, RoomId
from parlor.model.messages import MessageDoc, MessageRow
from parlor.model.rooms import RoomRow
from parlor.settings import StoreSettings
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import (
    Batch,
    ChatStore,
    MessageDelete,
    MessageSave,
    PartitionProgress,
    RoomTouch,
    RoomUpdate,
    SeqConflict,
    VersionSave,
)
from tests.contract.store.databases import NewSettings, is_sqlite, sql
from tests.contract.store.fixtures import SHARD, StoreFixtures
from tests.earlier import unpack

pytestmark = pytest.mark.contract

OLD = "bf0f9e0"
"""The last commit before procedures had versions."""
TIMEOUT = 60.0
"""Seconds for one answer of the old program."""

_T = TypeVar("_T")
Apply: TypeAlias = Callable[[Batch], Awaitable[Sequence[int]]]


@pytest.fixture(scope="session")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``parlor`` and ``sql`` as they were."""
    folder = tmp_path_factory.mktemp("old")
    unpack(folder, OLD, ("parlor", "sql"))
    return folder


class OldProgram:
    """The old code in a process of its own; answers are read into this program's types."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, kind: type[_T], do: str, **more: object) -> _T:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode({"do": do, **more}) + b"\n")
        found = msgspec.json.decode(await self.line())
        if found.get("error") == "seq-conflict":
            raise SeqConflict(debug="reported by the old program")
        return msgspec.convert(found["answer"], kind)

    async def line(self) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            line = await self._process.stdout.readline()
        assert line, "the old program has ended"
        return line

    async def acquire(self, partition: Partition) -> PartitionProgress:
        return await self.ask(PartitionProgress, "acquire", partition=partition)

    async def apply(self, batch: Batch) -> list[int]:
        return await self.ask(list[int], "apply", batch=batch)

    async def messages(self, room_id: str) -> list[MessageRow]:
        return await self.ask(list[MessageRow], "messages", room=room_id)

    async def versions(self, room_id: str, seq: int) -> list[MessageDoc]:
        return await self.ask(list[MessageDoc], "versions", room=room_id, seq=seq)


@pytest.fixture
def shared(new_settings: NewSettings) -> StoreSettings:
    """The databases of both programs, not migrated yet."""
    return new_settings(shards=1, partitions=64)


@pytest.fixture
async def old(old_code: Path, shared: StoreSettings) -> AsyncIterator[OldProgram]:
    script = Path(__file__).with_name("old_program.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), *(url.get_secret_value() for url in shared.urls),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(old_code)},
    )  # fmt: skip
    program = OldProgram(process)
    try:
        assert Path((await program.line()).decode().strip()).is_relative_to(old_code)
        yield program
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), TIMEOUT) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def new(shared: StoreSettings) -> AsyncIterator[ChatStore]:
    store = await open_store(shared)
    yield store
    await store.close()


async def procedures(settings: StoreSettings) -> list[tuple[object, ...]]:
    """With the times at which each was made, as Parlor and the server tell them."""
    if is_sqlite(settings):
        return []
    return await sql(
        settings, 1,
        "SELECT name, checksum, created_at, created FROM schema_procedures JOIN information_schema.routines"
        " ON routine_schema = DATABASE() AND routine_name = name ORDER BY name",
    )  # fmt: skip


async def test_the_new_program_adds_to_what_the_old_one_has_made(old: OldProgram, shared: StoreSettings) -> None:
    assert await old.ask(bool, "migrate")
    before = await procedures(shared)
    report = await migrate(shared)
    assert report.changed
    names = [name for database in report.databases for name in database.applied if name.startswith("fp_")]
    assert bool(names) != is_sqlite(shared), "SQLite has the procedures in the program"
    after = await procedures(shared)
    assert set(before) <= set(after), "what the old program calls stays as it is"
    for _ in range(2):
        assert not await old.ask(bool, "migrate")
        assert not (await migrate(shared)).changed
    assert await procedures(shared) == after


async def test_the_old_program_finds_all_it_needs_in_what_the_new_one_has_made(
    old: OldProgram, shared: StoreSettings
) -> None:
    assert (await migrate(shared)).changed
    made = await procedures(shared)
    assert not await old.ask(bool, "migrate")
    assert await procedures(shared) == made


async def write_a_room(fixtures: StoreFixtures, apply: Apply) -> RoomId:
    """Eleven batches: replies that are reserved, end and begin anew, edits, a deleted message."""
    room_id = fixtures.room_id()
    batches = [Batch([], room_creates=[fixtures.create(room_id)])]
    for seq in range(1, 9):
        first = fixtures.doc(content=f"first {seq}", version=0)
        second, third = (
            msgspec.structs.replace(first, content=f"{word} {seq}", version=version, ai_persona="GPT4O")
            for word, version in (("second", 1), ("third", 3))
        )
        saves = [MessageSave(room_id, seq, doc) for doc in (first, second, third)]
        batches.append(
            Batch(
                [],
                message_saves=saves[: 1 + seq % 3],
                version_saves=[VersionSave(room_id, seq, first)] if seq % 3 else [],
                room_touches=[RoomTouch(room_id, seq, seq, 5000 + seq)],
            )
        )
        if seq == 5:
            batches.append(Batch([], message_deletes=[MessageDelete(room_id, seq, first.message_id, 6000)]))
    batches.append(Batch([], room_updates=[RoomUpdate(room_id, "Renamed", 2)]))
    for batch in batches:
        assert await apply(msgspec.structs.replace(batch, fences=[fixtures.fence()])) == []
        fixtures.number += 1
    return room_id


async def test_both_write_at_once_and_read_what_the_other_wrote(
    old: OldProgram, new: ChatStore, shared: StoreSettings
) -> None:
    await migrate(shared)
    olds = StoreFixtures(new, Partition(1), await old.acquire(Partition(1)))
    news = await StoreFixtures.make(new, 2)
    rooms = await asyncio.gather(write_a_room(olds, old.apply), write_a_room(news, partial(new.apply, SHARD)))
    for room_id in rooms:
        found = await old.messages(room_id)
        assert found == await olds.messages(room_id)
        assert [row.doc.content for row in found] == [
            "second 1", "third 2", "first 3", "second 4", "", "first 6", "second 7", "third 8",
        ]  # fmt: skip
        assert [row.seq for row in found if row.deleted] == [5]
        for seq in range(1, 9):
            versions = await old.versions(room_id, seq)
            assert versions == await olds.versions(room_id, seq)
            assert [doc.version for doc in versions] == ([] if seq in {3, 5, 6} else [0])
        room = await olds.room(room_id)
        assert room == await old.ask(RoomRow, "room", room=room_id)
        assert room is not None
        assert (room.title, room.last_seq, room.message_count) == ("Renamed", 8, 8)


async def test_each_goes_on_where_the_other_was(old: OldProgram, new: ChatStore, shared: StoreSettings) -> None:
    """One partition that changes its writer: fences, versions, deletes and alarms hold across the programs."""
    assert await old.ask(bool, "migrate")
    await migrate(shared)
    partition = Partition(1)
    fixtures = StoreFixtures(new, partition, await old.acquire(partition))
    room_id, kept, gone = fixtures.room_id(), fixtures.doc(content="old"), fixtures.doc(content="secret")
    saves = [MessageSave(room_id, 1, kept), MessageSave(room_id, 2, gone)]
    batch = Batch([fixtures.fence()], room_creates=[fixtures.create(room_id)], message_saves=saves)
    assert await old.apply(batch) == []
    fixtures.number += 1

    fixtures.epoch = (await new.acquire_partition(SHARD, partition)).epoch
    stale = fixtures.epoch - 1
    edited = msgspec.structs.replace(kept, content="new", version=3)
    await fixtures.write(
        saves=[MessageSave(room_id, 1, edited)],
        versions=[VersionSave(room_id, 1, kept)],
        deletes=[MessageDelete(room_id, 2, gone.message_id, 6000)],
    )
    late = Batch([msgspec.structs.replace(fixtures.fence(), epoch=stale)], message_saves=saves)
    assert await old.apply(late) == [partition]
    (first, second) = await old.messages(room_id)
    assert (first.doc, second.deleted, second.doc.content) == (edited, True, "")
    assert await old.versions(room_id, 1) == [kept]

    progress = await old.acquire(partition)
    fixtures.epoch, fixtures.incarnation, fixtures.number = progress.epoch, progress.incarnation, 0
    again = [*saves, MessageSave(room_id, 1, msgspec.structs.replace(kept, content="lower", version=2))]
    assert await old.apply(Batch([fixtures.fence()], message_saves=again)) == []
    fixtures.number += 1
    assert await fixtures.messages(room_id) == [first, second]

    other = MessageSave(room_id, 1, fixtures.doc(content="another message", version=9))
    conflict = Batch([fixtures.fence()], message_saves=[other])
    with pytest.raises(SeqConflict):
        await old.apply(conflict)
    with pytest.raises(SeqConflict):
        await new.apply(SHARD, conflict)
    assert await fixtures.messages(room_id) == [first, second]
