"""What readers ask of Redis: rooms, lists, pages of history, cursors of event logs. Nothing here changes a room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.live import Live, milliseconds
from parlor.cache.records import ROOM_FIELDS, CachedRoom, decode_doc, decode_layout, read_room, text
from parlor.errors import RoomNotFound
from parlor.model.access import AccountRow, Standing
from parlor.model.cursors import START
from parlor.model.ids import AccountId, ClusterId, MessageId, Partition, RoomId, cluster_of, home_of, minted_at
from parlor.model.messages import MessageDoc
from parlor.model.parts import Said, drafted
from parlor.model.rooms import RoomRow, RoomsBefore
from parlor.model.states import MessageState, RoomState

_STANDINGS = (Standing.ACTIVE, Standing.DISABLED, Standing.DELETED)
"""By the number in a score of the set of standings."""
ROOMS_AT_ONCE = 100
"""Rooms of an account that are asked for a message together."""
CLOCKS_APART_MS = 10_000
"""How much the clocks of two machines may differ before one of them is taken for wrong."""


class PageRow(msgspec.Struct, frozen=True):
    """One slot of a page, as far as Redis knows it; the shard has what is missing."""

    seq: int
    state: MessageState | None
    doc: MessageDoc | None


class Slot(msgspec.Struct, frozen=True):
    """One message and its room, as far as Redis knows them."""

    account_id: AccountId | None
    room_state: RoomState | None
    state: MessageState | None
    doc: MessageDoc | None


class CachedPage(msgspec.Struct, frozen=True):
    account_id: AccountId
    cursor: str
    last_seq: int
    persisted_seq: int
    rows: list[PageRow]
    """Ascending and without holes: one for each seq of the page."""
    live_message: str
    """The reply that is being written; empty for none."""
    live_attempt: int
    live: Said
    """What it says so far, up to the cursor."""


class CachedList(msgspec.Struct, frozen=True):
    cursor: str
    total: int
    positions: list[RoomsBefore]


class LogPosition(msgspec.Struct, frozen=True):
    """Where an event log ends and begins."""

    last: str
    """The last event's id, also when the log itself has expired."""
    start: str
    """A cursor before this one has missed something."""


class QueueTail(msgspec.Struct, frozen=True):
    """What a room comes to with the operations that are queued; 0 and None when none of them says."""

    last_seq: int = 0
    count: int | None = None
    """Messages that are not deleted."""


class Holder(msgspec.Struct, frozen=True):
    """Who had a room when this was read."""

    ticket: int
    """The number of the room's last claim: the ticket for a command that is to make an owner of somebody, who is
    refused when anybody has claimed the room since."""
    cluster: ClusterId
    """Where its owner is; ``NO_CLUSTER``: nowhere, or nobody knows."""


