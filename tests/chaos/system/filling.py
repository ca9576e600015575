"""Many messages that are there before a campaign begins, for a partition that is as large as it may be in real life."""

from __future__ import annotations

from parlor.clock import SystemClock, SystemEntropy
from parlor.model.ids import AccountId, IdMint, Partition, RoomId, home_of
from parlor.model.messages import MessageDoc, SenderType
from parlor.store.migrations import open_store
from parlor.store.ports import Batch, MessageSave, RoomCreate, RoomTouch
from tests.installation import Installation
from tests.stored_rows import select

FILLER = "filler"
"""Whose rooms they are: nobody's who does anything else."""
KEY = 2**40
"""Its number, beyond those that accounts get."""
ROOM_MESSAGES = 1000
BATCH = 250
CONTENT = "What was said before anybody measured. ".ljust(200, ".")


async def fill(installation: Installation, room: str, messages: int) -> Partition:
    """Stores them in rooms of the filler's, in the partition of this room."""
    partition = home_of(RoomId(room))
    clock = SystemClock()
    mint = IdMint(clock, SystemEntropy())
    store = await open_store(installation.settings.store)
    try:
        shard = await store.shard_of(partition)
        for left in range(messages, 0, -ROOM_MESSAGES):
            room_id, count, now = mint.room_id(partition), min(left, ROOM_MESSAGES), clock.now_ms()
            create = RoomCreate(room_id, partition, AccountId(FILLER), KEY, "Filled", "GPT4O", now, 1)
            for first in range(1, count + 1, BATCH):
                saves = [
                    MessageSave(room_id, seq, MessageDoc(mint.message_id(partition), SenderType.USER, CONTENT, now))
                    for seq in range(first, min(first + BATCH, count + 1))
                ]
                touch = RoomTouch(room_id, saves[-1].seq, saves[-1].seq, now)
                # Without a fence: writers keep the partition.
                creates = [create] if first == 1 else []
                await store.apply(shard, Batch([], room_creates=creates, message_saves=saves, room_touches=[touch]))
    finally:
        await store.close()
    return partition


async def missing(installation: Installation, messages: int) -> str:
    """What is not there once any more; empty: all is."""
    found: list[tuple[bytes, int]] = []
    rooms = f"SELECT room_id FROM rooms WHERE account_id = '{FILLER}'"  # noqa: S608
    statement = f"SELECT room_id, seq FROM messages WHERE room_id IN ({rooms})"  # noqa: S608
    for address in installation.shards:
        found += [(bytes(room), int(seq)) for room, seq in await select(address, statement)]
    if len(found) == len(set(found)) == messages:
        return ""
    return f"of {messages} messages from before there are {len(set(found))}, in {len(found)} rows"
