"""A small world in Redis: one partition, its writer, and rooms with few words.

Every script that goes through it is run twice with the same arguments: the second run has to leave the data as it is
and may not refuse what the first one granted (redis-py may replay a command whose reply was lost).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from pydantic import SecretStr
from redis.asyncio import Redis

from parlor.cache.calls import CallCache
from parlor.cache.changes import Appended, Claimed, Piece, Turn
from parlor.cache.cluster import open_pipeline
from parlor.cache.connection import Answer, ScriptPipeline
from parlor.cache.creations import CreationCache
from parlor.cache.events import Entry
from parlor.cache.live import Live, RoomAddress
from parlor.cache.loader import Argument
from parlor.cache.operators import OperatorCache
from parlor.cache.queue import ROOM_MARK, Lease, QueueEntry, WriterQueue, decode_entry
from parlor.cache.reads import CachedPage, CacheReader
from parlor.cache.records import CachedRoom
from parlor.cache.reopening import Reopening
from parlor.cache.revisions import RevisionCache
from parlor.cache.rooms import RoomCache
from parlor.cache.states import StateCache
from parlor.model.ids import AccountId, Claim, IdMint, MessageId, Partition, RoomId
from parlor.model.messages import FinishReason, MessageDoc, MessageRow, QueuePosition, SenderType
from parlor.model.requests import Idempotency
from parlor.model.rooms import NewRoom, RoomRow
from parlor.model.states import MessageState, RoomState
from parlor.settings import CacheSettings, QueueSettings, RedisSettings, RoomSettings, Settings, StoreSettings
from tests.contract.cache.keyspace import Keyspace, dump
from tests.unit.fake_clock import FakeClock, SeededEntropy

NOW = 1_750_000_000_000
CLAIM_1, CLAIM_2, CLAIM_3 = Claim("claim-1"), Claim("claim-2"), Claim("claim-3")
LEASE = "lease-1"
APPLIED = QueuePosition(1, 0)
"""A watermark."""
OURS, THEIRS = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
"""Installations."""
ONE_WAY = frozenset({"release_lease", "release_room", "transition_message", "transition_room"})
"""Scripts whose second run finds nothing to do and says so with a refusal, which their callers take as done."""


def plain(at: int, text: str) -> Piece:
    """A piece of a reply that is one text."""
    return Piece(index=0, reasoning=False, offset=at, at=at, text=text)


class TwiceLive(Live):
    """Runs every script twice."""

    redis: Redis
    prefix: str
    twice = True

    async def attempt(
        self,
        name: str,
        keys: dict[str, str],
        arguments: dict[str, Argument],
        rest: Sequence[Argument] = (),
        more: Sequence[str] = (),
    ) -> Answer:
        first = await super().attempt(name, keys, arguments, rest, more)
        if not self.twice:
            return first
        once = await dump(self.redis, self.prefix)
        second = await super().attempt(name, keys, arguments, rest, more)
        assert await dump(self.redis, self.prefix) == once, f"{name} is not safe to repeat"
        assert first[0] < 0 or name in ONE_WAY or second[0] >= 0, f"{name} grants once: {first} {second}"
        return first


class CacheFixtures:
    """``new_client`` makes clients of the server that everything is in."""

    def __init__(self, new_client: Callable[[], Redis], url: str, number: int) -> None:
        prefix = f"t{number}"
        self.settings = make_settings(url, prefix)
        self.new_client = new_client
        self.redis = redis = new_client()
        self.prefix = prefix
        self.clock = FakeClock(NOW)
        clustered = self.settings.redis.servers.kind == "cluster"
        self.pipeline = open_pipeline(self.settings.redis) if clustered else ScriptPipeline(redis, self.settings.redis)
        self.live = TwiceLive(self.pipeline, self.settings, self.clock)
        self.live.redis, self.live.prefix = redis, prefix
        self.keys = self.live.keys
        self.mint = IdMint(self.clock, SeededEntropy(number))
        self.partition = Partition(number % 4096)
        self.rooms = RoomCache(self.live)
        self.calls = CallCache(self.live)
        self.creations = CreationCache(self.live)
        self.revisions = RevisionCache(self.live)
        self.states = StateCache(self.live)
        self.operators = OperatorCache(self.live)
        self.reader = CacheReader(self.live)
        self.queue = WriterQueue(self.live, self.settings.redis)
        # The tests' own client: also when it is not a server's.
        self.queue._reader = redis

    async def open(self) -> None:
        await self.live.init_partition(self.partition, 1)
        assert isinstance(await self.queue.hold(self.partition, LEASE, "writer-1"), Lease)

    async def fail_over(self, incarnation: int = 1) -> None:
        """From now on the servers are some that fail over, and the partition is open in the history that they have."""
        self.live.replicated = True
        lease = await self.queue.hold(self.partition, LEASE, "writer-1")
        assert isinstance(lease, Lease)
        await Reopening(self.live).open(self.partition, LEASE, lease.history, incarnation, APPLIED, [])

    async def dump(self) -> Keyspace:
        return await dump(self.redis, self.prefix)

    # Rooms

    def address(self, account: str = "ada") -> RoomAddress:
        return RoomAddress(self.mint.room_id(self.partition), AccountId(account), 7)

    async def created(self, account: str = "ada") -> RoomAddress:
        address = self.address(account)
        await self.creations.create(address, NewRoom("A room", "GPT4O"), "account")
        return address

    async def claimed(self, account: str = "ada") -> RoomAddress:
        address = await self.created(account)
        await self.claim(address.room_id, CLAIM_1)
        return address

    async def claim(self, room_id: RoomId, claim: Claim) -> Claimed | None:
        """Takes the room from whoever owns it now."""
        return await self.rooms.claim(room_id, claim, await self.reader.claims(room_id))

    async def room(self, address: RoomAddress) -> CachedRoom:
        found = await self.reader.room(address.room_id)
        assert found is not None
        return found

    async def room_state(self, address: RoomAddress) -> RoomState:
        found = await self.states.room_state(address.room_id)
        assert found is not None
        return found[0]

    async def hash(self, name: str, address: RoomAddress) -> dict[bytes, bytes]:
        found: Answer = await self.redis.hgetall(self.key(name, address))
        return dict(found)

    async def entries(self, stream: str, after: str = "-") -> list[Entry]:
        found: Answer = await self.redis.xrange(stream, after)
        return list(found)

    def key(self, name: str, address: RoomAddress) -> str:
        return self.live.room_keys(address, name)[name]

    # Messages

    def message_id(self) -> MessageId:
        return self.mint.message_id(self.partition)

    def doc(self, content: str = "Hello", *, message_id: MessageId | None = None) -> MessageDoc:
        return MessageDoc(message_id or self.message_id(), SenderType.USER, content, self.clock.ms)

    def reserved(self, parent: MessageId) -> MessageDoc:
        return MessageDoc(
            self.message_id(),
            SenderType.AI,
            "",
            self.clock.ms,
            version=0,
            ai_persona="GPT4O",
            parent_message_id=parent,
        )

    def turn(
        self,
        content: str = "Hello",
        *,
        reply: bool = True,
        strict: bool = False,
        key: str | None = None,
        fingerprint: str = "f",
        urgent: bool = False,
    ) -> Turn:
        message = self.doc(content)
        return Turn(
            message,
            self.reserved(message.message_id) if reply else None,
            None if key is None else Idempotency(key, fingerprint),
            urgent,
            strict=strict,
        )

    async def send(self, address: RoomAddress, after: int, *, reply: bool = True, claim: Claim = CLAIM_1) -> Appended:
        return await self.rooms.append(address, claim, after, self.turn(reply=reply))

    async def sent(self, address: RoomAddress, count: int) -> list[MessageId]:
        """That many messages without replies, from seq 1."""
        return [(await self.send(address, after, reply=False)).message_id for after in range(count)]

    async def start(self, address: RoomAddress, appended: Appended, attempt: int = 1) -> MessageId:
        assert appended.reply_id is not None
        await self.rooms.start_attempt(address, CLAIM_1, appended.reply_id, appended.seq + 1, attempt)
        return appended.reply_id

    def ending(self, appended: Appended, content: str = "Hi", reason: FinishReason = FinishReason.STOP) -> MessageDoc:
        assert appended.reply_id is not None
        return MessageDoc(appended.reply_id, SenderType.AI, content, self.clock.ms, attempt=1, finish_reason=reason)

    async def complete(self, address: RoomAddress, appended: Appended, content: str = "Hi") -> MessageDoc:
        doc = self.ending(appended, content)
        await self.rooms.complete_reply(address, CLAIM_1, appended.seq + 1, doc, "message.completed")
        return doc

    async def state(self, address: RoomAddress, seq: int) -> MessageState | None:
        found = await self.states.message_state(address.room_id, seq)
        return found[0] if found else None

    async def page(
        self, address: RoomAddress, *, after: int | None = None, before: int | None = None, limit: int = 50
    ) -> CachedPage:
        found = await self.reader.page(address.room_id, after, before, limit)
        assert found is not None
        return found

    async def events(self, address: RoomAddress, after: str = "0-0") -> list[dict[bytes, bytes]]:
        return [fields for _, fields in await self.entries(self.key("events", address), f"({after}")]

    async def event_types(self, address: RoomAddress) -> list[str]:
        return [fields[b"type"].decode() for fields in await self.events(address)]

    async def account_events(self, address: RoomAddress) -> list[tuple[str, str]]:
        entries = await self.entries(self.key("account_events", address))
        return [(fields[b"type"].decode(), fields[b"room"].decode()) for _, fields in entries]

    # The writer

    async def queued(self) -> list[QueueEntry]:
        entries = await self.entries(self.keys.queue(self.partition))
        return [decode_entry(self.partition, entry_id, fields) for entry_id, fields in entries]

    async def begin(self, address: RoomAddress, entries: Sequence[QueueEntry]) -> list[bool]:
        saves = [entry for entry in entries if entry.op == "CHAT_MESSAGE_SAVE" and entry.final]
        marks: list[int | str] = [entry.seq for entry in saves]
        if any(entry.op == "CHAT_ROOM_CREATE" for entry in entries):
            marks.append(ROOM_MARK)
        return await self.queue.begin(LEASE, address, marks)

    async def finish(self, address: RoomAddress, entries: Sequence[QueueEntry]) -> None:
        await self.queue.finish(LEASE, address, entries)

    async def stored(self, address: RoomAddress) -> None:
        """Everything that is queued of the room is committed."""
        mine = [entry for entry in await self.queued() if entry.address.room_id == address.room_id]
        await self.begin(address, mine)
        await self.finish(address, mine)

    # What a shard would say

    def room_row(
        self,
        address: RoomAddress,
        last_seq: int = 0,
        *,
        activity: int | None = None,
        external_id: str | None = None,
    ) -> RoomRow:
        about = (address.room_id, address.account_id, 7, "Stored", "GPT4O", NOW - 1000, activity, last_seq, 3)
        return RoomRow(*about, last_seq, external_id)

    def message_row(self, seq: int, *, deleted: bool = False, version: int = 1) -> MessageRow:
        sender = SenderType.USER if seq % 2 else SenderType.AI
        doc = MessageDoc(self.message_id(), sender, f"message {seq}", NOW - 1000 + seq, version=version)
        return MessageRow(seq, doc, deleted)

    async def forget(self, room_id: RoomId) -> None:
        """As if the room had expired."""
        for name in ("room", "messages", "states", "events", "open", "draft"):
            await self.redis.delete(getattr(self.keys, name)(self.partition, room_id))

    async def close(self) -> None:
        await self.pipeline.close()


def make_settings(url: str, prefix: str) -> Settings:
    """Small numbers, so that limits are reached with few words."""
    return Settings(
        redis=RedisSettings(url=SecretStr(url), prefix=prefix, command_timeout=timedelta(seconds=10)),
        cache=CacheSettings(messages_per_room=50, states_per_room=60, events_per_room=1000),
        queue=QueueSettings(backlog_limit=500),
        rooms=RoomSettings(),
        store=StoreSettings(installation=OURS),
    )
