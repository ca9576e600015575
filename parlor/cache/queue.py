"""A writer's side of the queues: leases, reading, taking and finishing batches, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from redis import exceptions
from redis.asyncio import Redis

from parlor.cache.clients import connect
from parlor.cache.codes import Code, refusal
from parlor.cache.connection import Answer, typed
from parlor.cache.live import NOTHING_APPLIED, Live, RoomAddress, milliseconds
from parlor.cache.loader import Argument
from parlor.cache.records import decode_doc, text
from parlor.model.ids import AccountId, MessageId, Partition, RoomId
from parlor.model.messages import MessageDoc, QueuePosition, Usage
from parlor.model.tracing import request_and_trace
from parlor.settings import RedisSettings

GROUP = "writer"
POLL = 0.05
"""Seconds between two looks at the queues of a cluster, which no command can wait for together."""
ROOM_MARK = "room"
"""Stands for a room's create among the seqs of ``begin``."""


class QueueEntry(msgspec.Struct, frozen=True):
    """One queued operation."""

    partition: Partition
    position: QueuePosition
    op: str
    address: RoomAddress
    at: int = 0
    seq: int = 0
    message_id: MessageId | None = None
    doc: MessageDoc | None = None
    """Of a delete: its tombstone."""
    final: bool = True
    """False for the row that reserves a reply's slot."""
    last_seq: int = 0
    active: int = 0
    """The room's latest activity, in ms; a delete is none."""
    count: int = 0
    title: str | None = None
    """Of a create, or of an update that has one."""
    persona: str = ""
    """With a title; empty in an update of before personas could change."""
    version: int = 0
    """Of title, persona and metadata."""
    external_id: str | None = None
    """Of a create."""
    metadata: str | None = None
    """With a title; None in an operation of before rooms had any, and in a create without."""
    past: MessageDoc | None = None
    """What the message said before this save; kept as a version of it."""
    recount: bool = False
    """The end of a reply that had ended before: its tokens are counted, the message has been."""
    summary: str | None = None
    """Of an update that has one; empty: reset."""
    through_seq: int = 0
    summary_version: int = 0
    usage: Usage | None = None
    """Of CHAT_USAGE_ADD: tokens that no message counts."""
    cost: int = 0
    """Of the tokens, in billionths."""
    since: int = 0
    """When the tokens were reserved, in ms: they count for that day. 0: at ``at``."""
    before: Usage = Usage(0, 0)
    """Of what a reply's end says that it used: what was counted when it was parked."""
    urgent: bool = False
    request_id: str = ""
    """Of the request that it was queued for; empty: for none, or by an older program."""
    trace: str = ""
    """The traceparent of the script that queued it; empty: it is not traced."""
    raw: dict[bytes, bytes] = {}
    """As it stands in the queue, for the dead letters."""


class Lease(msgspec.Struct, frozen=True):
    """What Redis knows of a partition that the caller holds now."""

    incarnation: int | None
    """None: Redis does not know the partition."""
    last_number: int
    applied: QueuePosition = NOTHING_APPLIED
    """How far its shard had applied the queue, as its writers told it."""
    closed: bool = False
    """Another server goes on with the partition: nobody but its writer gets at it until it is opened."""
    history: str = ""
    """Of the server, where servers fail over."""


class HeldByAnother(msgspec.Struct, frozen=True):
    """The lease is another writer's."""

    holder: str


def decode_entry(partition: Partition, entry_id: bytes, fields: dict[bytes, bytes]) -> QueueEntry:
    def number(name: bytes) -> int:
        return int(fields.get(name) or 0)

    request_id, trace = request_and_trace(fields.get(b"request", b"").decode())
    return QueueEntry(
        partition=partition,
        position=QueuePosition.parse(entry_id.decode()),
        op=fields[b"op"].decode(),
        address=RoomAddress(RoomId(fields[b"room"].decode()), AccountId(fields[b"owner"].decode()), number(b"db_key")),
        at=number(b"at"),
        seq=number(b"seq"),
        message_id=MessageId(fields[b"message"].decode()) if b"message" in fields else None,
        doc=decode_doc(fields[b"doc"]) if fields.get(b"doc") else None,
        final=fields.get(b"final") != b"0",
        last_seq=number(b"last"),
        active=number(b"active") or number(b"at"),
        count=number(b"count"),
        title=fields[b"title"].decode() if b"title" in fields else None,
        persona=fields.get(b"persona", b"").decode(),
        version=number(b"version"),
        external_id=text(fields.get(b"external")) or None,
        metadata=text(fields.get(b"metadata")) or None,
        past=decode_doc(fields[b"past"]) if b"past" in fields else None,
        recount=fields.get(b"recount") == b"1",
        summary=fields[b"summary"].decode() if b"summary" in fields else None,
        through_seq=number(b"through"),
        summary_version=number(b"summary_version"),
        usage=Usage(number(b"input"), number(b"output")) if b"input" in fields else None,
        cost=number(b"cost"),
        since=number(b"since"),
        before=Usage(number(b"before_input"), number(b"before_output")),
        urgent=fields.get(b"urgent") == b"1",
        request_id=request_id,
        trace=trace,
        raw=fields,
    )


