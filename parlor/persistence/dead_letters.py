"""What an operator does with dead letters: queue them again, or give them up.

Readers still get a message whose save is parked: Redis keeps it as long as the dead letter waits. Its room's
``persisted_seq`` stays below it (docs/adr/0011-what-a-parked-operation-means.md).
"""

from __future__ import annotations

import asyncio
import re

import msgspec

from parlor.cache.audit import AuditCache, RoomSnapshot
from parlor.cache.dead_letters import DeadLetter, DeadLetterCache
from parlor.cache.operators import OperatorCache
from parlor.errors import IllegalTransition, MessageNotFound, PartitionUnknown, RoomNotFound
from parlor.model.cursors import InvalidCursor
from parlor.model.ids import AccountId, Partition
from parlor.model.states import GONE, GONE_MESSAGES, MessageState
from parlor.reading.loading import Loader
from parlor.state_machine import ChatStateMachine
from parlor.store.ports import ChatStore

OPERATOR = "operator"
"""The actor that transition logs name."""
DELETES = ("CHAT_MESSAGE_DELETE", "CHAT_ROOM_DELETE")
AT_ONCE = 64
"""Partitions that are asked together."""
_ID = re.compile(r"([0-9]{1,4}):([0-9]{1,20}-[0-9]{1,20})")


class NotDropped(IllegalTransition):
    """A delete that is given up would bring back what was deleted (I10)."""


class Dropped(msgspec.Struct, frozen=True):
    dead_letter: DeadLetter
    effect: str
    """What became of the message, the room or the title that it was about, in words."""


