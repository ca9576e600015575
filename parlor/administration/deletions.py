"""Deletes accounts with everything that they have, wherever somebody stopped doing it.

The receipt in the global database says what is to be done; it is written in the step that shuts the account out. From
then on every step here may be repeated: rooms leave Redis and their shard is told, as when their account deletes them;
when the shard knows, what they held leaves the tables.
"""

from __future__ import annotations

import asyncio

import structlog

from parlor.cache.live import Live, RoomAddress
from parlor.cache.operators import OperatorCache
from parlor.clock import Clock
from parlor.errors import IllegalTransition, OutOfStep, ParlorError, PartitionUnknown, RoomNotFound
from parlor.files.files import Files
from parlor.model.access import Deletion, Session
from parlor.model.ids import RoomId
from parlor.persistence.dead_letters import DeadLetters
from parlor.reading.loading import Loader
from parlor.reading.room_list import RoomDirectory
from parlor.store.deletions import DeletionStore
from parlor.store.ports import ChatStore

OPERATOR = "operator"
"""The actor that transition logs name."""
ACCOUNTS = 10
"""Accounts of one step."""
ROOMS = 100
"""Rooms that are deleted together."""
PAGES = 20
"""Pages of rooms of one step: other sweeps wait for it."""
UNDER_WAY_MS = 15_000
"""Requests that were let in before the account was shut out everywhere have ended by then, or been refused."""
_log = structlog.get_logger(__name__)


class Deletions:
    """``step`` goes on with what was begun."""

    def __init__(
        self,
        store: ChatStore,
        live: Live,
        directory: RoomDirectory,
        loader: Loader,
        files: Files,
        dead_letters: DeadLetters,
        clock: Clock,
    ) -> None:
        self._store = store
        self._deletions = DeletionStore(store)
        self._live = live
        self._directory = directory
        self._operators = OperatorCache(live)
        self._loader = loader
        self._files = files
        self._dead_letters = dead_letters
        self._clock = clock

    async def step(self) -> None:
        """Raises ``StoreUnavailable`` when the global database does not answer."""
        for deletion in await self._deletions.page(ACCOUNTS):
            try:
                await self._go_on(deletion)
            except ParlorError as error:
                # The next step tries again; other accounts go on.
                receipt = deletion.receipt_id
                _log.warning("account_deletion_delayed", receipt=receipt, code=error.code, debug=error.debug)

    async def _go_on(self, deletion: Deletion) -> None:
        shard = await self._store.shard_of(deletion.partition)
        key = deletion.account_db_key
        session = Session(deletion.account_id, key, deletion.partition, shard)
        for _ in range(PAGES):
            rooms = [room.room_id for room in (await self._directory.page(session, ROOMS, None)).rooms]
            if not rooms:
                break
            await self._delete(session, rooms)
        else:
            return
        if self._clock.now_ms() - deletion.requested_at < UNDER_WAY_MS:
            return
        if stored := await self._store.rooms_get(shard, key, limit=ROOMS):
            # Their deletes are queued, unless Redis has forgotten them.
            await self._delete(session, [row.room_id for row in stored])
            return
        await self._dead_letters.forget(deletion.partition, deletion.account_id)
        while files := (await self._files.page(session, ROOMS, None)).files:
            for file in files:
                await self._files.delete(session, file.file_id)
        count = await self._purge(session)
        if await self._store.rooms_count(shard, key):
            return
        await self._forget(session)
        await self._deletions.finish(key, count, self._clock.now_ms())
        _log.info("account_deleted", receipt=deletion.receipt_id, rooms=count)

    async def _delete(self, session: Session, rooms: list[RoomId]) -> None:
        await asyncio.gather(*(self._delete_room(session, room) for room in rooms))

    async def _delete_room(self, session: Session, room_id: RoomId) -> None:
        address = RoomAddress(room_id, session.account_id, session.account_db_key)
        try:
            try:
                await self._operators.delete_room(address, OPERATOR)
            except PartitionUnknown:
                await self._loader.open_partition(session.partition)
                await self._loader.load_room(room_id)
                await self._operators.delete_room(address, OPERATOR)
            except OutOfStep:
                await self._loader.load_room(room_id)
                await self._operators.delete_room(address, OPERATOR)
        except (RoomNotFound, IllegalTransition):
            # It is gone; or it is being created, and the next step finds it.
            return

    async def _purge(self, session: Session) -> int:
        """Takes everything out of the shard; returns how many rooms the account has had."""
        shard, key, count = session.home, session.account_db_key, 0
        after: RoomId | None = None
        while rooms := await self._deletions.rooms(shard, key, after, ROOMS):
            for room_id in rooms:
                await self._deletions.purge_room(shard, room_id)
            count, after = count + len(rooms), rooms[-1]
        await self._deletions.purge_use(shard, key)
        return count

    async def _forget(self, session: Session) -> None:
        """What Redis has of the account itself. That it was deleted stays."""
        keys, partition, account = self._live.keys, session.partition, session.account_id
        await self._live.require_own(partition)
        names = keys.account(partition, account), keys.rooms(partition, account)
        await self._live.read("DEL", *names, keys.account_events(partition, account))
        await self._live.read("DEL", keys.session(account))
