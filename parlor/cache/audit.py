"""What a check reads of Redis, and its repairs.

A look at a room is one script, so that everything in it is of the same moment. A repair is one script that changes
something only while what the look saw still holds.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Literal, TypeAlias

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.connection import Answer
from parlor.cache.live import NOTHING_APPLIED, Live, RoomAddress
from parlor.cache.records import decode_doc, text
from parlor.model.ids import AccountId, MessageId, Partition, RoomId, partition_of
from parlor.model.messages import MessageDoc, QueuePosition

PAGE = 500
"""Queue entries that are read at once, with their documents."""
COUNT_LIMIT = 20_000
"""Waiting operations of a partition that one script may count: some tens of milliseconds of Redis."""

Fields: TypeAlias = dict[str, bytes]


class Slot(msgspec.Struct, frozen=True):
    """What Redis has at one seq of a room."""

    state: str
    message_id: MessageId
    doc: MessageDoc | None
    """None when the cache has let it go, or cannot be read."""
    deleting: bool
    """Its delete is not in the shard yet."""


class RoomSnapshot(msgspec.Struct, frozen=True):
    """All that Redis has of a room, at one moment."""

    room_id: RoomId
    account_id: AccountId
    account_db_key: int
    title: str
    version: int
    """Of title and persona."""
    state: str
    seq: int
    persisted: int
    forgotten: int
    """States up to here were let go: they are final, and the shard has them."""
    count: int
    pending: int
    event: str
    """The last event's id, as the room remembers it."""
    newest_event: str
    """The last one of its log; empty without a log."""
    expires: bool
    slots: dict[int, Slot]
    seqs: dict[MessageId, int]
    """The way back from a message's id to its seq."""
    open: dict[MessageId, int]
    deadline: int | None
    """In ``generating``."""
    unreadable: list[int] = []
    """Slots whose document cannot be decoded."""

    @property
    def address(self) -> RoomAddress:
        return RoomAddress(self.room_id, self.account_id, self.account_db_key)


class QueuedOperation(msgspec.Struct, frozen=True):
    """What waits in a queue, without its content."""

    position: QueuePosition
    op: str
    room_id: RoomId
    account_id: AccountId
    seq: int
    last_seq: int


class ListEntry(msgspec.Struct, frozen=True):
    """A room in its account's list."""

    complete: bool
    """Whether the list has every room of the account; one that is not is filled by its next reader."""
    listed: bool
    pending: int | None
    """The account's; None when Redis does not know the account."""


class Fact(msgspec.Struct, frozen=True):
    """One value of a room's bookkeeping, as ``repair_room.lua`` reads it."""

    key: Literal["room", "account", "states", "open", "generating", "waiting", "lifetimes"]
    name: str
    value: str
    """Empty for none."""


class Correction(msgspec.Struct, frozen=True):
    """A fact to set, while others hold."""

    seen: tuple[Fact, ...]
    to: Fact


class PartitionSnapshot(msgspec.Struct, frozen=True):
    known: bool
    last: QueuePosition
    """The last position that was given."""
    applied: QueuePosition
    """How far its shard had applied the queue, as its writers told it."""
    installation: str
    """Whose it is; empty: nobody's yet."""


