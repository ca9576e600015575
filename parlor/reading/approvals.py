"""The calls of tools that wait for an account's decisions, over all of its rooms.

Which replies may wait is told by two: the shard, also of rooms that Redis does not have, and Redis, whose newest ones
the shard may not have yet. Each of them is then read as any reader reads it, so that what is decided, stopped or
deleted is not in the list any more.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from parlor.cache.reads import CacheReader
from parlor.errors import CacheUnavailable, MessageNotFound, RoomNotFound
from parlor.model.access import Session
from parlor.model.cursors import WaitingFrom, parse_waiting_cursor, print_waiting_cursor
from parlor.model.ids import MessageId
from parlor.model.parts import Said, ToolCallPart
from parlor.model.requests import WaitingCall, WaitingPage
from parlor.model.tools import ToolState
from parlor.reading.history import HistoryReader
from parlor.store.calls import StoredCalls, WaitingReply


class WaitingCalls:
    """Lists what waits. While Redis is away, what is stored."""

    def __init__(self, reader: CacheReader, calls: StoredCalls, history: HistoryReader) -> None:
        self._reader = reader
        self._calls = calls
        self._history = history

    async def page(self, session: Session, *, limit: int, cursor: str | None) -> WaitingPage:
        """Returns a page of calls, those of older replies first. Raises ``InvalidCursor``, ``StoreUnavailable``."""
        begin = WaitingFrom(None, 0) if cursor is None else parse_waiting_cursor(cursor)
        parked: list[WaitingReply] = []
        with suppress(CacheUnavailable):
            parked = [
                WaitingReply(message, room)
                for room, message in await self._reader.parked(session.partition, session.account_id)
            ]
        calls: list[WaitingCall] = []
        start, more = begin.message_id, True
        while more:
            replies = await self._calls.waiting(session.home, session.account_db_key, start=start, limit=limit + 1)
            more = len(replies) > limit
            beyond = replies[-1].message_id if more else None
            shown = sorted({*replies, *(reply for reply in parked if _between(start, reply.message_id, beyond))})
            if more:
                # It begins the next round, which may have more of Redis.
                shown.remove(replies[-1])
            for found in await asyncio.gather(*(self._waiting(session, reply) for reply in shown)):
                for at, call in found:
                    if call.message_id == begin.message_id and at < begin.part:
                        continue
                    if len(calls) == limit:
                        return WaitingPage(calls, print_waiting_cursor(WaitingFrom(call.message_id, at)))
                    calls.append(call)
            start = beyond
        return WaitingPage(calls, None)

    async def _waiting(self, session: Session, reply: WaitingReply) -> list[tuple[int, WaitingCall]]:
        """Returns the calls of a reply that wait now, and where they are among its parts."""
        try:
            message = await self._history.message(reply.room_id, session.account_id, reply.message_id)
        except (RoomNotFound, MessageNotFound):
            return []
        return [
            (at, WaitingCall(reply.room_id, reply.message_id, part))
            for at, part in enumerate(Said(message.content, message.parts).shown)
            if isinstance(part, ToolCallPart) and part.state is ToolState.WAITING
        ]


def _between(start: MessageId | None, message_id: MessageId, beyond: MessageId | None) -> bool:
    return (start is None or message_id >= start) and (beyond is None or message_id < beyond)
