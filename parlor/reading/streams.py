"""Subscriptions to events: of a room, one reply, one turn, or an account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial

from parlor.cache.events import EventLog, attempt_told
from parlor.cache.hub import EventHub, Tail
from parlor.cache.keys import Keys
from parlor.cache.reads import CacheReader, LogPosition
from parlor.cache.records import text
from parlor.errors import RoomNotFound, StoreUnavailable, StreamExpired
from parlor.model.cursors import START, reaches_back
from parlor.model.ids import AccountId, MessageId, Partition, RoomId, home_of
from parlor.model.messages import TERMINAL_EVENTS, Durability, Event, Message, SenderType
from parlor.model.requests import SendReceipt
from parlor.model.states import GONE, GONE_MESSAGES
from parlor.model.wire import JsonForm, encode, message_form
from parlor.reading.history import HistoryReader
from parlor.reading.loading import Loader

_MESSAGE_ENDS = frozenset({"message.created", "message.deleted"})
"""A person's message has ended with either of these."""

Choose = Callable[[Event], tuple[bool, bool]]
"""Returns whether an event is for the reader, and whether it is the last one."""


class EventSubscription:
    """Yields a reader's events in batches, and an empty batch after ``heartbeat`` seconds without events."""

    def __init__(self, tail: Tail, heartbeat: float, choose: Choose) -> None:
        self._tail = tail
        self._heartbeat = heartbeat
        self._choose = choose

    @property
    def cursor(self) -> str:
        return self._tail.cursor

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        while True:
            batch: list[Event] = []
            events = await self._tail.next(self._heartbeat)
            for event in events:
                wanted, last = self._choose(event)
                if wanted:
                    batch.append(event)
                if last:
                    yield batch
                    return
            if batch or not events:
                yield batch


class WholeReply:
    """The last event alone, for a reply that ended before the log begins."""

    def __init__(self, events: list[Event], cursor: str) -> None:
        self._events = events
        self.cursor = cursor

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        yield self._events