class AuditCache:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live, prefix: str) -> None:
        self._live = live
        self._prefix = prefix

    async def rooms(self) -> AsyncIterator[RoomId]:
        """Every room that Redis has, in no order, some of them twice."""
        prefix = self._prefix
        ours = re.compile(rf"{re.escape(prefix)}:\{{p(\d+)\}}:room:([0-9a-f-]{{36}})")
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + ":{p*}:room:*"
        for part in await self._live.pipeline.parts():
            cursor = b"0"
            while True:
                cursor, names = await part.read("SCAN", cursor, "MATCH", pattern, "COUNT", 1000, "TYPE", "hash")
                for name in names:
                    found = ours.fullmatch(text(name))
                    if found and partition_of(found[2]) == int(found[1]):
                        yield RoomId(found[2])
                if cursor == 0:
                    break

    async def room(self, room_id: RoomId) -> RoomSnapshot | None:
        """None when Redis does not have the room."""
        # The account is not known before the room is read, and none of these keys is the account's.
        address = RoomAddress(room_id, AccountId(""), 0)
        keys = self._live.room_keys(address, "generating", "room", "messages", "states", "open", "events")
        answer = await self._live.attempt("audit_room", keys, {"room": room_id})
        return None if answer[0] == Code.MISSING else _snapshot(room_id, answer)

    async def partition(self, partition: Partition) -> PartitionSnapshot:
        key = self._live.keys.partition(partition)
        found = await self._live.pipeline.read("HMGET", key, "incarnation", "next", "applied", "installation")
        return PartitionSnapshot(
            known=found[0] is not None,
            last=QueuePosition(int(found[0] or 0), int(found[1] or 0)),
            applied=QueuePosition.parse(text(found[2])) if found[2] else NOTHING_APPLIED,
            installation=text(found[3]),
        )

    async def queued(self, partition: Partition) -> list[QueuedOperation]:
        """Everything that waits, in order."""
        found: list[QueuedOperation] = []
        stream, start = self._live.keys.queue(partition), "-"
        while entries := await self._live.pipeline.read("XRANGE", stream, start, "+", "COUNT", PAGE):
            found += [_operation(entry_id, fields) for entry_id, fields in entries]
            start = f"({text(entries[-1][0])}"
        return found

    async def stranded(self, partition: Partition) -> list[QueuePosition]:
        """Entries that were delivered and that nobody holds: nobody would be given them again."""
        answer = await self._live.run(
            "audit_queue", {"queue": self._live.keys.queue(partition)}, {"limit": COUNT_LIMIT}
        )
        return [QueuePosition.parse(text(entry_id)) for entry_id in answer[1]]

    async def list_entry(self, address: RoomAddress) -> ListEntry:
        keys = self._live.room_keys(address, "account", "rooms")
        about, score = await asyncio.gather(
            self._live.pipeline.read("HMGET", keys["account"], "complete", "pending"),
            self._live.pipeline.read("ZSCORE", keys["rooms"], address.room_id),
        )
        pending = int(about[1] or 0) if about[1] is not None else None
        return ListEntry(about[0] is not None, score is not None, pending)

    # Repairs

    async def correct(self, address: RoomAddress, correction: Correction, *, apply: bool) -> bool | None:
        """Sets a fact of the room's bookkeeping; without ``apply``, only compares. False when something that was seen
        does not hold any more, or the room is gone; None when more waits than may be counted in one step."""
        live, to = self._live, correction.to
        answer = await live.attempt(
            "repair_room",
            live.room_keys(address, "queue", "dead", "generating", "room", "messages", "states", "open", "account"),
            {
                "room": address.room_id,
                "owner": address.account_id,
                "limit": COUNT_LIMIT,
                "apply": "1" if apply else "",
                "key": to.key,
                "name": to.name,
                "value": to.value,
            },
            [word for fact in correction.seen for word in (fact.key, fact.name, fact.value)],
        )
        return None if answer[0] == Code.OVERLOADED else bool(answer[0] == Code.OK)

    async def repair_list(self, address: RoomAddress, *, gone: bool, activity: int) -> bool:
        """Puts the room into the list, or takes it out; False when it is as it should be."""
        answer = await self._live.attempt(
            "repair_list",
            self._live.room_keys(address, "partition", "room", "account", "rooms"),
            {"room": address.room_id, "gone": "1" if gone else "", "activity": activity},
        )
        return _is_done(answer)

    async def requeue(self, room: RoomSnapshot, op: str, seq: int | None, message_id: MessageId | None) -> bool:
        """Queues an operation again, as Redis has it now; False when something moved since the snapshot, or there is
        nothing to queue."""
        live, address = self._live, room.address
        answer = await live.attempt(
            "requeue_operation",
            live.room_keys(address, "partition", "queue", "room", "messages", "states", "account", "rooms"),
            {
                "room": address.room_id,
                "owner": address.account_id,
                "db_key": address.account_db_key,
                "op": op,
                "seq": seq or "",
                "message": message_id or "",
                "pending": room.pending,
            },
        )
        return _is_done(answer)

    async def requeue_entry(self, partition: Partition, position: QueuePosition) -> bool:
        """Puts a stranded entry at the end of its queue; False when it is not stranded any more."""
        keys = self._live.keys
        answer = await self._live.attempt(
            "requeue_entry",
            {"partition": keys.partition(partition), "queue": keys.queue(partition)},
            {"entry": str(position)},
        )
        return _is_done(answer)


def _is_done(answer: Answer) -> bool:
    """Raises ``ForeignCache``."""
    if answer[0] == Code.FOREIGN:
        raise refusal(answer[0])
    return bool(answer[0] == Code.OK)


def _fields(flat: list[bytes]) -> Fields:
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def _snapshot(room_id: RoomId, answer: Answer) -> RoomSnapshot:
    room, documents, states = _fields(answer[1]), _fields(answer[2]), _fields(answer[3])
    pairs = answer[4]

    def number(name: str) -> int:
        return int(room.get(name) or 0)

    unreadable: list[int] = []

    def document(seq: str) -> MessageDoc | None:
        raw = documents.get(f"d:{seq}")
        try:
            return decode_doc(raw) if raw is not None else None
        except msgspec.DecodeError:
            unreadable.append(int(seq))
            return None

    seqs = sorted((name[2:] for name in states if name.startswith("s:")), key=int)
    slots = {
        int(seq): Slot(
            states[f"s:{seq}"].decode(),
            MessageId(text(states.get(f"m:{seq}"))),
            document(seq),
            f"x:{seq}" in states,
        )
        for seq in seqs
    }
    return RoomSnapshot(
        room_id=room_id,
        account_id=AccountId(text(room.get("account"))),
        account_db_key=number("db_key"),
        title=text(room.get("title")),
        version=number("version"),
        state=text(room["state"]),
        seq=number("seq"),
        persisted=number("persisted"),
        forgotten=number("forgotten"),
        count=number("count"),
        pending=number("pending"),
        event=text(room.get("event")),
        newest_event=text(answer[6]),
        expires=max(answer[7]) >= 0,
        slots=slots,
        seqs={MessageId(name[2:]): int(value) for name, value in states.items() if name.startswith("i:")},
        open={MessageId(text(pairs[i])): int(float(pairs[i + 1])) for i in range(0, len(pairs), 2)},
        deadline=int(float(answer[5])) if answer[5] else None,
        unreadable=unreadable,
    )


def _operation(entry_id: bytes, fields: dict[bytes, bytes]) -> QueuedOperation:
    return QueuedOperation(
        position=QueuePosition.parse(text(entry_id)),
        op=text(fields.get(b"op")),
        room_id=RoomId(text(fields.get(b"room"))),
        account_id=AccountId(text(fields.get(b"owner"))),
        seq=int(fields.get(b"seq") or 0),
        last_seq=int(fields.get(b"last") or 0),
    )
