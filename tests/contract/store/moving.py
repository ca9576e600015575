"""A partition in use, and a move of it that can be killed at any statement."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from parlor.errors import PartitionMoves
from parlor.model.files import File
from parlor.model.ids import AccountId, FileId, IdMint, Partition, RoomId, ShardId
from parlor.model.messages import MessageDoc, QueuePosition, SenderType
from parlor.persistence.move import Moved, MovePorts, Mover
from parlor.settings import StoreSettings
from parlor.store.files import FileQuota, StoredFileRows
from parlor.store.migrations import owner_addresses
from parlor.store.partition_moves import Move, MoveBook
from parlor.store.ports import (
    Batch,
    CallNote,
    ChatStore,
    DaySpan,
    Fence,
    MessageSave,
    RoomCreate,
    RoomTouch,
    SearchNote,
    Use,
    VersionSave,
)
from parlor.store.rows import Row
from parlor.store.search import SearchStore
from parlor.store.sessions import Session, open_session
from tests.unit.fake_clock import SeededEntropy, TickingClock

PLENTY = FileQuota(None, None)


class Killed(Exception):
    """The mover's process has died."""


class Cut:
    """A session whose process dies before its statement number ``left``; counts over all sessions that share it."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.statements: list[str] = []

    def count(self, statement: str) -> None:
        self.statements.append(statement)
        if len(self.statements) == self.left:
            raise Killed(statement)


class CutSession:
    """Passes statements on until its process dies."""

    def __init__(self, session: Session, cut: Cut) -> None:
        self._session = session
        self._cut = cut
        self.kind = session.kind

    async def rows(self, statement: str, args: Sequence[object] = ()) -> list[Row]:
        self._cut.count(statement)
        return await self._session.rows(statement, args)

    async def locked(self, select: str, args: Sequence[object]) -> list[Row]:
        self._cut.count(select)
        return await self._session.locked(select, args)

    async def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        self._cut.count(statement)
        await self._session.many(statement, rows)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async with self._session.transaction():
            yield
            self._cut.count("COMMIT")
        self._cut.count("after a COMMIT")

    @contextlib.asynccontextmanager
    async def writing(self, partition: Partition) -> AsyncIterator[None]:
        async with self._session.writing(partition):
            yield

    def quoted(self, name: str) -> str:
        return self._session.quoted(name)

    def upsert(self, key: str) -> str:
        return self._session.upsert(key)


class Moving:
    """Moves partitions of one installation, each time as a new process."""

    def __init__(self, settings: StoreSettings, store: ChatStore) -> None:
        self._addresses = owner_addresses(settings)
        self._store = store
        self._runners = 0

    async def move(self, partition: Partition, target: ShardId, *, cut: Cut | None = None, undo: bool = False) -> Moved:
        """Begins a move, or goes on with it."""
        self._runners += 1
        runner, counting = f"runner-{self._runners}", cut or Cut(0)
        async with open_session(self._addresses.global_) as global_:
            book = MoveBook(CutSession(global_, counting))
            begun = await (book.undo(partition, runner) if undo else book.begin(partition, target, runner, 1))
            return await self.run(begun, global_, counting)

    async def run(self, move: Move, global_: Session, cut: Cut) -> Moved:
        addresses = self._addresses.shards
        async with open_session(addresses[move.source]) as source, open_session(addresses[move.target]) as target:
            one, other, book = CutSession(source, cut), CutSession(target, cut), CutSession(global_, cut)
            ports = MovePorts(book, one, other, SearchStore(self._store), TickingClock())
            return await Mover(ports, lambda _: None).run(move)


class Talk:
    """An account that writes into a partition, and knows what it wrote."""

    def __init__(self, store: ChatStore, partition: Partition) -> None:
        self.store = store
        self.partition = partition
        self.mint = IdMint(TickingClock(), SeededEntropy(partition))
        self.files = StoredFileRows(store)
        self.said: dict[RoomId, list[MessageDoc]] = {}
        self.kept: list[File] = []
        self.refused = 0
        self._number = 0
        self._uses = 0
        self._files = 0
        self.key = 0

    async def begin(self, rooms: int, messages: int) -> None:
        """Opens the partition, with an account of it, and rooms with messages."""
        for number in range(1000):
            row = await self.store.open_account(AccountId(f"account-{self.partition}-{number}"))
            if row.partition == self.partition:
                self.account, self.key = row.account_id, row.account_db_key
                break
        shard = await self.store.shard_of(self.partition)
        self._incarnation = (await self.store.open_partition(shard, self.partition)).incarnation
        for _ in range(rooms):
            room = self.mint.room_id(self.partition)
            self.said[room] = []
            create = RoomCreate(room, self.partition, self.account, self.key, "A room", "GPT4O", 1000, 1)
            assert await self.write(Batch([], room_creates=[create]))
            for _ in range(messages):
                assert await self.say(room)

    async def write(self, batch: Batch) -> bool:
        """As a writer does that takes the partition for this batch; False when it is refused for the moment."""
        shard = await self.store.shard_of(self.partition)
        try:
            held = await self.store.acquire_partition(ShardId(int(shard)), self.partition)
        except PartitionMoves:
            self.refused += 1
            return False
        assert held.applied.number == self._number, "the queue's position has moved with the rows"
        fence = Fence(self.partition, held.epoch, QueuePosition(self._incarnation, self._number + 1))
        batch = Batch(**{**{name: getattr(batch, name) for name in batch.__struct_fields__}, "fences": [fence]})
        if await self.store.apply(ShardId(int(shard)), batch):
            self.refused += 1
            return False
        self._number += 1
        return True

    async def say(self, room: RoomId) -> bool:
        """One more message, and the first one edited."""
        docs = self.said[room]
        seq = len(docs) + 1
        doc = MessageDoc(self.mint.message_id(self.partition), SenderType.USER, f"müller {seq} word{seq}", 2000 + seq)
        saves, versions = [MessageSave(room, seq, doc)], []
        if docs:
            edited = MessageDoc(docs[0].message_id, SenderType.USER, f"edited {seq}", 2001, version=docs[0].version + 1)
            saves.append(MessageSave(room, 1, edited))
            versions.append(VersionSave(room, 1, docs[0]))
        batch = Batch(
            [],
            message_saves=saves,
            version_saves=versions,
            room_touches=[RoomTouch(room, seq, seq, 2000 + seq)],
            uses=[Use(self.key, 7, 1, 10, 0)],
            search_notes=[SearchNote(self.partition, room, save.seq) for save in saves],
            call_notes=[CallNote(room, seq, 1, 0, [f"digest-{seq}"])],
        )
        if not await self.write(batch):
            return False
        self._uses += 1
        self.said[room] = [*([saves[1].doc, *docs[1:]] if docs else []), doc]
        return True

    async def keep_file(self) -> bool:
        file_id = self.mint.file_id(self.partition)
        self._files += 1
        file = File(file_id, file_id, f"file {file_id}", "text/plain", 10, f"{self._files:064}", 1000)
        try:
            added = await self.files.add(await self.store.shard_of(self.partition), self.key, file, PLENTY)
        except PartitionMoves:
            self.refused += 1
            return False
        assert added == file
        self.kept.append(file)
        await self.name_file(file)
        return True

    async def name_file(self, file: File) -> None:
        """A message names it, unless that is refused for the moment."""
        shard, message = await self.store.shard_of(self.partition), self.mint.message_id(self.partition)
        try:
            named = await self.files.refer(shard, self.key, [file.file_id], message, next(iter(self.said)))
        except PartitionMoves:
            self.refused += 1
            return
        assert named == [file]

    async def drop_file(self) -> bool:
        try:
            shard = await self.store.shard_of(self.partition)
            gone, _ = await self.files.delete(shard, self.key, FileId(self.kept[0].file_id), 5)
        except PartitionMoves:
            self.refused += 1
            return False
        assert gone
        self.kept.pop(0)
        return True

    async def check(self) -> None:
        """Everything that was written is there, once, on the shard that the map names."""
        shard = await self.store.shard_of(self.partition)
        for room, docs in self.said.items():
            rows = await self.store.messages_get(shard, room, limit=1000, newest=False)
            assert [row.seq for row in rows] == list(range(1, len(docs) + 1))
            assert [row.doc for row in rows] == docs
            found = await self.store.room_get(shard, room)
            assert found is not None
            assert found.message_count == len(docs)
            earlier = await self.store.versions_get(shard, room, 1, limit=1000)
            assert [doc.version for doc in earlier] == list(range(1, docs[0].version))
        assert {room.room_id for room in await self.store.rooms_get(shard, self.key, limit=100)} == set(self.said)
        files = await self.files.page(shard, self.key, 1000, None)
        assert {file.file_id for file in files} == {file.file_id for file in self.kept}
        (use,) = await self.store.daily_use(shard, self.key, [DaySpan("2000-01-01", 0, 9)])
        assert use.messages == self._uses, "each message counts once"
