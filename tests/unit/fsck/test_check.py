"""fsck on a whole domain: nothing is found where nothing is wrong or something only moves, and nothing out of scope."""

from __future__ import annotations

import msgspec
import pytest

from parlor.errors import LlmError
from parlor.fsck import look
from parlor.fsck.check import PAUSE
from parlor.fsck.findings import EntryFinding
from parlor.fsck.look import Scope
from parlor.model.ids import AccountId
from tests.unit.domain import HOME, Domain, crash, settle
from tests.unit.fsck.chat import Chat, check, fsck, kinds
from tests.unit.fsck.test_alarms import other_text, other_title
from tests.unit.fsck.test_repairs import stuck_save

pytestmark = pytest.mark.unit


# Nothing is wrong


async def test_nothing_is_found_in_an_empty_installation(domain: Domain) -> None:
    report = await check(domain)
    assert (report.rooms, report.messages, report.findings) == (0, 0, [])


async def test_nothing_is_found_where_everything_is_stored(chat: Chat) -> None:
    report = await check(chat.domain)
    assert report.findings == []
    assert (report.rooms, report.messages, report.waiting) == (1, 5, 0)


async def test_what_only_redis_keeps_of_a_failed_reply_is_not_found(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    await domain.send(room)
    await settle()
    domain.model.talks[0].fail(LlmError("Too many requests", retry_after=20.2))
    await domain.clock.advance(1)
    await domain.write_all()
    (_, reply) = (await domain.page(room.room_id)).messages
    assert reply.error is not None
    assert reply.error.retry_after_seconds == 21
    assert kinds(await check(domain)) == []


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


# What waits, and what is parked


async def test_each_operation_is_counted_once(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rooms its partition has: they are looked at in batches."""
    domain = chat.domain
    domain.store.poison = lambda batch: any(save.doc.content == "poison" for save in batch.message_saves)
    await domain.say(chat.room, "poison")
    others = [await domain.opened() for _ in range(3)]
    await domain.write_all()
    domain.store.poison = lambda _batch: False
    for room in others:
        await domain.say(room, "waits")
    whole = await check(domain)
    monkeypatch.setattr(look, "BATCH", 1)
    report = await check(domain)
    assert (report.rooms, report.waiting, report.dead_letters) == (4, 3, 1)
    assert (whole.waiting, whole.dead_letters) == (3, 1)
    for scope in (Scope(room_id=chat.room_id), Scope(account_id=AccountId("bob"))):
        scoped = await check(domain, scope)
        expected = (0, 1) if scope.room_id else (0, 0)
        assert (scoped.waiting, scoped.dead_letters) == expected


async def test_what_waits_for_a_room_that_nobody_knows_is_counted(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room)
    await crash(room)
    await domain.forget_room(room.room_id)
    report = await check(domain)
    assert (report.rooms, report.findings) == (0, [])
    assert report.waiting >= 2


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


async def test_the_looks_are_bounded_and_reported(chat: Chat) -> None:
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


async def test_a_stranded_entry_gets_back_into_its_queue(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = chat.domain
    await domain.say(chat.room, "stranded")
    (taken,) = await domain.queue.new([HOME], 10, 1)
    await domain.redis.xack(chat.key("queue"), "writer", str(taken.position))
    report = await check(domain)
    assert kinds(report) == [("I6", "stranded", 0)]
    (finding,) = report.findings
    assert isinstance(finding, EntryFinding)
    assert (finding.partition, finding.position) == (HOME, taken.position)
    repaired = await check(domain, repair=True)
    assert repaired.left == []
    await domain.write_all()
    assert (await domain.rows(chat.room_id))[-1].doc.content == "stranded"
    assert kinds(await check(domain)) == []
