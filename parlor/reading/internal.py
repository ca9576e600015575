"""Reads of any room without an account check, for the program itself: room owners, the prompt's memory, and audits.

Code that answers a client reads through ``history.HistoryReader`` and ``room_list.RoomDirectory``, which check the
account by opening a ``Found`` for it (I16).

Seqs have no holes, so it is always known which messages the cache lacks, and a page is never shorter because the cache
was cold (I15). States in Redis win over rows, so that a message that is being deleted is deleted for every reader at
once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from msgspec import structs

from parlor.cache.reads import CachedPage, CacheReader, PageRow
from parlor.cache.records import stored_state, view
from parlor.cache.states import StateCache
from parlor.cache.summaries import SummaryCache
from parlor.errors import CacheUnavailable, MessageNotFound, RoomNotFound, StoreUnavailable
from parlor.model.cursors import START, print_number_cursor
from parlor.model.ids import AccountId, MessageId, RoomId, home_of, partition_of
from parlor.model.messages import Message, MessageDoc, MessageList, MessagePage, MessageRow, SenderType
from parlor.model.rooms import RoomMemory
from parlor.model.states import GONE_MESSAGES, MessageState
from parlor.reading.loading import Loader
from parlor.store.calls import CallStore
from parlor.store.ports import ChatStore

QUEUE_PAGE = 20
"""Messages in each page that is read to find the queued ones."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Found(Generic[_T]):
    """Something that was found in a room, and the account that the room belongs to."""

    account_id: AccountId
    load: Callable[[], Awaitable[_T]]
    """Returns what was found; reads rows that only a shard has. Raises ``StoreUnavailable``."""

    async def for_account(self, account: AccountId) -> _T:
        """Returns what was found. Raises ``RoomNotFound`` for another account, before reading anything more."""
        if self.account_id != account:
            raise RoomNotFound
        return await self.load()