class DeadLetters:
    """Raises ``CacheUnavailable`` and ``StoreUnavailable`` throughout."""

    def __init__(
        self,
        cache: DeadLetterCache,
        audit: AuditCache,
        operators: OperatorCache,
        states: ChatStateMachine,
        loader: Loader,
        store: ChatStore,
    ) -> None:
        self._cache = cache
        self._audit = audit
        self._operators = operators
        self._states = states
        self._loader = loader
        self._store = store

    async def all(self) -> list[DeadLetter]:
        """The dead letters of every partition, oldest first."""
        found = await asyncio.gather(*(self._cache.of_partition(each) for each in await self._partitions()))
        return sorted((one for dead_letters in found for one in dead_letters), key=lambda one: one.parked_at)

    async def page(self, limit: int, after: str | None) -> list[DeadLetter]:
        """Dead letters by partition, and by age in each; from the one after the id ``after``. Raises
        ``InvalidCursor``."""
        partition, stream_id = _position(after)
        partitions = [each for each in await self._partitions() if each >= partition]
        found: list[DeadLetter] = []
        for first in range(0, len(partitions), AT_ONCE):
            # At once, because nearly all of them are empty.
            pages = await asyncio.gather(
                *(
                    self._cache.page(each, stream_id if each == partition else None, limit)
                    for each in partitions[first : first + AT_ONCE]
                )
            )
            found += [one for dead_letters in pages for one in dead_letters]
            if len(found) >= limit:
                break
        return found[:limit]

    async def forget(self, partition: Partition, account: AccountId) -> None:
        """Takes away what is parked of an account whose rooms are deleted. Deletes stay: their shard has to learn of
        them."""
        for one in await self._cache.of_partition(partition):
            entry = one.entry
            if entry.address.account_id == account and entry.op not in DELETES:
                await self._cache.drop(one)

    async def find(self, dead_letter_id: str) -> DeadLetter | None:
        """The dead letter with this id (``DeadLetter.id``)."""
        form = _ID.fullmatch(dead_letter_id)
        if form is None:
            return None
        found = await self._cache.of_partition(Partition(int(form[1])))
        return next((one for one in found if one.stream_id == form[2]), None)

    async def replay(self, dead_letter: DeadLetter) -> bool:
        """Puts it at the end of its queue, for the shard to try again; False when it is not parked any more. What was
        stored of the room meanwhile stays: operations are versioned (I8). Raises ``Overloaded``."""
        try:
            return await self._cache.replay(dead_letter)
        except PartitionUnknown:
            await self._loader.open_partition(dead_letter.entry.partition)
            return await self._cache.replay(dead_letter)

    async def drop(self, dead_letter: DeadLetter) -> Dropped:
        """Gives the operation up, so that Redis and the shard say the same again: a message becomes a tombstone, a room
        that was never stored is deleted, title and persona go back to the stored ones. Raises ``NotDropped`` for
        deletes."""
        effect = await self._let_go(dead_letter)
        await self._cache.drop(dead_letter)
        return Dropped(dead_letter, effect)

    async def _partitions(self) -> list[Partition]:
        return sorted([p for shard in self._store.shard_ids() for p in await self._store.partitions_of(shard)])

    async def _let_go(self, dead_letter: DeadLetter) -> str:
        entry = dead_letter.entry
        if entry.op in DELETES:
            raise NotDropped(
                "It deletes something: put the rows right that refuse it, then replay it",
                extra={"from": "parked", "to": "dropped"},
            )
        room = await self._room(dead_letter)
        if room is None:
            return "its room is gone"
        match entry.op:
            case "CHAT_MESSAGE_SAVE":
                return await self._drop_message(dead_letter, room)
            case "CHAT_ROOM_CREATE":
                await self._operators.delete_room(room.address, OPERATOR)
                return "its room was never stored, and is deleted"
            case "CHAT_ROOM_UPDATE" if entry.title is not None and entry.version == room.version:
                return await self._restore_title(room)
        return "nothing else had to be done"

    async def _room(self, dead_letter: DeadLetter) -> RoomSnapshot | None:
        """Loads a room that Redis does not have: its tombstone is queued from there. None for one that is gone."""
        room_id = dead_letter.entry.address.room_id
        room = await self._audit.room(room_id)
        if room is None:
            try:
                await self._loader.load_room(room_id)
            except RoomNotFound:
                return None
            room = await self._audit.room(room_id)
        return None if room is None or room.state in GONE else room

    async def _drop_message(self, dead_letter: DeadLetter, room: RoomSnapshot) -> str:
        entry = dead_letter.entry
        if entry.message_id is None or entry.doc is None:
            return "it says nothing of a message"
        slot = room.slots.get(entry.seq)
        if slot is not None:
            if slot.state in GONE_MESSAGES:
                return "its message was deleted before"
            if slot.state == MessageState.SENT:
                return "its message is stored as it is now"
            if slot.doc is not None and slot.doc.version > entry.doc.version:
                return "its message says something else by now, which is on its way"
            if slot.state == MessageState.COMPOSING:
                return "it only reserved a reply's slot, which the reply's end writes too"
        try:
            await self._states.smart_delete_message(room.address, entry.message_id, by=OPERATOR)
        except MessageNotFound:
            # Redis lost the room meanwhile, and the shard never had the message: its slot gets the tombstone.
            await self._operators.delete_message(room.address, entry.seq, entry.doc, stored=True, by=OPERATOR)
        return "its message is deleted"

    async def _restore_title(self, room: RoomSnapshot) -> str:
        row = await self._store.room_get(await self._store.shard_of(room.address.partition), room.room_id)
        if row is None:
            return "its room is not stored"
        await self._operators.update_room(room.address, row.title, row.ai_persona, row.metadata or "{}")
        return "the room has its stored title, persona and metadata again"


def is_dead_letter_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _position(after: str | None) -> tuple[int, str | None]:
    """The partition and the id in its stream. Raises ``InvalidCursor``."""
    if after is None:
        return 0, None
    found = _ID.fullmatch(after)
    if found is None or max(map(int, found[2].split("-"))) >= 2**64 - 1:
        raise InvalidCursor("The cursor is not one of this list")
    return int(found[1]), found[2]
