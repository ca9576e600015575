"""What the stores hold, read past all of Parlor: rows of every shard, and how much waits in Redis."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from parlor.cache.connection import ScriptPipeline
from parlor.cache.keys import Keys
from parlor.model.ids import Partition
from parlor.model.parts import StoredParts
from parlor.store.addresses import Address
from tests.chaos.history import ObservedMessage
from tests.chaos.observed import calls_in
from tests.chaos.room_rules import Noted
from tests.stored_rows import select

_ROOMS = "SELECT room_id, account_id, title, deleted_at FROM rooms"
_MESSAGES = (
    "SELECT room_id, seq, message_id, sender_type, content, parts, finish_reason, deleted_at FROM messages "
    "ORDER BY room_id, seq"
)


_WAITING = "SELECT room_id, seq FROM waiting_replies ORDER BY room_id, seq"
_APPROVED = "SELECT room_id, digest FROM approved_calls ORDER BY room_id, digest"


class Backlog(msgspec.Struct, frozen=True):
    """What is not stored yet, and replies that have not ended; dead letters beside it."""

    queued: int
    open_rooms: int
    dead: int


async def backlog(redis: ScriptPipeline, keys: Keys, partitions: int) -> Backlog:
    """Adds up all partitions. What is queued meanwhile counts as queued: a reply that ends between two reads would be
    neither open nor queued."""
    names = [Partition(number) for number in range(partitions)]

    async def last_positions() -> list[list[bytes | None]]:
        asked = (redis.read("HMGET", keys.partition(name), "incarnation", "next") for name in names)
        return list(await asyncio.gather(*asked))

    before = await last_positions()
    queued = await asyncio.gather(*(redis.read("XLEN", keys.queue(name)) for name in names))
    generating = await asyncio.gather(*(redis.read("ZCARD", keys.generating(name)) for name in names))
    meanwhile = sum(was != now for was, now in zip(before, await last_positions(), strict=True))
    dead = await asyncio.gather(*(redis.read("XLEN", keys.dead(name)) for name in names))
    return Backlog(sum(queued) + meanwhile, sum(generating), sum(dead))


class StoredRoom(msgspec.Struct, frozen=True):
    room: str
    account: str
    title: str
    deleted: bool
    rows: list[ObservedMessage]
    """By seq."""
    noted: Noted


async def stored_rooms(shards: Sequence[Address], *, but: str = "") -> list[StoredRoom]:
    """Every room of every shard, without those of the account ``but``. Raises ``AssertionError`` when a room is on two
    of them, or a message has no room."""
    rooms: dict[str, tuple[str, str, bool]] = {}
    rows: defaultdict[str, list[ObservedMessage]] = defaultdict(list)
    waiting: defaultdict[str, tuple[int, ...]] = defaultdict(tuple)
    approved: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for address in shards:
        # Rooms last: what is stored meanwhile has one.
        for room_id, *columns in await select(address, _MESSAGES):
            rows[str(UUID(bytes=bytes(room_id)))].append(_row(columns))
        for room_id, seq in await select(address, _WAITING):
            waiting[str(UUID(bytes=bytes(room_id)))] += (seq,)
        for room_id, digest in await select(address, _APPROVED):
            approved[str(UUID(bytes=bytes(room_id)))] += (digest,)
        for room_id, account, title, deleted_at in await select(address, _ROOMS):
            room = str(UUID(bytes=bytes(room_id)))
            assert room not in rooms, f"room {room} is on two shards"
            rooms[room] = (account, title, deleted_at is not None)
    assert not rows.keys() - rooms.keys(), f"messages of rooms without a row: {rows.keys() - rooms.keys()}"
    noted = waiting.keys() | approved.keys()
    assert not noted - rooms.keys(), f"notes of calls of rooms without a row: {noted - rooms.keys()}"
    return [
        StoredRoom(room, *about, rows[room], Noted(waiting[room], approved[room]))
        for room, about in rooms.items()
        if about[0] != but
    ]


def _row(columns: Sequence[Any]) -> ObservedMessage:
    seq, message_id, sender, content, parts, finish_reason, deleted_at = columns
    return ObservedMessage(
        seq=seq,
        message_id=str(UUID(bytes=bytes(message_id))),
        sender=sender,
        content=content,
        deleted=deleted_at is not None,
        open=sender == "AI" and finish_reason is None and deleted_at is None,
        calls=calls_in(msgspec.json.decode(parts, type=StoredParts)) if parts else (),
    )
