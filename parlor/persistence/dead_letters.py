"""Dead letters as an operator sees them: what was set aside, back into the queue, or given up for good.

A message whose save is parked is there for its readers, from Redis, which keeps it as long as the letter waits; its
room's ``persisted_seq`` stays below it (docs/adr/0011-what-a-parked-operation-means.md).
"""

from __future__ import annotations

import asyncio

import msgspec

from parlor.cache.audit import AuditCache, RoomSnapshot
from parlor.cache.dead_letters import DeadLetter, LetterCache
from parlor.cache.operators import OperatorCache
from parlor.errors import MessageNotFound, ParlorError, PartitionUnknown, RoomNotFound
from parlor.ids import Partition
from parlor.reading.loading import Loader
from parlor.state_machine import ChatStateMachine
from parlor.states import GONE, GONE_MESSAGES, MessageState
from parlor.store.ports import ChatStore

OPERATOR = "operator"
"""Who, in transition logs."""


class NotDropped(ParlorError):
    """A delete that is given up would bring back what was deleted (I10)."""

    code, title = "not-dropped", "This letter cannot be dropped"


class Dropped(msgspec.Struct, frozen=True):
    letter: DeadLetter
    effect: str
    """What became of what it was about, in words."""


class DeadLetters:
    """Raises ``CacheUnavailable`` and ``StoreUnavailable`` throughout."""

    def __init__(
        self,
        letters: LetterCache,
        audit: AuditCache,
        operators: OperatorCache,
        states: ChatStateMachine,
        loader: Loader,
        store: ChatStore,
    ) -> None:
        self._letters = letters
        self._audit = audit
        self._operators = operators
        self._states = states
        self._loader = loader
        self._store = store

    async def all(self) -> list[DeadLetter]:
        """Of every partition, oldest first."""
        partitions = [p for shard in self._store.shard_ids() for p in await self._store.partitions_of(shard)]
        found = await asyncio.gather(*(self._letters.letters(partition) for partition in partitions))
        return sorted((letter for letters in found for letter in letters), key=lambda letter: letter.parked_at)

    async def find(self, letter_id: str) -> DeadLetter | None:
        """By its id, ``<partition>:<place>``."""
        partition, _, place = letter_id.partition(":")
        if not partition.isdecimal():
            return None
        letters = await self._letters.letters(Partition(int(partition)))
        return next((letter for letter in letters if letter.place == place), None)

    async def replay(self, letter: DeadLetter) -> bool:
        """Back to the end of the queue, for the shard to look at again; False when it is not parked any more. What was
        stored of the room meanwhile stays: operations are versioned (I8). Raises ``Overloaded``."""
        try:
            return await self._letters.replay(letter)
        except PartitionUnknown:
            await self._loader.open_partition(letter.entry.partition)
            return await self._letters.replay(letter)

    async def drop(self, letter: DeadLetter) -> Dropped:
        """Gives the operation up, so that Redis and the shard say the same again: a message becomes a tombstone, a room
        that was never stored is deleted, a title goes back to the stored one. Raises ``NotDropped`` for deletes."""
        effect = await self._let_go(letter)
        await self._letters.drop(letter)
        return Dropped(letter, effect)

    async def _let_go(self, letter: DeadLetter) -> str:
        op = letter.entry.op
        if op in ("CHAT_MESSAGE_DELETE", "CHAT_ROOM_DELETE"):
            raise NotDropped("It deletes something: put the rows right that refuse it, then replay it")
        room = await self._room(letter)
        if room is None:
            return "its room is gone"
        match op:
            case "CHAT_MESSAGE_SAVE":
                return await self._drop_message(letter, room)
            case "CHAT_ROOM_CREATE":
                await self._operators.delete_room(room.address, OPERATOR)
                return "its room was never stored, and is deleted"
            case "CHAT_ROOM_UPDATE" if letter.entry.title is not None and letter.entry.version == room.version:
                return await self._restore_title(room)
        return "nothing else had to be done"

    async def _room(self, letter: DeadLetter) -> RoomSnapshot | None:
        """Loads a room that Redis does not have: its tombstone is queued from there. None for one that is gone."""
        room_id = letter.entry.address.room_id
        room = await self._audit.room(room_id)
        if room is None:
            try:
                await self._loader.load_room(room_id)
            except RoomNotFound:
                return None
            room = await self._audit.room(room_id)
        return None if room is None or room.state in GONE else room

    async def _drop_message(self, letter: DeadLetter, room: RoomSnapshot) -> str:
        entry = letter.entry
        if entry.message_id is None or entry.doc is None:
            return "it says nothing of a message"
        place = room.places.get(entry.seq)
        if place is not None:
            if place.state in GONE_MESSAGES:
                return "its message was deleted before"
            if place.state == MessageState.SENT:
                return "its message is stored as it is now"
            if place.doc is not None and place.doc.version > entry.doc.version:
                return "its message says something else by now, which is on its way"
            if place.state == MessageState.COMPOSING:
                return "it only kept a reply's place, which the reply's end writes too"
        try:
            await self._states.smart_delete_message(room.address, entry.message_id, by=OPERATOR)
        except MessageNotFound:
            # Redis lost the room meanwhile, and the shard never had the message: its place gets the tombstone.
            await self._operators.delete_message(room.address, entry.seq, entry.doc, stored=True, by=OPERATOR)
        return "its message is deleted"

    async def _restore_title(self, room: RoomSnapshot) -> str:
        row = await self._store.room_get(await self._store.shard_of(room.address.partition), room.room_id)
        if row is None:
            return "its room is not stored"
        await self._operators.rename_room(room.address, row.title)
        return "the room has its stored title again"
