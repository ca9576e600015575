"""Dead letters in Redis: operations that a shard refused for their content, with the reason."""

from __future__ import annotations

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.live import Live, milliseconds
from parlor.cache.queue import QueueEntry, decode_entry
from parlor.cache.records import text
from parlor.ids import Partition

PAGE = 200
"""Letters that are read at once; each may hold a long text."""


class DeadLetter(msgspec.Struct, frozen=True):
    """One operation that was set aside. The entry's position is the one that it had in the queue."""

    place: str
    """Its id in the partition's stream."""
    reason: str
    parked_at: int
    entry: QueueEntry

    @property
    def letter_id(self) -> str:
        """What the command line calls it: partition and place."""
        return f"{self.entry.partition}:{self.place}"


class LetterCache:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def letters(self, partition: Partition) -> list[DeadLetter]:
        """All of a partition, oldest first."""
        found: list[DeadLetter] = []
        stream, start = self._live.keys.dead(partition), "-"
        while entries := await self._live.pipeline.read("XRANGE", stream, start, "+", "COUNT", PAGE):
            found += [_letter(partition, place, fields) for place, fields in entries]
            start = f"({text(entries[-1][0])}"
        return found

    async def replay(self, letter: DeadLetter) -> bool:
        """To the end of its queue; False when it is not there any more. Raises ``Overloaded``, ``PartitionUnknown``."""
        address, live = letter.entry.address, self._live
        answer = await live.run(
            "replay_dead",
            live.room_keys(address, "partition", "queue", "dead", "room", "messages", "states", "account", "rooms"),
            {
                "room": address.room_id,
                "owner": address.account_id,
                "db_key": address.account_db_key,
                "letter": letter.place,
                "backlog_limit": live.queue.backlog_limit,
            },
        )
        return bool(answer[0] == Code.OK)

    async def drop(self, letter: DeadLetter) -> bool:
        """Takes the letter away, and nothing else; False when it is not there any more."""
        live = self._live
        answer = await live.attempt(
            "drop_dead",
            live.room_keys(letter.entry.address, "dead", "room", "messages", "states", "open", "account", "rooms"),
            {
                "letter": letter.place,
                "room_ttl": milliseconds(live.cache.record_ttl),
                "message_ttl": milliseconds(live.cache.message_list_ttl),
                "list_ttl": milliseconds(live.cache.room_list_ttl),
            },
        )
        if answer[0] < 0:
            raise refusal(answer[0])
        return bool(answer[0] == Code.OK)


def _letter(partition: Partition, place: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    return DeadLetter(
        place=text(place),
        reason=text(fields[b"reason"]),
        parked_at=int(fields[b"parked"]),
        entry=decode_entry(partition, fields[b"entry"], fields),
    )