class EventStreams:
    """Opens subscriptions. Entering one checks the account, and raises ``RoomNotFound``, ``MessageNotFound``,
    ``StreamExpired``, ``InvalidRequest`` or ``CacheUnavailable``."""

    def __init__(
        self,
        hub: EventHub,
        log: EventLog,
        reader: CacheReader,
        history: HistoryReader,
        loader: Loader,
        keys: Keys,
        heartbeat: float,
    ) -> None:
        self._hub = hub
        self._log = log
        self._reader = reader
        self._history = history
        self._loader = loader
        self._keys = keys
        self._heartbeat = heartbeat

    @asynccontextmanager
    async def room(self, room_id: RoomId, account: AccountId, after: str | None) -> AsyncIterator[EventSubscription]:
        await self._require(room_id, account)
        async with self._tail(room_id, after) as tail:
            yield EventSubscription(tail, self._heartbeat, _room_events)

    @asynccontextmanager
    async def account(
        self, partition: Partition, account: AccountId, after: str | None
    ) -> AsyncIterator[EventSubscription]:
        async def position() -> LogPosition:
            return await self._reader.account_log(partition, account)

        stream = self._keys.account_events(partition, account)
        async with self._hub.tail(stream, after, position, self._log.of_account(stream)) as tail:
            yield EventSubscription(tail, self._heartbeat, lambda _: (True, False))

    @asynccontextmanager
    async def reply(
        self, room_id: RoomId, account: AccountId, message_id: MessageId, after: str | None
    ) -> AsyncIterator[EventSubscription | WholeReply]:
        message = await self._history.message(room_id, account, message_id)
        async with self._messages(room_id, {message_id}, message, after) as subscription:
            yield subscription

    @asynccontextmanager
    async def turn(
        self, room_id: RoomId, account: AccountId, receipt: SendReceipt
    ) -> AsyncIterator[EventSubscription | WholeReply]:
        last = receipt.reply or receipt.message
        ids = {receipt.message.message_id, last.message_id}
        if receipt.replayed:
            last = await self._history.message(room_id, account, last.message_id)
        async with self._messages(room_id, ids, last, receipt.cursor) as subscription:
            yield subscription

    async def wait_for_reply(
        self, room_id: RoomId, account: AccountId, message_id: MessageId, seconds: float
    ) -> Message:
        """Returns the reply when it has ended, or as it is after ``seconds``."""
        try:
            async with (
                asyncio.timeout(seconds),
                self.reply(room_id, account, message_id, None) as subscription,
            ):
                async for _ in subscription:
                    pass
        except (TimeoutError, StreamExpired):
            pass
        return await self._history.message(room_id, account, message_id)

    async def wait_for_commit(
        self, room_id: RoomId, account: AccountId, message_id: MessageId, seconds: float
    ) -> Message:
        """Returns the message when its shard has it. Raises ``StoreUnavailable`` after ``seconds``."""
        try:
            async with asyncio.timeout(seconds), self._tail(room_id, None) as tail:
                while True:
                    message = await self._history.message(room_id, account, message_id)
                    if message.durability is Durability.PERSISTED:
                        return message
                    await tail.stirred(seconds)
        except TimeoutError:
            raise StoreUnavailable(
                "The message is kept and will be stored as soon as its shard answers; "
                "ask again with the same Idempotency-Key",
                retry_after=5.0,
            ) from None

    @asynccontextmanager
    async def _tail(self, room_id: RoomId, after: str | None, known: LogPosition | None = None) -> AsyncIterator[Tail]:
        stream = self._keys.events(home_of(room_id), room_id)
        position = partial(self._reader.room_log, room_id)
        async with self._hub.tail(stream, after, position, self._log.of_room(room_id), known) as tail:
            yield tail

    @asynccontextmanager
    async def _messages(
        self, room_id: RoomId, ids: Collection[MessageId], last: Message, after: str | None
    ) -> AsyncIterator[EventSubscription | WholeReply]:
        """Subscribes to the events of some messages until ``last`` ends. If ``last`` has ended and the log no longer
        has its end, the subscription is one event with the whole message.

        Events of earlier attempts at ``last`` are skipped.
        """
        begin = after
        position = await self._reader.room_log(room_id) or LogPosition(START, START)
        if begin is None:
            begin = position.start
        stop_kinds = TERMINAL_EVENTS if last.sender_type is SenderType.AI else _MESSAGE_ENDS
        if not last.is_streaming and not await self._has_end(room_id, last, stop_kinds, begin, position):
            kind, form = _whole(last)
            yield WholeReply([Event(position.last, kind, encode(form), last.message_id)], position.last)
            return

        def choose(event: Event) -> tuple[bool, bool]:
            if event.type == "room.deleted":
                return True, True
            if event.message_id == last.message_id and event.attempt is not None and event.attempt < last.attempt:
                return False, False
            return event.message_id in ids, event.message_id == last.message_id and event.type in stop_kinds

        async with self._tail(room_id, begin, position) as tail:
            yield EventSubscription(tail, self._heartbeat, choose)

    async def _has_end(
        self, room_id: RoomId, message: Message, kinds: Collection[str], after: str, position: LogPosition
    ) -> bool:
        """Returns whether the log still has the message's last event, after the cursor. Readers are shown nothing of a
        deleted message but its deletion."""
        if not reaches_back(position.start, after):
            return False
        if message.state in GONE_MESSAGES:
            kinds = {"message.deleted"}
        stream, cursor = self._keys.events(home_of(room_id), room_id), after
        while entries := await self._log.entries(stream, cursor):
            for _, fields in entries:
                if fields.get(b"message") == message.message_id.encode() and fields[b"type"].decode() in kinds:
                    attempt = attempt_told(fields)
                    if attempt is None or attempt >= message.attempt:
                        return True
            cursor = text(entries[-1][0])
        return False

    async def _require(self, room_id: RoomId, account: AccountId) -> None:
        found = await self._reader.room(room_id)
        if found is None:
            await self._loader.load_room(room_id)
            found = await self._reader.room(room_id)
        if found is None or found.account_id != account or found.room.state in GONE:
            raise RoomNotFound


def _whole(message: Message) -> tuple[str, JsonForm]:
    """Returns the type and form of the one event that stands for all events of a message."""
    if message.state in GONE_MESSAGES:
        return "message.deleted", {"message_id": message.message_id, "seq": message.seq, "state": message.state}
    if message.sender_type is not SenderType.AI:
        return "message.created", {"message": message_form(message)}
    return "message.completed", {"message": message_form(message)}


def _room_events(event: Event) -> tuple[bool, bool]:
    """Chooses all events; the room's deletion is the last one."""
    return True, event.type == "room.deleted"
