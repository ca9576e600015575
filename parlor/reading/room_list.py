"""An account's rooms: Redis first, its shard behind it."""

from __future__ import annotations

import asyncio
import base64
import binascii

from parlor.cache.reads import CacheReader
from parlor.errors import CacheUnavailable, InvalidRequest, RoomNotFound
from parlor.ids import AccountId, RoomId, partition_of
from parlor.model import Room, RoomMemory, RoomPage, RoomRow, RoomsBefore, Session
from parlor.reading.internal import InternalMemories
from parlor.reading.loading import Loader
from parlor.states import GONE, RoomState
from parlor.store.ports import ChatStore

FILL_PAGE = 500
"""Rows that are read at once when the list is filled from the shard."""


class RoomDirectory:
    """Lists and single rooms. Rooms that are going or gone are never shown (I9)."""

    def __init__(self, reader: CacheReader, memories: InternalMemories, store: ChatStore, loader: Loader) -> None:
        self._reader = reader
        self._memories = memories
        self._store = store
        self._loader = loader

    async def room(self, room_id: RoomId, account: AccountId) -> Room:
        """Raises ``RoomNotFound``, also for another account's room."""
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
                # Perhaps it is only in Redis yet: nobody can say now that there is no such room.
                raise
            if row.account_id != account:
                raise RoomNotFound from None
            return _stored(row)
        if found is None or found.account_id != account or found.room.state in GONE:
            raise RoomNotFound
        return found.room

    async def memory(self, room_id: RoomId, account: AccountId) -> RoomMemory:
        """What stands in the prompt for the room's older turns. Raises ``RoomNotFound``, also for another account's
        room."""
        return await (await self._memories.find_memory(room_id)).for_account(account)

    async def page(self, session: Session, limit: int, cursor: str | None) -> RoomPage:
        """Newest activity first. Raises ``InvalidRequest`` for a cursor that is none of ours."""
        before = _decode(cursor) if cursor else None
        try:
            return await self._cached_page(session, limit, before)
        except CacheUnavailable:
            return await self._stored_page(session, limit, before)

    async def _cached_page(self, session: Session, limit: int, before: RoomsBefore | None) -> RoomPage:
        partition, account = session.partition, session.account_id
        # One more than asked for tells whether there is a next page.
        found = await self._reader.list_page(partition, account, limit + 1, before)
        if found is None:
            await self._fill(session)
            found = await self._reader.list_page(partition, account, limit + 1, before)
        if found is None:
            # An account without rooms: there is nothing that could be complete.
            position = await self._reader.account_log(partition, account)
            return RoomPage([], 0, None, position.last)
        places = found.places[:limit]
        shown = await asyncio.gather(*(self._shown(place.room_id, account) for place in places))
        rooms = [room for room in shown if room is not None]
        more = len(found.places) > limit
        return RoomPage(rooms, found.total, _encode(places[-1]) if more else None, found.cursor)

    async def _shown(self, room_id: RoomId, account: AccountId) -> Room | None:
        try:
            return await self.room(room_id, account)
        except RoomNotFound:
            return None  # on its way out: the list forgets it too

    async def _fill(self, session: Session) -> None:
        before: RoomsBefore | None = None
        while True:
            rows = await self._store.rooms_get(session.shard_id, session.account_db_key, limit=FILL_PAGE, before=before)
            complete = len(rows) < FILL_PAGE
            await self._reader.fill_list(
                session.partition, session.account_id, rows, first=before is None, complete=complete
            )
            if complete:
                return
            before = _place(rows[-1])

    async def _stored_page(self, session: Session, limit: int, before: RoomsBefore | None) -> RoomPage:
        rows, total = await asyncio.gather(
            self._store.rooms_get(session.shard_id, session.account_db_key, limit=limit + 1, before=before),
            self._store.rooms_count(session.shard_id, session.account_db_key),
        )
        page = rows[:limit]
        return RoomPage(
            [_stored(row) for row in page], total, _encode(_place(page[-1])) if len(rows) > limit else None, "0-0"
        )


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
    )


def _place(row: RoomRow) -> RoomsBefore:
    return RoomsBefore(row.last_message_at or row.created_at, row.room_id)


def _encode(place: RoomsBefore) -> str:
    return base64.urlsafe_b64encode(f"{place.activity}:{place.room_id}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> RoomsBefore:
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        activity, _, room_id = plain.partition(":")
        place = RoomsBefore(int(activity), RoomId(room_id))
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("The cursor is not one of ours") from error
    if partition_of(room_id) is None:
        raise InvalidRequest("The cursor is not one of ours")
    return place
