"""A room with a stored conversation, ways to spoil it, and the check of it."""

from __future__ import annotations

import json
from uuid import UUID

from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.fsck.check import PAUSE, Fsck, Report
from parlor.fsck.findings import MessageFinding
from parlor.fsck.look import FsckPorts, Scope
from parlor.model.ids import MessageId, RoomId
from parlor.rooms.room import Room
from tests.unit.domain import HOME, SHARD, Domain, settle
from tests.unit.memory_store import MemoryDatabase


def ports_of(domain: Domain) -> FsckPorts:
    audit, dead_letters = AuditCache(domain.live, domain.settings.redis.prefix), DeadLetterCache(domain.live)
    return FsckPorts(audit, dead_letters, domain.store, domain.loader, domain.clock, domain.file_store)


def fsck(domain: Domain, lines: list[str] | None = None) -> Fsck:
    return Fsck(ports_of(domain), (lines if lines is not None else []).append)


async def check(domain: Domain, scope: Scope = Scope(), *, repair: bool = False) -> Report:  # noqa: B008 - immutable
    task = domain.spawn(fsck(domain).run(scope, repair=repair))
    await settle()
    for _ in range(10):
        if not task.done():
            await domain.clock.advance(PAUSE)
    return await task


def kinds(report: Report) -> list[tuple[str, str, int]]:
    """Seq 0: not about a message."""
    return [
        (finding.invariant, finding.kind, finding.seq if isinstance(finding, MessageFinding) else 0)
        for finding in report.findings
    ]


class Chat:
    """A room with a stored conversation: 1 and 2 a turn, 3 a message, 4 a deleted one, 5 a message."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.room: Room
        self.ids: dict[int, MessageId] = {}

    async def open(self) -> Chat:
        domain = self.domain
        self.room = await domain.opened()
        receipt = await domain.send(self.room, "Hello")
        await domain.answer(0, "Good day")
        assert receipt.reply is not None
        self.ids = {1: receipt.message.message_id, 2: receipt.reply.message_id}
        for seq in (3, 4, 5):
            self.ids[seq] = (await domain.say(self.room, f"message {seq}")).message_id
        await domain.write_all()
        await domain.delete_message(self.room, self.ids[4])
        await domain.write_all()
        return self

    @property
    def room_id(self) -> RoomId:
        return self.room.room_id

    def key(self, name: str) -> str:
        keys = self.domain.live.keys
        if name in ("account", "rooms"):
            return str(getattr(keys, name)(HOME, self.domain.ada.account_id))
        if name in ("generating", "queue", "partition"):
            return str(getattr(keys, name)(HOME))
        return str(getattr(keys, name)(HOME, self.room_id))

    async def set(self, name: str, **fields: str | int) -> None:
        await self.domain.redis.hset(self.key(name), mapping={key.replace("_", ":"): v for key, v in fields.items()})

    def sql(self, statement: str, *values: object) -> None:
        """On the room's rows; the last parameter is the room."""
        database = self.domain.store._shards[SHARD]
        assert isinstance(database, MemoryDatabase)
        changed = database._connection.execute(statement, (*values, UUID(self.room_id).bytes))
        assert changed.rowcount > 0

    async def redoc(self, seq: int, **changes: object) -> None:
        """Another document in the cache."""
        raw = await self.domain.redis.hget(self.key("messages"), f"d:{seq}")
        assert raw is not None
        await self.domain.redis.hset(self.key("messages"), f"d:{seq}", json.dumps(json.loads(raw) | changes))