class InternalHistory:
    """Reads a room's messages: the cached tail joined to the rows of its shard."""

    def __init__(self, reader: CacheReader, states: StateCache, store: ChatStore, loader: Loader) -> None:
        self._reader = reader
        self._states = states
        self._store = store
        self._loader = loader
        self._calls = CallStore(store)

    async def page(
        self, room_id: RoomId, *, limit: int, before: int | None = None, after: int | None = None
    ) -> MessagePage:
        """Returns a page of messages. Raises ``RoomNotFound``, or ``StoreUnavailable`` if the page needs rows that only
        an unreachable shard has."""
        return await (await self.find_page(room_id, limit=limit, before=before, after=after)).load()

    async def message(self, room_id: RoomId, message_id: MessageId) -> Message:
        """Returns one message, for a room's owner. Raises ``RoomNotFound``, ``MessageNotFound``, and
        ``CacheUnavailable`` rather than tell what is stored, which may have been deleted since (I20): without Redis an
        owner can do nothing anyway."""
        return await (await self.find_message(room_id, message_id, stored=False)).load()

    async def waits(self, room_id: RoomId, seq: int) -> bool:
        """Returns whether no reply has read the person's message in this slot yet. Raises ``RoomNotFound``."""
        waiting = await self._reader.waiting_replies(room_id)
        if not waiting or seq >= waiting[-1]:
            return False
        return seq >= await self._first_unread(room_id, await self._before_waiting(room_id, waiting))

    async def find_page(
        self, room_id: RoomId, *, limit: int, before: int | None = None, after: int | None = None, stored: bool = True
    ) -> Found[MessagePage]:
        """Finds what ``page`` returns, unloaded, with the account that owns it. ``stored``: what the shard has will do
        while Redis is away."""
        try:
            cached = await self._cached_page(room_id, after, before, limit)
        except CacheUnavailable as away:
            if not stored:
                raise
            # Stored rows can still be read. Events cannot, so the page has no real cursor.
            rows = await self._stored_page(room_id, limit=limit, before=before, after=after)
            if rows is None:
                # The room may exist only in Redis so far, so it cannot be reported as missing.
                raise away from None
            return rows
        return Found(cached.account_id, partial(self._page, room_id, cached, ascending=after is not None))

    async def find_message(self, room_id: RoomId, message_id: MessageId, *, stored: bool = True) -> Found[Message]:
        """Finds a message, unloaded, with the account that owns it. ``stored`` as in ``find_page``."""
        away: CacheUnavailable | None = None
        try:
            seq = await self._states.find_message(room_id, message_id)
        except CacheUnavailable as error:
            if not stored:
                raise
            seq, away = None, error
        if seq is None:
            shard = await self._store.shard_of(home_of(room_id))
            row = await self._store.message_find(shard, room_id, message_id)
            if row is None and away is not None:
                raise away
            seq = row.seq if row else None
        # A page of one message also finds the room and its account, and joins in the live text and state.
        found = await self.find_page(room_id, limit=1, after=(seq or 1) - 1, stored=stored)
        return Found(found.account_id, partial(self._message, found, seq, message_id))

    async def find_running(self, room_id: RoomId) -> Found[Message | None]:
        """Finds the first reply that has not ended, unloaded, with the account that the room belongs to. Raises
        ``CacheUnavailable``: only Redis knows."""
        newest = await self.find_page(room_id, limit=1, stored=False)
        return Found(newest.account_id, partial(self._running, room_id))

    async def find_queued(self, room_id: RoomId, *, above: int, limit: int) -> Found[MessageList]:
        """Finds a person's messages above a seq that no reply has read yet, ascending, unloaded, with the account that
        owns them."""
        waiting = await self._reader.waiting_replies(room_id)
        before = await self._before_waiting(room_id, waiting)
        return Found(before.account_id, partial(self._queued, room_id, waiting, before, above, limit))

    async def doc(self, room_id: RoomId, seq: int) -> MessageDoc:
        """Returns a message's stored document, whatever its state. Raises ``MessageNotFound``."""
        found = await self._states.message_doc(room_id, seq)
        if found is not None:
            return found
        shard = await self._store.shard_of(home_of(room_id))
        rows = await self._store.messages_get(shard, room_id, above=seq - 1, below=seq + 1, limit=1, newest=False)
        if not rows:
            raise MessageNotFound
        return rows[0].doc

    async def stored(self, room_id: RoomId, seq: int) -> MessageDoc | None:
        """Returns the message as its shard has it; None for none."""
        shard = await self._store.shard_of(home_of(room_id))
        rows = await self._store.messages_get(shard, room_id, above=seq - 1, below=seq + 1, limit=1, newest=False)
        return rows[0].doc if rows else None

    async def approved_before(self, room_id: RoomId, digest: str) -> bool:
        """Returns whether the same call was approved once for this room; of one whose approval neither Redis nor the
        shard can tell, it was not."""
        with suppress(CacheUnavailable):
            if await self._reader.approved_before(room_id, digest):
                return True
        with suppress(StoreUnavailable):
            return await self._calls.approved(await self._store.shard_of(home_of(room_id)), room_id, digest)
        return False

    async def earlier_versions(
        self, room_id: RoomId, seq: int, *, above: int = -1, limit: int
    ) -> list[tuple[int, Message]]:
        """Returns the oldest ``limit`` of the message's earlier versions above ``above``, ascending, with their
        numbers."""
        earlier: dict[int, tuple[MessageState, MessageDoc]] = {}
        try:
            for doc in await self._reader.versions(room_id, seq):
                if doc.version > above:
                    earlier[doc.version] = MessageState.PENDING, doc
        except CacheUnavailable:
            # Stored versions can still be read.
            pass
        shard = await self._store.shard_of(home_of(room_id))
        for doc in await self._store.versions_get(shard, room_id, seq, above=above, limit=limit):
            earlier[doc.version] = MessageState.SENT, doc
        return [(version, view(room_id, seq, *earlier[version])) for version in sorted(earlier)[:limit]]

    async def before(self, room_id: RoomId, seq: int, limit: int) -> list[Message]:
        """Returns the newest ``limit`` messages below ``seq``, for the LLM's memory. Raises ``CacheUnavailable`` rather
        than leave out what is only in Redis, because the LLM would then answer a different conversation."""
        if seq <= 1:
            return []
        return await self._join(room_id, await self._cached_page(room_id, None, seq, limit))

    async def _cached_page(self, room_id: RoomId, after: int | None, before: int | None, limit: int) -> CachedPage:
        """Reads a page from Redis, and loads the room first if Redis does not have it."""
        cached = await self._reader.page(room_id, after, before, limit)
        if cached is None:
            await self._loader.load_room(room_id)
            cached = await self._reader.page(room_id, after, before, limit)
        if cached is None:
            raise CacheUnavailable(debug="the room was loaded and is not there", retry_after=1.0)
        return cached

    async def _page(self, room_id: RoomId, cached: CachedPage, *, ascending: bool) -> MessagePage:
        messages = await self._join(room_id, cached)
        first = cached.rows[0].seq if cached.rows else 0
        last = cached.rows[-1].seq if cached.rows else 0
        more = last < cached.last_seq if ascending else first > 1
        return MessagePage(
            messages=messages,
            has_more=bool(cached.rows) and more,
            next_before=first if first > 1 else None,
            persisted_seq=cached.persisted_seq,
            cursor=cached.cursor,
        )

    async def _join(self, room_id: RoomId, cached: CachedPage) -> list[Message]:
        missing = [row.seq for row in cached.rows if row.doc is None]
        rows: dict[int, MessageRow] = {}
        if missing:
            shard = await self._store.shard_of(home_of(room_id))
            found = await self._store.messages_get(
                shard, room_id, above=missing[0] - 1, below=missing[-1] + 1, limit=len(cached.rows), newest=False
            )
            rows = {row.seq: row for row in found}
        return [_joined(room_id, slot, rows.get(slot.seq), cached) for slot in cached.rows]

    async def _stored_page(
        self, room_id: RoomId, *, limit: int, before: int | None, after: int | None
    ) -> Found[MessagePage] | None:
        """Reads a page from the shard alone; None if the shard does not have the room."""
        shard = await self._store.shard_of(home_of(room_id))
        room = await self._store.room_get(shard, room_id)
        if room is None:
            return None

        async def load() -> MessagePage:
            rows = await self._store.messages_get(
                shard, room_id, above=after or 0, below=before, limit=limit, newest=after is None
            )
            if rows and rows[-1].seq - rows[0].seq != len(rows) - 1:
                # The shard has refused one of these messages, so it is in Redis only (docs/adr/0011). An error is
                # better than a page with a hole.
                raise CacheUnavailable(debug=f"{room_id}: a stored page has a hole", retry_after=1.0)
            messages = [view(room_id, row.seq, stored_state(row), row.doc) for row in rows]
            first = rows[0].seq if rows else 0
            more = (rows[-1].seq < room.last_seq if after is not None else first > 1) if rows else False
            return MessagePage(messages, more, first if first > 1 else None, room.last_seq, START)

        return Found(room.account_id, load)

    async def _message(self, found: Found[MessagePage], seq: int | None, message_id: MessageId) -> Message:
        page = await found.load()
        if seq is None or not page.messages or page.messages[0].message_id != message_id:
            if seq is not None and page.cursor == START:
                # Redis had it a moment ago and has become unavailable since.
                raise CacheUnavailable(debug=f"{message_id} is not stored yet", retry_after=1.0)
            raise MessageNotFound
        return page.messages[0]

    async def _running(self, room_id: RoomId) -> Message | None:
        for seq in await self._reader.open_replies(room_id):
            found = await self.find_page(room_id, limit=1, after=seq - 1, stored=False)
            reply = next((each for each in (await found.load()).messages if each.is_streaming), None)
            if reply is not None:
                return reply
        return None

    async def _before_waiting(self, room_id: RoomId, waiting: list[int]) -> Found[MessagePage]:
        return await self.find_page(room_id, limit=QUEUE_PAGE, before=waiting[0] if waiting else 0)

    async def _first_unread(self, room_id: RoomId, before: Found[MessagePage]) -> int:
        """Returns the lowest seq that no reply has read: before the first waiting reply, all messages of a person that
        follow one another."""
        page = await before.load()
        while page.messages:
            for message in reversed(page.messages):
                if message.sender_type is not SenderType.USER and message.state not in GONE_MESSAGES:
                    return message.seq + 1
            if page.next_before is None:
                break
            page = await self.page(room_id, limit=QUEUE_PAGE, before=page.next_before)
        return 1

    async def _queued(
        self, room_id: RoomId, waiting: list[int], before: Found[MessagePage], above: int, limit: int
    ) -> MessageList:
        if not waiting:
            return MessageList([], None)
        found: list[Message] = []
        last = max(await self._first_unread(room_id, before) - 1, above)
        more = True
        while more and last < waiting[-1]:
            page = await self.page(room_id, limit=limit, after=last)
            for message in page.messages:
                if message.seq > waiting[-1]:
                    break
                if message.sender_type is SenderType.USER and message.state not in GONE_MESSAGES:
                    if len(found) == limit:
                        return MessageList(found, print_number_cursor(found[-1].seq))
                    found.append(message)
            more, last = page.has_more, page.messages[-1].seq if page.messages else last
        return MessageList(found, None)


