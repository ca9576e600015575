"""Reading a room's messages: the cached tail joined to the shard.

Contiguous seq tells what the cache holds, so a page is never shorter because the cache was cold (I15); states in Redis
win over rows, because what is being deleted is deleted for every reader at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import structs

from parlor.cache.reads import CachedPage, CacheReader, PageRow
from parlor.cache.records import stored_state, view
from parlor.cache.states import StateCache
from parlor.errors import CacheUnavailable, MessageNotFound, RoomNotFound, StoreUnavailable
from parlor.ids import AccountId, MessageId, RoomId, home_of
from parlor.loading import Loader
from parlor.model import Message, MessagePage
from parlor.states import MessageState
from parlor.store.ports import ChatStore, MessageRow

EXPORT_PAGE = 200
"""Messages that an export reads at once."""


class HistoryReader:
    """``account`` is the reader's: another's room is ``RoomNotFound``. None is the program itself."""

    def __init__(self, reader: CacheReader, states: StateCache, store: ChatStore, loader: Loader) -> None:
        self._reader = reader
        self._states = states
        self._store = store
        self._loader = loader

    async def page(
        self,
        room_id: RoomId,
        account: AccountId | None,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> MessagePage:
        """Raises ``RoomNotFound``; ``StoreUnavailable`` when the page needs rows that only a shard has."""
        cached = await self._cached_page(room_id, after, before, limit)
        if cached is None:
            # Without Redis, what is stored can still be read; events cannot, so there is no cursor to speak of.
            return await self._stored_page(room_id, account, limit=limit, before=before, after=after)
        if account is not None and cached.account_id != account:
            raise RoomNotFound
        messages = await self._join(room_id, cached)
        first = cached.rows[0].seq if cached.rows else 0
        last = cached.rows[-1].seq if cached.rows else 0
        more = last < cached.last_seq if after is not None else first > 1
        return MessagePage(
            messages=messages,
            has_more=bool(cached.rows) and more,
            next_before=first if first > 1 else None,
            persisted_seq=cached.persisted_seq,
            cursor=cached.cursor,
        )

    async def message(self, room_id: RoomId, account: AccountId | None, message_id: MessageId) -> Message:
        """Raises ``RoomNotFound``, ``MessageNotFound``."""
        try:
            seq = await self._states.find_message(room_id, message_id)
        except CacheUnavailable:
            seq = None
        if seq is None:
            shard = await self._store.shard_of(home_of(room_id))
            row = await self._store.message_find(shard, room_id, message_id)
            seq = row.seq if row else None
        # Through a page of one: it checks the room and its owner, and joins in the live text and state.
        page = await self.page(room_id, account, limit=1, after=(seq or 1) - 1)
        if seq is None or not page.messages or page.messages[0].message_id != message_id:
            raise MessageNotFound
        return page.messages[0]

    async def before(self, room_id: RoomId, seq: int, limit: int) -> list[Message]:
        """For the LLM's memory: the newest ``limit`` messages below ``seq``."""
        if seq <= 1:
            return []
        return (await self.page(room_id, None, limit=limit, before=seq)).messages

    async def all(self, room_id: RoomId, account: AccountId) -> AsyncIterator[Message]:
        """Every message in order, as the room was when the reading of each page began."""
        after = 0
        while True:
            page = await self.page(room_id, account, limit=EXPORT_PAGE, after=after)
            for message in page.messages:
                yield message
            if not page.has_more:
                return
            after = page.messages[-1].seq

    async def _cached_page(
        self, room_id: RoomId, after: int | None, before: int | None, limit: int
    ) -> CachedPage | None:
        """Also loads a room that Redis does not have. None when Redis does not answer."""
        try:
            cached = await self._reader.page(room_id, after, before, limit)
            if cached is None:
                await self._loader.load_room(room_id)
                cached = await self._reader.page(room_id, after, before, limit)
        except CacheUnavailable:
            return None
        return cached

    async def _join(self, room_id: RoomId, cached: CachedPage) -> list[Message]:
        missing = [row.seq for row in cached.rows if row.doc is None]
        rows: dict[int, MessageRow] = {}
        if missing:
            shard = await self._store.shard_of(home_of(room_id))
            found = await self._store.messages_get(
                shard, room_id, above=missing[0] - 1, below=missing[-1] + 1, limit=len(cached.rows), newest=False
            )
            rows = {row.seq: row for row in found}
        return [_joined(room_id, place, rows.get(place.seq), cached) for place in cached.rows]

    async def _stored_page(
        self, room_id: RoomId, account: AccountId | None, *, limit: int, before: int | None, after: int | None
    ) -> MessagePage:
        shard = await self._store.shard_of(home_of(room_id))
        room = await self._store.room_get(shard, room_id)
        if room is None or (account is not None and room.account_id != account):
            raise RoomNotFound
        rows = await self._store.messages_get(
            shard, room_id, above=after or 0, below=before, limit=limit, newest=after is None
        )
        messages = [view(room_id, row.seq, stored_state(row), row.doc) for row in rows]
        first = rows[0].seq if rows else 0
        more = (rows[-1].seq < room.last_seq if after is not None else first > 1) if rows else False
        return MessagePage(messages, more, first if first > 1 else None, room.last_seq, "0-0")


def _joined(room_id: RoomId, place: PageRow, row: MessageRow | None, cached: CachedPage) -> Message:
    if place.doc is not None:
        doc, state, text = place.doc, place.state or MessageState.SENT, ""
        if doc.message_id == cached.live_message and state is MessageState.COMPOSING:
            doc, text = structs.replace(doc, attempt=cached.live_attempt), cached.live_text
        return view(room_id, place.seq, state, doc, text)
    if row is None:
        # Better no page than a shorter one: it was stored before it left the cache.
        raise StoreUnavailable(debug=f"{room_id} seq {place.seq} is neither in the cache nor in its shard")
    return view(room_id, place.seq, place.state or stored_state(row), row.doc)