class WriterQueue:
    """The queues of a writer's partitions. Raises ``CacheUnavailable`` throughout, ``LeaseLost`` where said.

    It reads with a connection of its own, because a blocking read holds one.
    """

    def __init__(self, live: Live, settings: RedisSettings) -> None:
        self._live = live
        self._reader: Redis = connect(settings, live.guard, blocking=True)
        self._alone = settings.servers.kind == "cluster"
        """A command reads one stream: those of a cluster are of several slots."""
        self._patience = settings.command_timeout.total_seconds()

    async def hold(
        self, partition: Partition, lease: str, holder: str, generation: int = 0, predecessor: str = ""
    ) -> Lease | HeldByAnother:
        """Takes or renews the lease. ``generation``: of the partition, by the map that the caller goes by;
        ``predecessor``: a holder that cannot be there any more. Raises ``ForeignCache`` for another installation's
        partition."""
        answer = await self._live.attempt(
            "hold_lease",
            self._lease_keys(partition),
            {
                "lease": lease,
                "holder": holder,
                "predecessor": predecessor,
                "generation": generation,
                "ttl": milliseconds(self._live.queue.lease_ttl),
            },
        )
        if answer[0] == Code.LEASE_LOST:
            return HeldByAnother(text(answer[1]))
        if answer[0] < 0:
            raise refusal(answer[0])
        applied = QueuePosition.parse(text(answer[3])) if answer[3] else NOTHING_APPLIED
        return Lease(int(answer[1]) if answer[1] else None, int(answer[2]), applied, bool(answer[4]), text(answer[5]))

    async def renew(self, partition: Partition, lease: str, applied: QueuePosition) -> bool:
        """Also tells the shard's watermark. False when the lease is another's by now."""
        arguments: dict[str, Argument] = {"lease": lease, "applied": str(applied)}
        arguments["ttl"] = milliseconds(self._live.queue.lease_ttl)
        answer = await self._live.attempt("renew_lease", self._lease_keys(partition), arguments)
        return bool(answer[0] == Code.OK)

    async def release(self, partition: Partition, lease: str, applied: QueuePosition) -> None:
        """Also tells the shard's watermark; harmless when the lease is another's by now."""
        arguments: dict[str, Argument] = {"lease": lease, "applied": str(applied)}
        await self._live.attempt("release_lease", self._lease_keys(partition), arguments)

    async def unfinished(self, partition: Partition, after: QueuePosition | None, limit: int) -> list[QueueEntry]:
        """The consumer's own history: what was read before and never finished. It goes before anything new."""
        return await self._read({partition: str(after) if after else "0"}, limit, None)

    async def new(self, partitions: Sequence[Partition], limit: int, wait_ms: int) -> list[QueueEntry]:
        """New entries of the partitions, at most ``limit`` of each; waits up to ``wait_ms`` for the first."""
        if not partitions:
            await asyncio.sleep(wait_ms / 1000)
            return []
        return await self._read(dict.fromkeys(partitions, ">"), limit, max(1, wait_ms))

    async def begin(self, lease: str, address: RoomAddress, marks: Sequence[int | str]) -> list[bool]:
        """PENDING to PROCESSING for a room's saves (by seq) and its create (``ROOM_MARK``); whether each is still
        wanted. Raises ``LeaseLost``."""
        answer = await self._live.run(
            "begin_batch", self._live.room_keys(address, "lease", "room", "states"), {"lease": lease}, list(marks)
        )
        return [flag == 1 for flag in answer[1]]

    async def finish(self, lease: str, address: RoomAddress, entries: Sequence[QueueEntry]) -> None:
        """The committed operations of one room: final states, and out of the queue. Raises ``LeaseLost``."""
        live = self._live
        rest: list[str | int | bytes] = []
        for entry in entries:
            # The row of a reserved reply moves no state: the reply is still being written.
            op = entry.op if entry.final else "RESERVED"
            version = entry.doc.version if entry.doc is not None else ""
            rest += [str(entry.position), op, entry.seq or "", entry.message_id or "", version]
        await live.run(
            "finish_batch",
            live.room_keys(
                address, "partition", "lease", "queue", "generating", "room", "messages", "states", "open", "events"
            )
            | live.room_keys(address, "account", "rooms", "account_events"),
            {
                "room": address.room_id,
                "lease": lease,
                "messages_kept": live.cache.messages_per_room,
                "states_kept": live.cache.states_per_room,
                "room_ttl": milliseconds(live.cache.record_ttl),
                "message_ttl": milliseconds(live.cache.message_list_ttl),
                "list_ttl": milliseconds(live.cache.room_list_ttl),
            },
            rest,
        )

    async def park(self, lease: str, entry: QueueEntry, reason: str) -> None:
        """Sets an operation aside that the shard refuses. Raises ``LeaseLost``."""
        rest: list[str | int | bytes] = []
        for name, value in entry.raw.items():
            rest += [name, value]
        answer = await self._live.attempt(
            "park_entry",
            self._live.room_keys(entry.address, "lease", "queue", "dead"),
            {"lease": lease, "entry": str(entry.position), "reason": reason},
            rest,
        )
        if answer[0] < 0:
            raise refusal(answer[0])

    async def depth(self, partition: Partition) -> tuple[int, int, int]:
        """Entries that wait, the oldest one's time in ms (0 for none), dead letters."""
        keys = self._live.keys
        length, oldest, dead = await asyncio.gather(
            self._live.pipeline.read("XLEN", keys.queue(partition)),
            self._live.pipeline.read("XRANGE", keys.queue(partition), "-", "+", "COUNT", 1),
            self._live.pipeline.read("XLEN", keys.dead(partition)),
        )
        return length, int(oldest[0][1].get(b"at", 0)) if oldest else 0, dead

    async def close(self) -> None:
        await self._reader.aclose()

    def _lease_keys(self, partition: Partition) -> dict[str, str]:
        return {"partition": self._live.keys.partition(partition), "lease": self._live.keys.lease(partition)}

    async def _read(self, positions: dict[Partition, str], limit: int, block_ms: int | None) -> list[QueueEntry]:
        if self._alone:
            return await self._read_each(positions, limit, block_ms or 0)
        by_stream = {self._live.keys.queue(partition): partition for partition in positions}
        command: list[str | int] = ["XREADGROUP", "GROUP", GROUP, GROUP, "COUNT", limit]
        if block_ms is not None:
            command += ["BLOCK", block_ms]
        try:
            positions_in_order = [positions[partition] for partition in by_stream.values()]
            # Also of a read that blocks: over a connection whose other end is gone it would wait for ever, while the
            # lease is renewed over another one and no other writer takes the partition.
            async with asyncio.timeout((block_ms or 0) / 1000 + self._patience):
                # Untyped in redis-py; ``xreadgroup`` itself is typed too narrowly for a mapping of plain strings.
                found: Answer = await self._reader.execute_command(  # type: ignore[no-untyped-call]
                    *command, "STREAMS", *by_stream, *positions_in_order
                )
        except (exceptions.RedisError, OSError) as error:
            raise typed(error, "XREADGROUP") from error
        return _entries(by_stream, found)

    async def _read_each(self, positions: dict[Partition, str], limit: int, wait_ms: int) -> list[QueueEntry]:
        """Asks for each partition by itself, again and again until there is something."""
        by_stream = {self._live.keys.queue(partition): partition for partition in positions}
        words, read, clock = (
            ("XREADGROUP", "GROUP", GROUP, GROUP, "COUNT", limit),
            self._live.pipeline.read,
            self._live.clock,
        )
        until = clock.monotonic() + wait_ms / 1000
        while True:
            found = await asyncio.gather(
                *(read(*words, "STREAMS", stream, positions[partition]) for stream, partition in by_stream.items())
            )
            entries = [entry for one in found for entry in _entries(by_stream, one)]
            if entries or (wait := until - clock.monotonic()) <= 0:
                return entries
            await clock.sleep(min(wait, POLL))


def _entries(by_stream: dict[str, Partition], found: Answer) -> list[QueueEntry]:
    return [
        decode_entry(by_stream[text(stream)], entry_id, fields)
        for stream, entries in found or ()
        for entry_id, fields in entries
        if fields
    ]