class InternalMemories:
    """Reads the summary that stands in the prompt for a room's older turns."""

    def __init__(self, summaries: SummaryCache, store: ChatStore, loader: Loader) -> None:
        self._summaries = summaries
        self._store = store
        self._loader = loader

    async def memory(self, room_id: RoomId) -> RoomMemory:
        """Returns the room's summary. Raises ``RoomNotFound``."""
        return await (await self.find_memory(room_id)).load()

    async def find_memory(self, room_id: RoomId) -> Found[RoomMemory]:
        """Finds what ``memory`` returns, unloaded, with the account that owns it."""
        partition = partition_of(room_id)
        if partition is None:
            raise RoomNotFound
        try:
            found = await self._summaries.read(room_id)
            if found is None:
                await self._loader.load_room(room_id)
                found = await self._summaries.read(room_id)
        except CacheUnavailable:
            row = await self._store.room_get(await self._store.shard_of(partition), room_id)
            if row is None:
                raise
            stored = RoomMemory(row.summary, row.summary_through, row.summary_at, row.summary_version)
            return Found(row.account_id, partial(_known, stored))
        if found is None:
            raise RoomNotFound
        return Found(found.account_id, partial(_known, found.memory))


async def _known(memory: RoomMemory) -> RoomMemory:
    return memory


def _joined(room_id: RoomId, slot: PageRow, row: MessageRow | None, cached: CachedPage) -> Message:
    if slot.doc is not None:
        doc, state, live = slot.doc, slot.state or MessageState.SENT, None
        if doc.message_id == cached.live_message and state is MessageState.COMPOSING:
            doc, live = structs.replace(doc, attempt=cached.live_attempt), cached.live
        return view(room_id, slot.seq, state, doc, live)
    if row is None:
        # It must be in the shard, since it was stored before it left the cache. An error is better than a shorter page.
        raise StoreUnavailable(debug=f"{room_id} seq {slot.seq} is neither in the cache nor in its shard")
    return view(room_id, slot.seq, slot.state or stored_state(row), row.doc)
