"""fsck on a whole domain: nothing is found where nothing is wrong, and every planted fault is found by its number."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
import pytest

from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import LetterCache
from parlor.fsck.check import PAUSE, Fsck, FsckPorts, Report, Scope
from parlor.fsck.room import OVERDUE_MS
from parlor.ids import AccountId, MessageId, RoomId
from parlor.rooms.room import Room
from tests.unit.domain import HOME, SHARD, Domain, crash, settle
from tests.unit.memory_store import MemoryDatabase

pytestmark = pytest.mark.unit


def fsck(domain: Domain, lines: list[str] | None = None) -> Fsck:
    audit = AuditCache(domain.live, domain.settings.redis.prefix)
    ports = FsckPorts(audit, LetterCache(domain.live), domain.store, domain.loader, domain.clock)
    return Fsck(ports, (lines if lines is not None else []).append)


async def check(domain: Domain, scope: Scope = Scope(), *, repair: bool = False) -> Report:  # noqa: B008 - immutable
    task = domain.spawn(fsck(domain).run(scope, repair=repair))
    await settle()
    for _ in range(10):
        if not task.done():
            await domain.clock.advance(PAUSE)
    return await task


def kinds(report: Report) -> list[tuple[str, str, int]]:
    return [(finding.invariant, finding.kind, finding.seq) for finding in report.findings]


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


@pytest.fixture
async def chat(domain: Domain) -> Chat:
    return await Chat(domain).open()


# Nothing is wrong


async def test_nothing_is_found_in_an_empty_installation(domain: Domain) -> None:
    report = await check(domain)
    assert (report.rooms, report.messages, report.findings) == (0, 0, [])


async def test_nothing_is_found_where_everything_is_stored(chat: Chat) -> None:
    report = await check(chat.domain)
    assert report.findings == []
    assert (report.rooms, report.messages, report.waiting) == (1, 5, 0)


async def test_nothing_is_found_in_what_is_on_its_way(chat: Chat) -> None:
    domain = chat.domain
    await domain.send(chat.room, "And?")  # A reply that is being written.
    await domain.rename(chat.room, "Another title")
    await domain.delete_message(chat.room, chat.ids[3])
    other = await domain.opened()  # A room that no shard has.
    await domain.say(other)
    gone = await domain.opened()
    await domain.say(gone)
    await domain.delete_room(gone)
    report = await check(domain)
    assert report.findings == []
    assert report.rooms == 3
    assert report.waiting > 5


async def test_nothing_is_found_in_rooms_that_redis_has_let_go(chat: Chat) -> None:
    domain = chat.domain
    gone = await domain.opened()
    await domain.delete_room(gone)
    await domain.write_all()
    for room in (chat.room, gone):
        await crash(room)
        await domain.forget_room(room.room_id)
    report = await check(domain)
    assert (report.rooms, report.findings) == (2, [])


async def test_a_room_that_was_loaded_while_a_message_waited_counts_it(chat: Chat) -> None:
    domain = chat.domain
    await domain.say(chat.room, "queued")
    await crash(chat.room)
    await domain.forget_room(chat.room_id)
    await domain.loader.load_room(chat.room_id)
    await domain.write_all()
    assert kinds(await check(domain)) == []
    assert (await domain.page(chat.room_id)).messages[-1].content == "queued"


async def test_a_parked_message_is_on_its_way(chat: Chat) -> None:
    domain = chat.domain
    domain.store.poison = lambda batch: any(save.doc.content == "poison" for save in batch.message_saves)
    for content in ("before", "poison", "behind"):
        await domain.say(chat.room, content)
    await domain.write_all()
    report = await check(domain)
    assert report.findings == []
    assert report.dead_letters == 1


async def test_a_parked_create_is_on_its_way(domain: Domain) -> None:
    domain.store.poison = lambda batch: bool(batch.room_creates)
    room = await domain.opened()
    await domain.say(room)
    await domain.write_all()
    report = await check(domain)
    assert report.findings == []
    assert report.dead_letters == 1


# Something is wrong

Plant = Callable[[Chat], Awaitable[None]]


async def lose_rows(chat: Chat) -> None:
    chat.sql("DELETE FROM messages WHERE seq = 3 AND room_id = ?")


async def older_row(chat: Chat) -> None:
    await chat.redoc(5, version=3, content="edited")


async def lost_tombstone(chat: Chat) -> None:
    chat.sql("UPDATE messages SET deleted_at = NULL, content = 'back' WHERE seq = 4 AND room_id = ?")


async def stuck_delete(chat: Chat) -> None:
    await chat.set("states", s_4="DELETING")


async def stuck_save(chat: Chat) -> None:
    await chat.set("states", s_5="PROCESSING")


async def lost_create(chat: Chat) -> None:
    chat.sql("DELETE FROM rooms WHERE room_id = ?")


async def stuck_create(chat: Chat) -> None:
    await chat.set("room", state="PROCESSING")


async def lost_title(chat: Chat) -> None:
    await chat.set("room", title="Renamed", version=2)


async def lost_room_delete(chat: Chat) -> None:
    await chat.domain.delete_room(chat.room)
    await chat.domain.write_all()
    chat.sql("UPDATE rooms SET deleted_at = NULL WHERE room_id = ?")


async def stored_counters(chat: Chat) -> None:
    chat.sql("UPDATE rooms SET message_count = 17, last_seq = 4 WHERE room_id = ?")


async def counters(chat: Chat) -> None:
    await chat.set("room", pending=3, count=17)


async def account_counter(chat: Chat) -> None:
    await chat.set("account", pending=5)


async def expiring(chat: Chat) -> None:
    await chat.domain.say(chat.room)
    await chat.domain.redis.expire(chat.key("room"), 1000)


async def unlisted(chat: Chat) -> None:
    await chat.domain.opened()
    await chat.domain.redis.hset(chat.key("account"), "complete", 1)
    await chat.domain.redis.zrem(chat.key("rooms"), chat.room_id)


async def listed_though_gone(chat: Chat) -> None:
    await chat.domain.delete_room(chat.room)
    await chat.domain.write_all()
    await chat.domain.redis.zadd(chat.key("rooms"), {chat.room_id: 1})


async def listed_though_forgotten(chat: Chat) -> None:
    await listed_though_gone(chat)
    await chat.domain.forget_room(chat.room_id)


async def generating_orphan(chat: Chat) -> None:
    await chat.domain.redis.zadd(chat.key("generating"), {chat.room_id: chat.domain.clock.now_ms()})


async def open_orphan(chat: Chat) -> None:
    await chat.domain.redis.zadd(chat.key("open"), {chat.ids[2]: 2})


async def forgotten_reply(chat: Chat) -> None:
    await chat.domain.send(chat.room, "And?")
    await crash(chat.room)
    await chat.domain.redis.delete(chat.key("open"))
    await chat.domain.redis.zrem(chat.key("generating"), chat.room_id)


async def cold_reply(chat: Chat) -> None:
    await chat.domain.send(chat.room, "And?")
    await chat.domain.write_all()
    await crash(chat.room)
    await chat.domain.forget_room(chat.room_id)
    await chat.domain.redis.zrem(chat.key("generating"), chat.room_id)


REPAIRABLE: dict[str, tuple[Plant, list[tuple[str, str, int]]]] = {
    "a stored message without a row": (lose_rows, [("I12", "lost", 3)]),
    "a row that is older": (older_row, [("I12", "lost", 5)]),
    "a tombstone that is none in the shard": (lost_tombstone, [("I10", "delete", 4)]),
    "a delete that does not end": (stuck_delete, [("I6", "delete", 4)]),
    "a save that does not end": (stuck_save, [("I6", "lost", 5)]),
    "a room without a row": (lost_create, [("I12", "create", 0)]),
    "a create that does not end": (stuck_create, [("I6", "create", 0)]),
    "a title that nobody writes": (lost_title, [("I6", "title", 0)]),
    "a deleted room that is not deleted": (lost_room_delete, [("I10", "delete", 0)]),
    "the shard's counters": (stored_counters, [("I5", "counters", 0)]),
    "the room's counters": (counters, [("I2", "count", 0), ("I2", "pending", 0)]),
    "the account's counter": (account_counter, [("I2", "account-pending", 0)]),
    "a lifetime on what is under way": (expiring, [("I11", "expires", 0)]),
    "a room that no list has": (unlisted, [("I15", "not-listed", 0)]),
    "a room that is gone and listed": (listed_though_gone, [("I9", "listed", 0)]),
    "a room that is forgotten and listed": (listed_though_forgotten, [("I9", "listed", 0)]),
    "a sweep for nothing": (generating_orphan, [("I14", "generating", 0)]),
    "an open reply that has ended": (open_orphan, [("I14", "open", 2)]),
    "a reply that nobody would find": (forgotten_reply, [("I14", "not-generating", 0), ("I14", "not-open", 7)]),
    "a reply in a room that nobody loads": (cold_reply, [("I14", "forgotten", 7)]),
}


@pytest.mark.parametrize("fault", REPAIRABLE)
async def test_a_fault_is_found_repaired_and_gone(chat: Chat, fault: str) -> None:
    domain, (plant, expected) = chat.domain, REPAIRABLE[fault]
    await plant(chat)
    report = await check(domain)
    assert kinds(report) == expected
    assert {finding.account_id for finding in report.findings} == {domain.ada.account_id}
    assert (report.repaired, len(report.left)) == ([], len(expected))

    repaired = await check(domain, repair=True)
    assert kinds(repaired) == expected
    assert repaired.left == []
    await domain.write_all()
    assert kinds(await check(domain)) == []


async def test_a_message_that_is_queued_again_is_stored_as_it_was(chat: Chat) -> None:
    await lose_rows(chat)
    before = await chat.domain.texts(chat.room_id)
    await check(chat.domain, repair=True)
    await chat.domain.write_all()
    assert [row.doc.content for row in await chat.domain.rows(chat.room_id)] == [text for _, text in before]


async def test_the_shards_counters_are_told_again(chat: Chat) -> None:
    await stored_counters(chat)
    await check(chat.domain, repair=True)
    await chat.domain.write_all()
    row = await chat.domain.store.room_get(SHARD, chat.room_id)
    assert row is not None
    assert (row.message_count, row.last_seq) == (4, 5)


async def other_message(chat: Chat) -> None:
    chat.sql("UPDATE messages SET message_id = ? WHERE seq = 3 AND room_id = ?", UUID(chat.ids[5]).bytes)


async def other_text(chat: Chat) -> None:
    await chat.redoc(3, content="my secret")


async def other_title(chat: Chat) -> None:
    await chat.set("room", title="My secret")


async def other_owner(chat: Chat) -> None:
    chat.sql("UPDATE rooms SET account_id = 'eve' WHERE room_id = ?")


async def newer_row(chat: Chat) -> None:
    chat.sql("UPDATE messages SET version = 9 WHERE seq = 5 AND room_id = ?")


async def newer_title(chat: Chat) -> None:
    chat.sql("UPDATE rooms SET version = 9 WHERE room_id = ?")


async def shown_message(chat: Chat) -> None:
    chat.sql("UPDATE messages SET deleted_at = 1 WHERE seq = 5 AND room_id = ?")


async def shown_room(chat: Chat) -> None:
    chat.sql("UPDATE rooms SET deleted_at = 1 WHERE room_id = ?")


async def hole(chat: Chat) -> None:
    chat.sql("DELETE FROM messages WHERE seq = 3 AND room_id = ?")
    await chat.domain.redis.hdel(chat.key("states"), "s:3")


async def cold_hole(chat: Chat) -> None:
    await crash(chat.room)
    await chat.domain.forget_room(chat.room_id)
    chat.sql("DELETE FROM messages WHERE seq = 3 AND room_id = ?")
    chat.sql("UPDATE rooms SET message_count = 3 WHERE room_id = ?")


async def lost_tail(chat: Chat) -> None:
    await chat.set("room", seq=4, count=3, persisted=4)
    await chat.domain.redis.hdel(chat.key("states"), "s:5", f"i:{chat.ids[5]}")


async def lost_position(chat: Chat) -> None:
    await chat.set("partition", next=1)


async def event_ahead(chat: Chat) -> None:
    await chat.domain.redis.xadd(chat.key("events"), {"type": "odd"}, id=f"{chat.domain.clock.now_ms() + 60_000}-0")


async def no_state(chat: Chat) -> None:
    await chat.set("states", s_5="LOST")


async def broken_document(chat: Chat) -> None:
    await chat.domain.redis.hset(chat.key("messages"), "d:5", "{")


async def crossed_index(chat: Chat) -> None:
    await chat.set("states", **{f"i_{chat.ids[3]}": 5})


async def overdue(chat: Chat) -> None:
    await chat.domain.send(chat.room, "And?")
    await crash(chat.room)
    long_ago = chat.domain.clock.now_ms() - OVERDUE_MS - 1
    await chat.domain.redis.zadd(chat.key("generating"), {chat.room_id: long_ago})


async def watermark_ahead(chat: Chat) -> None:
    await chat.set("room", persisted=9)


ALARMS: dict[str, tuple[Plant, list[tuple[str, str, int]]]] = {
    "another message at the same place": (other_message, [("I8", "identity", 3)]),
    "another text in the same version": (other_text, [("I8", "content", 3)]),
    "another title in the same version": (other_title, [("I8", "title", 0)]),
    "another owner": (other_owner, [("I16", "owner", 0)]),
    "a row that is newer": (newer_row, [("I7", "version", 5)]),
    "a title that is newer": (newer_title, [("I7", "title", 0)]),
    "a message that is deleted in the shard only": (shown_message, [("I10", "shown", 5)]),
    "a room that is deleted in the shard only": (shown_room, [("I10", "shown", 0)]),
    "a message that is nowhere": (hole, [("I1", "hole", 3)]),
    "a message that is nowhere, in a cold room": (cold_hole, [("I1", "hole", 3)]),
    "the last message is not known": (lost_tail, [("I1", "behind", 0)]),
    "positions that went back": (lost_position, [("I7", "position", 0)]),
    "events that went back": (event_ahead, [("I7", "event", 0)]),
    "a state that is none": (no_state, [("I13", "state", 5)]),
    "a document that is none": (broken_document, [("I8", "unreadable", 5)]),
    "an id that leads elsewhere": (crossed_index, [("I8", "index", 5)]),
    "a reply that nobody takes up": (overdue, [("I14", "overdue", 0)]),
    "a watermark beyond the room's end": (watermark_ahead, [("I12", "persisted", 0)]),
}


@pytest.mark.parametrize("fault", ALARMS)
async def test_an_alarm_is_found_and_left_to_people(chat: Chat, fault: str) -> None:
    domain, (plant, expected) = chat.domain, ALARMS[fault]
    await plant(chat)
    redis = {key: await domain.redis.dump(key) for key in sorted(await domain.redis.keys("*"))}
    report = await check(domain, repair=True)
    assert kinds(report) == expected
    assert all(finding.repair is None for finding in report.findings)
    assert report.left == report.findings
    assert {key: await domain.redis.dump(key) for key in sorted(await domain.redis.keys("*"))} == redis


# While the system runs


async def test_what_moves_on_between_two_looks_is_not_reported(chat: Chat) -> None:
    await stuck_save(chat)
    task = chat.domain.spawn(fsck(chat.domain).run(Scope()))
    await settle()
    assert not task.done()
    await chat.set("states", s_5="SENT")
    await chat.domain.clock.advance(PAUSE)
    assert (await task).findings == []


async def test_a_counter_that_moves_is_not_reported(chat: Chat) -> None:
    await chat.set("room", pending=1)
    task = chat.domain.spawn(fsck(chat.domain).run(Scope()))
    await settle()
    for wrong in (2, 3):
        await chat.set("room", pending=wrong)
        await chat.domain.clock.advance(PAUSE)
    assert (await task).findings == []


async def test_the_looks_are_bounded_and_told(chat: Chat) -> None:
    lines: list[str] = []
    await other_text(chat)
    task = chat.domain.spawn(fsck(chat.domain, lines).run(Scope()))
    await chat.domain.clock.advance(2 * PAUSE)
    assert len((await task).findings) == 1
    assert [line.split(":")[0] for line in lines] == ["1 rooms in 4 partitions", "look 2", "look 3"]


async def test_findings_say_nothing_of_what_anybody_said(chat: Chat) -> None:
    await other_text(chat)
    await other_title(chat)
    report = await check(chat.domain)
    assert len(report.findings) == 2
    assert b"secret" not in msgspec.json.encode(report).lower()


# Scopes


async def test_a_scope_looks_at_nothing_else(chat: Chat) -> None:
    domain = chat.domain
    bob = domain.session("bob")
    other = domain.room(await domain.new_room(bob))
    await domain.write_all()
    await other_text(chat)
    of_bob = await check(domain, Scope(account_id=AccountId("bob")))
    assert (of_bob.rooms, of_bob.findings) == (1, [])
    of_room = await check(domain, Scope(room_id=other.room_id))
    assert (of_room.rooms, of_room.findings) == (1, [])
    assert kinds(await check(domain, Scope(account_id=domain.ada.account_id))) == [("I8", "content", 3)]
    assert kinds(await check(domain, Scope(room_id=chat.room_id))) == [("I8", "content", 3)]


async def test_a_stranded_entry_gets_back_into_line(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = chat.domain
    await domain.say(chat.room, "stranded")
    (taken,) = await domain.queue.new([HOME], 10, 1)
    await domain.redis.xack(chat.key("queue"), "writer", str(taken.position))
    report = await check(domain)
    assert kinds(report) == [("I6", "stranded", HOME)]
    repaired = await check(domain, repair=True)
    assert repaired.left == []
    await domain.write_all()
    assert (await domain.rows(chat.room_id))[-1].doc.content == "stranded"
    assert kinds(await check(domain)) == []
