"""An account's rooms, read from Redis, or from the shard when Redis does not have them."""

from __future__ import annotations

import asyncio

from parlor.cache.reads import CacheReader
from parlor.errors import CacheUnavailable, MessageNotFound, RoomNotFound, StoreUnavailable
from parlor.model.access import Session
from parlor.model.cursors import START, parse_list_cursor, print_list_cursor
from parlor.model.ids import AccountId, MessageId, RoomId, partition_of
from parlor.model.rooms import Room, RoomMemory, RoomPage, RoomRow, RoomsBefore
from parlor.model.states import GONE, RoomState
from parlor.reading.internal import InternalMemories
from parlor.reading.loading import Loader
from parlor.store.ports import ChatStore

FILL_PAGE = 500
"""Rows in each page when the list is filled from the shard."""


class RoomDirectory:
    """Reads lists of rooms and single rooms. Deleted rooms, and those being deleted, are never shown (I9)."""

    def __init__(self, reader: CacheReader, memories: InternalMemories, store: ChatStore, loader: Loader) -> None:
        self._reader = reader
        self._memories = memories
        self._store = store
        self._loader = loader

    async def room(self, room_id: RoomId, account: AccountId) -> Room:
        """Returns one room. Raises ``RoomNotFound``, also for another account's room."""
        partition = partition_of(room_id)
        if partition is None:
            raise RoomNotFound
        try:
            found = await self._reader.room(room_id)
            if found is None:
                await self._loader.load_room(room_id)
                found = await self._reader.room(room_id)
        except CacheUnavailable:
            row = await self._store.room_get(await self._store.shard_of(partition), room_id)
            if row is None:
                # The room may exist only in Redis so far, so it cannot be reported as missing.
                raise
            if row.account_id != account:
                raise RoomNotFound from None
            return _stored(row)
        if found is None or found.account_id != account or found.room.state in GONE:
            raise RoomNotFound
        return found.room

    async def find(self, session: Session, external_id: str) -> RoomPage:
        """Returns the account's room that has this external id, as a page of one or none. Raises ``CacheUnavailable``
        when only an unreachable Redis may know it."""
        account, position = session.account_id, START
        away: CacheUnavailable | None = None
        try:
            position = (await self._reader.account_log(session.partition, account)).last
            room_id = await self._reader.external_room(session.partition, account, external_id)
        except CacheUnavailable as error:
            room_id, away = None, error
        if room_id is None:
            room_id = await self._store.room_find(session.home, session.account_db_key, external_id)
        if room_id is None and away is not None:
            raise away
        room = await self._shown(room_id, account) if room_id is not None else None
        rooms = [room] if room is not None else []
        return RoomPage(rooms, len(rooms), None, position)

    async def of_message(self, session: Session, message_id: MessageId) -> RoomId:
        """Returns the account's room that has the message. Raises ``MessageNotFound``."""
        if partition_of(message_id) != session.partition:
            raise MessageNotFound
        away: StoreUnavailable | None = None
        try:
            stored = await self._store.message_room(session.home, session.account_db_key, message_id)
        except StoreUnavailable as error:
            stored, away = None, error
        room_id = stored or await self._reader.message_room(session.partition, session.account_id, message_id)
        if room_id is None:
            raise away or MessageNotFound
        return room_id

    async def memory(self, room_id: RoomId, account: AccountId) -> RoomMemory:
        """Returns the summary that stands in the prompt for the room's older turns. Raises ``RoomNotFound``, also for
        another account's room."""
        return await (await self._memories.find_memory(room_id)).for_account(account)

    async def page(self, session: Session, limit: int, cursor: str | None) -> RoomPage:
        """Returns a page of an account's rooms, newest activity first. Raises ``InvalidCursor``."""
        before = parse_list_cursor(cursor) if cursor else None
        try:
            return await self._cached_page(session, limit, before)
        except CacheUnavailable:
            return await self._stored_page(session, limit, before)

    async def _cached_page(self, session: Session, limit: int, before: RoomsBefore | None) -> RoomPage:
        partition, account = session.partition, session.account_id
        # Read one more than asked for, to know whether there is a next page.
        found = await self._reader.list_page(partition, account, limit + 1, before)
        if found is None:
            await self._fill(session)
            found = await self._reader.list_page(partition, account, limit + 1, before)
        if found is None:
            # An account without rooms has no list in Redis, not even after it was filled.
            position = await self._reader.account_log(partition, account)
            return RoomPage([], 0, None, position.last)
        positions = found.positions[:limit]
        shown = await asyncio.gather(*(self._shown(each.room_id, account) for each in positions))
        rooms = [room for room in shown if room is not None]
        following = print_list_cursor(positions[-1]) if len(found.positions) > limit else None
        return RoomPage(rooms, found.total, following, found.cursor)

    async def _shown(self, room_id: RoomId, account: AccountId) -> Room | None:
        try:
            return await self.room(room_id, account)
        except RoomNotFound:
            return None  # being deleted: it leaves the list too

    async def _fill(self, session: Session) -> None:
        before: RoomsBefore | None = None
        while True:
            rows = await self._store.rooms_get(session.home, session.account_db_key, limit=FILL_PAGE, before=before)
            complete = len(rows) < FILL_PAGE
            await self._reader.fill_list(
                session.partition, session.account_id, rows, first=before is None, complete=complete
            )
            if complete:
                return
            before = _position(rows[-1])

    async def _stored_page(self, session: Session, limit: int, before: RoomsBefore | None) -> RoomPage:
        rows, total = await asyncio.gather(
            self._store.rooms_get(session.home, session.account_db_key, limit=limit + 1, before=before),
            self._store.rooms_count(session.home, session.account_db_key),
        )
        page = rows[:limit]
        following = print_list_cursor(_position(page[-1])) if len(rows) > limit else None
        return RoomPage([_stored(row) for row in page], total, following, START)


def _stored(row: RoomRow) -> Room:
    return Room(
        room_id=row.room_id,
        title=row.title,
        ai_persona=row.ai_persona,
        created_at=row.created_at,
        last_message_at=row.last_message_at,
        message_count=row.message_count,
        state=RoomState.ACTIVE,
        persisted_seq=row.last_seq,
        external_id=row.external_id,
        metadata=row.metadata or "",
    )


def _position(row: RoomRow) -> RoomsBefore:
    return RoomsBefore(row.last_message_at or row.created_at, row.room_id)
