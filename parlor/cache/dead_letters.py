"""Dead letters in Redis: operations that a shard refused for their content, with the reason."""

from __future__ import annotations

import msgspec

from parlor.cache.codes import Code, refusal
from parlor.cache.live import Live, milliseconds
from parlor.cache.queue import QueueEntry, decode_entry
from parlor.cache.records import text
from parlor.model.ids import Partition

PAGE = 200
"""Dead letters that are read at once; each may hold a long text."""

_ABOUT = ("room", "messages", "states", "account", "rooms")
"""Keys of what a dead letter is about."""


class DeadLetter(msgspec.Struct, frozen=True):
    """One operation that was set aside. The entry's position is the one that it had in the queue."""

    stream_id: str
    """Its id in the partition's stream of dead letters."""
    reason: str
    parked_at: int
    entry: QueueEntry

    @property
    def id(self) -> str:
        """As the command line names it: the partition and the id in its stream."""
        return f"{self.entry.partition}:{self.stream_id}"


class DeadLetterCache:
    """Raises ``CacheUnavailable`` throughout."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def of_partition(self, partition: Partition) -> list[DeadLetter]:
        """All of a partition, oldest first."""
        found: list[DeadLetter] = []
        stream, start = self._live.keys.dead(partition), "-"
        while entries := await self._live.read("XRANGE", stream, start, "+", "COUNT", PAGE):
            found += [_dead_letter(partition, stream_id, fields) for stream_id, fields in entries]
            start = f"({text(entries[-1][0])}"
        return found

    async def page(self, partition: Partition, after: str | None, limit: int) -> list[DeadLetter]:
        """The oldest of a partition, from the one after this id in its stream."""
        stream, start = self._live.keys.dead(partition), "-" if after is None else f"({after}"
        entries = await self._live.read("XRANGE", stream, start, "+", "COUNT", limit)
        return [_dead_letter(partition, stream_id, fields) for stream_id, fields in entries]

    async def replay(self, dead_letter: DeadLetter) -> bool:
        """Puts it at the end of its queue; False when it is not there any more. Raises ``Overloaded`` and
        ``PartitionUnknown``."""
        address, live = dead_letter.entry.address, self._live
        answer = await live.run(
            "replay_dead",
            live.room_keys(address, "partition", "queue", "dead", *_ABOUT),
            {
                "room": address.room_id,
                "owner": address.account_id,
                "db_key": address.account_db_key,
                "dead_letter": dead_letter.stream_id,
                "backlog_limit": live.queue.backlog_limit,
            },
        )
        return bool(answer[0] == Code.OK)

    async def drop(self, dead_letter: DeadLetter) -> bool:
        """Takes it away, and nothing else; False when it is not there any more."""
        live = self._live
        answer = await live.attempt(
            "drop_dead",
            live.room_keys(dead_letter.entry.address, "partition", "dead", *_ABOUT, "open"),
            {
                "dead_letter": dead_letter.stream_id,
                "room_ttl": milliseconds(live.cache.record_ttl),
                "message_ttl": milliseconds(live.cache.message_list_ttl),
                "list_ttl": milliseconds(live.cache.room_list_ttl),
            },
        )
        if answer[0] < 0:
            raise refusal(answer[0])
        return bool(answer[0] == Code.OK)


def _dead_letter(partition: Partition, stream_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    return DeadLetter(
        stream_id=text(stream_id),
        reason=text(fields[b"reason"]),
        parked_at=int(fields[b"parked"]),
        entry=decode_entry(partition, fields[b"entry"], fields),
    )
