"""A room's messages, for the account that the room belongs to.

Every method takes the account and raises ``RoomNotFound`` for another account's room (I16). The reading itself is in
``internal.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from parlor.model.cursors import parse_number_cursor, print_number_cursor
from parlor.model.ids import AccountId, MessageId, RoomId
from parlor.model.messages import Message, MessageList, MessagePage
from parlor.model.states import GONE_MESSAGES
from parlor.reading.internal import InternalHistory

EXPORT_PAGE = 200
"""Messages that an export reads in one page."""


class HistoryReader:
    """Reads a room's messages. Every method raises ``RoomNotFound``, also for another account's room."""

    def __init__(self, internal: InternalHistory) -> None:
        self._internal = internal

    async def page(
        self,
        room_id: RoomId,
        account: AccountId,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
        stored: bool = True,
    ) -> MessagePage:
        """Returns a page of messages. Raises ``StoreUnavailable`` if it needs rows that only an unreachable shard
        has. ``stored``: while Redis is away, what is stored will do; otherwise raises ``CacheUnavailable``."""
        found = await self._internal.find_page(room_id, limit=limit, before=before, after=after, stored=stored)
        return await found.for_account(account)

    async def message(self, room_id: RoomId, account: AccountId, message_id: MessageId) -> Message:
        """Returns one message. Raises ``MessageNotFound``, or ``CacheUnavailable`` if only an unreachable Redis may
        have it."""
        return await (await self._internal.find_message(room_id, message_id)).for_account(account)

    async def running(self, room_id: RoomId, account: AccountId) -> Message | None:
        """Returns the reply that is being written, or the first of those that wait; None when all have ended. Raises
        ``CacheUnavailable``."""
        return await (await self._internal.find_running(room_id)).for_account(account)

    async def variants(
        self, room_id: RoomId, account: AccountId, message_id: MessageId, *, limit: int, cursor: str | None = None
    ) -> MessageList:
        """Returns a page of the message's earlier versions, oldest first; the current one ends the last page. Raises
        ``MessageNotFound`` and ``InvalidCursor``."""
        above = -1 if cursor is None else parse_number_cursor(cursor)
        current = await self.message(room_id, account, message_id)
        if current.state in GONE_MESSAGES:
            return MessageList([current], None)
        earlier = await self._internal.earlier_versions(room_id, current.seq, above=above, limit=limit)
        messages = [message for _, message in earlier]
        if len(earlier) == limit:
            return MessageList(messages, print_number_cursor(earlier[-1][0]))
        return MessageList([*messages, current], None)

    async def queued(
        self, room_id: RoomId, account: AccountId, *, limit: int, cursor: str | None = None
    ) -> MessageList:
        """Returns a page of a person's messages that no reply has read yet, by ascending seq. Raises
        ``InvalidCursor``."""
        above = 0 if cursor is None else parse_number_cursor(cursor)
        return await (await self._internal.find_queued(room_id, above=above, limit=limit)).for_account(account)

    async def all(self, room_id: RoomId, account: AccountId) -> AsyncIterator[Message]:
        """Yields every message in order. Each page is as the room was when its reading began."""
        after = 0
        while True:
            page = await self.page(room_id, account, limit=EXPORT_PAGE, after=after)
            for message in page.messages:
                yield message
            if not page.has_more:
                return
            after = page.messages[-1].seq