class CacheReader:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def room(self, room_id: RoomId) -> CachedRoom | None:
        found = await self._live.read("HMGET", self._live.keys.room(home_of(room_id), room_id), *ROOM_FIELDS)
        return read_room(room_id, found)

    async def claims(self, room_id: RoomId) -> int:
        """The number of the room's last claim: the ticket for a command that is to make an owner of somebody."""
        found = await self._live.read("HGET", self._live.keys.room(home_of(room_id), room_id), "claims")
        return int(found or 0)

    async def holder(self, room_id: RoomId) -> Holder:
        key = self._live.keys.room(home_of(room_id), room_id)
        claims, claim = await self._live.read("HMGET", key, "claims", "claim")
        return Holder(int(claims or 0), cluster_of(text(claim or b"")))

    async def list_page(
        self, partition: Partition, account: AccountId, limit: int, before: RoomsBefore | None
    ) -> CachedList | None:
        """None when the list has to be filled from the shard first."""
        keys = self._live.keys
        answer = await self._live.attempt(
            "read_list",
            {"account": keys.account(partition, account), "rooms": keys.rooms(partition, account)},
            {
                "before_activity": before.activity if before else "",
                "before_room": before.room_id if before else "",
                "limit": limit,
            },
        )
        if answer[0] == Code.MISSING:
            return None
        pairs = answer[3]
        positions = [RoomsBefore(int(float(pairs[i + 1])), RoomId(text(pairs[i]))) for i in range(0, len(pairs), 2)]
        return CachedList(text(answer[1]), answer[2], positions)

    async def fill_list(
        self, partition: Partition, account: AccountId, rows: Sequence[RoomRow], *, first: bool, complete: bool
    ) -> None:
        """Rows of the shard into the account's list, page by page; ``first`` with the first of them, ``complete`` with
        the last: a list that was lost in between does not become complete."""
        keys = self._live.keys
        rest: list[str | int | bytes] = []
        for row in rows:
            rest += [row.last_message_at or row.created_at, row.room_id]
        await self._live.run(
            "load_list",
            {
                "partition": keys.partition(partition),
                "account": keys.account(partition, account),
                "rooms": keys.rooms(partition, account),
            },
            {
                "first": "1" if first else "",
                "complete": "1" if complete else "",
                "list_ttl": milliseconds(self._live.cache.room_list_ttl),
                "account_ttl": milliseconds(self._live.cache.record_ttl),
            },
            rest,
            [keys.room(partition, row.room_id) for row in rows],
        )

    async def external_room(self, partition: Partition, account: AccountId, external_id: str) -> RoomId | None:
        """The account's room with this external id; None also when only its shard knows."""
        found = await self._live.read("HGET", self._live.keys.account(partition, account), f"x:{external_id}")
        return RoomId(text(found)) if found else None

    async def message_room(self, partition: Partition, account: AccountId, message_id: MessageId) -> RoomId | None:
        """The account's room that has the message, of those whose last activity is not before it. The list has every
        room with something that is not stored yet (I11)."""
        keys, read = self._live.keys, self._live.pipeline.read
        since, seen = minted_at(message_id) - CLOCKS_APART_MS, 0
        while True:
            listed = await read(
                *("ZREVRANGEBYSCORE", keys.rooms(partition, account), "+inf", since, "LIMIT", seen, ROOMS_AT_ONCE)
            )
            rooms = [RoomId(text(each)) for each in listed]
            # Asked together, they go out in one pipeline.
            found = await asyncio.gather(
                *(read("HEXISTS", keys.states(partition, each), f"i:{message_id}") for each in rooms)
            )
            room = next((each for each, is_there in zip(rooms, found, strict=True) if is_there), None)
            if room is not None or len(rooms) < ROOMS_AT_ONCE:
                return room
            seen += len(rooms)

    async def page(self, room_id: RoomId, after: int | None, before: int | None, limit: int) -> CachedPage | None:
        """None when Redis does not have the room. Raises ``RoomNotFound`` for one that was deleted."""
        keys, partition = self._live.keys, home_of(room_id)
        answer = await self._live.attempt(
            "read_page",
            {
                "room": keys.room(partition, room_id),
                "messages": keys.messages(partition, room_id),
                "states": keys.states(partition, room_id),
                "draft": keys.draft(partition, room_id),
            },
            {
                "after": after if after is not None else "",
                "before": before if before is not None else "",
                "limit": limit,
            },
        )
        if answer[0] == Code.MISSING:
            return None
        if answer[0] == Code.GONE:
            raise RoomNotFound
        if answer[0] < 0:
            raise refusal(answer[0])
        flat = answer[7]
        rows = [
            PageRow(
                flat[i],
                MessageState(text(flat[i + 1])) if flat[i + 1] else None,
                decode_doc(flat[i + 2]) if flat[i + 2] else None,
            )
            for i in range(0, len(flat), 3)
        ]
        message, _, attempt = text(answer[8]).partition(":")
        return CachedPage(
            account_id=AccountId(text(answer[6])),
            cursor=text(answer[1]),
            last_seq=answer[2],
            persisted_seq=answer[3],
            rows=rows,
            live_message=message,
            live_attempt=int(attempt or 0),
            live=drafted(text(answer[9]), decode_layout(answer[10])),
        )

    async def slot(self, room_id: RoomId, seq: int) -> Slot:
        """What Redis knows of one message. It loads nothing."""
        keys, partition, read = self._live.keys, home_of(room_id), self._live.pipeline.read
        # Asked together, they go out in one pipeline.
        (account, room_state), state, doc = await asyncio.gather(
            read("HMGET", keys.room(partition, room_id), "account", "state"),
            read("HGET", keys.states(partition, room_id), f"s:{seq}"),
            read("HGET", keys.messages(partition, room_id), f"d:{seq}"),
        )
        return Slot(
            AccountId(text(account)) if account else None,
            RoomState(text(room_state)) if room_state else None,
            MessageState(text(state)) if state else None,
            decode_doc(doc) if doc else None,
        )

    async def versions(self, room_id: RoomId, seq: int) -> list[MessageDoc]:
        """The earlier versions of a message that Redis has, ascending."""
        found = await self._live.read("HGET", self._live.keys.messages(home_of(room_id), room_id), f"v:{seq}")
        return [decode_doc(line) for line in (found or b"").split(b"\n") if line]

    async def open_replies(self, room_id: RoomId) -> list[int]:
        """The seqs of the replies that have not ended, ascending."""
        found = await self._live.read("ZRANGE", self._live.keys.open(home_of(room_id), room_id), 0, -1, "WITHSCORES")
        return [int(float(score)) for score in found[1::2]]

    async def waiting_replies(self, room_id: RoomId) -> list[int]:
        """The seqs of the replies that no attempt has begun, ascending; one that waits for people has begun."""
        keys, partition = self._live.keys, home_of(room_id)
        found, live = await asyncio.gather(
            self._live.read("ZRANGE", keys.open(partition, room_id), 0, -1, "WITHSCORES"),
            self._live.read("HMGET", keys.room(partition, room_id), "live", "parked"),
        )
        begun = {text(live[0]).partition(":")[0], text(live[1]).partition(" ")[0]}
        return [int(float(found[i + 1])) for i in range(0, len(found), 2) if text(found[i]) not in begun]

    async def parked(self, partition: Partition, account: AccountId) -> list[tuple[RoomId, MessageId]]:
        """The replies of an account that wait for people, in rooms that Redis has; a room with one does not expire."""
        keys = self._live.keys
        rooms = [RoomId(text(name)) for name in await self._live.read("ZRANGE", keys.generating(partition), 0, -1)]
        reads = [self._live.read("HMGET", keys.room(partition, room), "account", "parked") for room in rooms]
        found = zip(rooms, await asyncio.gather(*reads), strict=True)
        return [
            (room, MessageId(text(of[1]).partition(" ")[0])) for room, of in found if of[1] and text(of[0]) == account
        ]

    async def approved_before(self, room_id: RoomId, digest: str) -> bool:
        """Whether Redis remembers that the same call was approved in this room, for a tool that asks once."""
        return bool(await self._live.read("HEXISTS", self._live.keys.room(home_of(room_id), room_id), f"ok:{digest}"))

    async def message_states(self, room_id: RoomId, messages: Sequence[MessageId]) -> dict[MessageId, MessageState]:
        """The states of those of a room's messages that Redis has not forgotten."""
        key = self._live.keys.states(home_of(room_id), room_id)
        seqs = await self._hash_fields(key, [f"i:{message_id}" for message_id in messages])
        known = {message_id: text(seq) for message_id, seq in zip(messages, seqs, strict=True) if seq}
        found = await self._hash_fields(key, [f"s:{seq}" for seq in known.values()])
        return {message_id: MessageState(text(state)) for message_id, state in zip(known, found, strict=True) if state}

    async def _hash_fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        return list(await self._live.read("HMGET", key, *names)) if names else []

    async def room_log(self, room_id: RoomId) -> LogPosition | None:
        partition = home_of(room_id)
        keys = self._live.keys
        return await self._position(keys.room(partition, room_id), keys.events(partition, room_id))

    async def account_log(self, partition: Partition, account: AccountId) -> LogPosition:
        keys = self._live.keys
        found = await self._position(keys.account(partition, account), keys.account_events(partition, account))
        return found or LogPosition(START, START)

    async def _position(self, holder: str, stream: str) -> LogPosition | None:
        # Asked together, they go out in one pipeline.
        found, length = await asyncio.gather(
            self._live.read("HMGET", holder, "event", "log_start"), self._live.read("EXISTS", stream)
        )
        if not found[0]:
            return None
        last = text(found[0])
        # An expired log has nothing before its end any more.
        return LogPosition(last, text(found[1]) if length else last)

    async def overdue_rooms(self, partition: Partition, limit: int) -> list[RoomId]:
        """Rooms with unfinished replies whose owner has not been heard of in time; also those whose deadline is further
        ahead than any owner sets it: its clock was wrong, or is wrong here, and the owner may be dead by then."""
        key, now = self._live.keys.generating(partition), self._live.clock.now_ms()
        too_far = self._live.lease_until() + CLOCKS_APART_MS
        overdue, doubtful = await asyncio.gather(
            self._live.read("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", 0, limit),
            self._live.read("ZRANGEBYSCORE", key, f"({too_far}", "+inf", "LIMIT", 0, limit),
        )
        return [RoomId(text(room)) for room in [*overdue, *doubtful][:limit]]

    async def incarnation(self, partition: Partition) -> int | None:
        """None for a partition that Redis does not know."""
        found = await self._live.read("HGET", self._live.keys.partition(partition), "incarnation")
        return int(found) if found else None

    async def session(self, account: AccountId) -> AccountRow | None:
        """What was remembered of the account's row."""
        keys = self._live.keys
        found, revoked, changed = await asyncio.gather(
            self._live.read("HMGET", keys.session(account), "db_key", "partition"),
            self._live.read("ZSCORE", keys.not_before(), account),
            self._live.read("ZSCORE", keys.standing(), account),
        )
        if not found[0]:
            return None
        await self._live.require_own(Partition(int(found[1])))
        standing_at, standing = divmod(int(float(changed or 0)), len(_STANDINGS))
        return AccountRow(
            account,
            int(found[0]),
            Partition(int(found[1])),
            int(float(revoked or 0)),
            _STANDINGS[standing],
            standing_at,
        )

    async def remember_session(self, row: AccountRow) -> None:
        """For when the global database does not answer. A row that was read before a revocation, or before its standing
        changed, does not undo it."""
        keys = self._live.keys
        await self._live.require_own(row.partition)
        if row.standing_at:
            score = row.standing_at * len(_STANDINGS) + _STANDINGS.index(row.standing)
            await self._live.read("ZADD", keys.standing(), "GT", score, row.account_id)
        if row.not_before:
            await self._live.read("ZADD", keys.not_before(), "GT", row.not_before, row.account_id)
        await self._live.read(
            "HSET", keys.session(row.account_id), "db_key", row.account_db_key, "partition", row.partition
        )

    async def queue_tail(self, room_id: RoomId) -> QueueTail:
        queue, tail, start = self._live.keys.queue(home_of(room_id)), QueueTail(), "-"
        while entries := await self._live.read("XRANGE", queue, start, "+", "COUNT", 1000):
            for _, fields in entries:
                if fields.get(b"room") == room_id.encode() and b"last" in fields:
                    tail = later_tail(tail, QueueTail(int(fields[b"last"]), int(fields[b"count"])))
            start = "(" + text(entries[-1][0])
        return tail


def later_tail(one: QueueTail, other: QueueTail) -> QueueTail:
    """The later of two moments of a room, in whatever order they were learned: only an append adds to the count, and
    it moves the last seq."""
    if one.last_seq != other.last_seq:
        return max(one, other, key=lambda tail: tail.last_seq)
    counts = [tail.count for tail in (one, other) if tail.count is not None]
    return QueueTail(one.last_seq, min(counts, default=None))
