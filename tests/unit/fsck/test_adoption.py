"""Redis and databases that are no longer one installation are made one again, and nothing that a kept side has is lost.

Databases are restored from a backup that was taken while everything ran; Redis has gone on since."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from parlor.cache.audit import AuditCache
from parlor.cache.contents import RedisContents
from parlor.cache.records import text
from parlor.errors import CacheUnavailable, ForeignCache, ShardBehind
from parlor.fsck.adoption import Adoption, Kept
from parlor.fsck.check import PAUSE
from parlor.model.access import AccountRow
from parlor.model.ids import AccountId, Partition, RoomId
from parlor.reading.identity import Identity
from parlor.rooms.room import Room
from tests.unit.domain import HOME, NEIGHBOUR, SHARD, Domain, crash, settle
from tests.unit.fsck.chat import check, fsck
from tests.unit.memory_store import PARTITIONS, MemoryDatabase

pytestmark = pytest.mark.unit

THEIRS = "00000000-0000-4000-8000-00000000000b"
Backup = Callable[[], None]


def back_up(domain: Domain) -> Backup:
    """Takes a copy of every database; what it returns puts the copies back."""
    databases = [domain.store._global, *domain.store._shards.values()]
    connections = [database._connection for database in databases if isinstance(database, MemoryDatabase)]
    copies = [sqlite3.connect(":memory:") for _ in connections]
    for connection, copy in zip(connections, copies, strict=True):
        connection.backup(copy)

    def restore() -> None:
        for connection, copy in zip(connections, copies, strict=True):
            copy.backup(connection)
            copy.close()

    return restore


def adoption(domain: Domain) -> Adoption:
    prefix = domain.settings.redis.prefix
    identity = Identity(domain.live, AuditCache(domain.live, prefix), domain.store)
    return Adoption(domain.live, RedisContents(domain.live, prefix), domain.store, identity, fsck(domain))


async def keep(domain: Domain) -> Kept:
    subject = adoption(domain)
    task = domain.spawn(subject.keep(await subject.look()))
    await settle()
    for _ in range(10):
        if not task.done():
            await domain.clock.advance(PAUSE)
    return await task


async def know(domain: Domain, name: str) -> AccountRow:
    """As the first request of an account does."""
    row = await domain.store.open_account(AccountId(name))
    await domain.reader.remember_session(row)
    return row


async def contents(domain: Domain, room_id: RoomId) -> list[str]:
    return [row.doc.content for row in await domain.rows(room_id)]


async def talked(domain: Domain, *texts: str) -> Room:
    room = await domain.opened()
    for said in texts:
        await domain.say(room, said)
    await domain.write_all()
    return room


async def stopped(domain: Domain, *rooms: Room) -> None:
    """The owners' processes end, as before a backup is restored."""
    for room in rooms:
        await crash(room)


# Both sides are kept


async def test_what_redis_still_has_and_the_backup_does_not_is_put_back(domain: Domain) -> None:
    room = await talked(domain, "one", "two")
    restore = back_up(domain)
    await domain.say(room, "three")
    await domain.write_all()
    later = await talked(domain, "a later room")
    await domain.say(room, "waits")
    await stopped(domain, room, later)
    restore()
    assert await contents(domain, room.room_id) == ["one", "two"]
    with pytest.raises(ShardBehind):
        await adoption(domain)._identity.claim()

    kept = await keep(domain)
    assert (kept.raised, kept.report.left) == (1, [])
    await domain.write_all()
    assert await contents(domain, room.room_id) == ["one", "two", "three", "waits"]
    assert await contents(domain, later.room_id) == ["a later room"]
    assert (await check(domain)).findings == []


async def test_deletes_and_titles_from_after_the_backup_hold(domain: Domain) -> None:
    room, other = await talked(domain, "stays", "goes"), await talked(domain, "goes with its room")
    restore = back_up(domain)
    goes = (await domain.page(room.room_id)).messages[1]
    await domain.delete_message(room, goes.message_id)
    await domain.rename(room, "A newer title")
    await domain.delete_room(other)
    await domain.write_all()
    await stopped(domain, room, other)
    restore()
    await keep(domain)
    await domain.write_all()
    assert await contents(domain, room.room_id) == ["stays", ""]
    row = await domain.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert row.title == "A newer title"
    assert await domain.store.room_get(SHARD, other.room_id) is None


async def test_a_writer_stores_nothing_on_top_of_a_backup_before_it_is_adopted(domain: Domain) -> None:
    room = await talked(domain, "one")
    restore = back_up(domain)
    await domain.say(room, "two")
    await domain.write_all()
    await domain.say(room, "waits")
    restore()
    writer = domain.writer()
    domain.spawn(writer.run())
    await domain.clock.advance(60)
    assert writer.trouble
    assert await contents(domain, room.room_id) == ["one"]
    assert await domain.queued() == 1
    await keep(domain)
    await domain.clock.advance(20)
    assert writer.trouble == ""
    assert await contents(domain, room.room_id) == ["one", "two", "waits"]


async def test_incarnations_go_on_above_what_redis_knows(domain: Domain) -> None:
    room = await talked(domain, "one")
    restore = back_up(domain)
    for _ in range(3):
        opened = await domain.store.open_partition(SHARD, HOME)
        await domain.live.init_partition(HOME, opened.incarnation, opened.applied)
    await domain.say(room, "two")
    await stopped(domain, room)
    restore()
    await keep(domain)
    (progress,) = [row for row in await domain.store.progress(SHARD) if row.partition == HOME]
    assert progress.incarnation == opened.incarnation + 1
    await domain.write_all()
    assert await contents(domain, room.room_id) == ["one", "two"]


async def test_accounts_keep_their_numbers_and_nobody_else_gets_them(domain: Domain) -> None:
    await know(domain, "before")
    restore = back_up(domain)
    lost = await know(domain, "after")
    restore()
    kept = await keep(domain)
    assert (kept.accounts, kept.strangers) == (2, [])
    stranger = await domain.store.open_account(AccountId("stranger"))
    assert stranger.account_db_key > lost.account_db_key
    assert await domain.store.open_account(lost.account_id) == lost


async def test_tokens_that_were_ended_after_the_backup_stay_ended(domain: Domain) -> None:
    restore = back_up(domain)
    row = await know(domain, "ada")
    await domain.reader.remember_session(AccountRow(row.account_id, row.account_db_key, row.partition, 1234))
    restore()
    await keep(domain)
    assert (await domain.store.open_account(row.account_id)).not_before == 1234


async def test_an_account_that_got_another_number_meanwhile_is_told_and_left_alone(domain: Domain) -> None:
    restore = back_up(domain)
    lost = await know(domain, "ada")
    restore()
    taken = await domain.store.open_account(AccountId("eve"))
    assert taken.account_db_key == lost.account_db_key
    kept = await keep(domain)
    assert kept.strangers == ["ada"]
    assert await domain.store.open_account(AccountId("eve")) == taken


async def test_what_neither_side_has_is_told(domain: Domain) -> None:
    room = await talked(domain, "one")
    restore = back_up(domain)
    await domain.say(room, "two")
    await domain.say(room, "three")
    await domain.write_all()
    await stopped(domain, room)
    restore()
    keys = domain.live.keys
    await domain.redis.hdel(keys.messages(HOME, room.room_id), "d:2")
    kept = await keep(domain)
    assert [(finding.invariant, finding.kind) for finding in kept.report.left] == [("I12", "lost")]
    await domain.write_all()
    assert await contents(domain, room.room_id) == ["one", "three"]


async def test_to_adopt_twice_changes_nothing_more(domain: Domain) -> None:
    room = await talked(domain, "one")
    restore = back_up(domain)
    await domain.say(room, "two")
    await domain.write_all()
    await stopped(domain, room)
    restore()
    assert (await keep(domain)).raised == 1
    before = {key: await domain.redis.dump(key) for key in sorted(await domain.redis.keys("*"))}
    again = await keep(domain)
    assert (again.raised, again.report.findings) == (0, [])
    assert {key: await domain.redis.dump(key) for key in sorted(await domain.redis.keys("*"))} == before


async def test_without_a_backup_there_is_nothing_to_do(domain: Domain) -> None:
    room = await talked(domain, "one")
    await domain.say(room, "waits")
    kept = await keep(domain)
    assert (kept.raised, kept.report.findings) == (0, [])
    assert await domain.queued() == 1


# Redis is forgotten


async def foreign(domain: Domain) -> None:
    """Another installation's Redis: rooms, a queue, accounts."""
    await talked(domain, "theirs")
    await domain.reader.remember_session(AccountRow(AccountId("their-account"), 1, HOME))
    for partition in (HOME, NEIGHBOUR):
        await domain.redis.hset(domain.live.keys.partition(partition), "installation", THEIRS)


async def test_another_installations_redis_cannot_be_kept(domain: Domain) -> None:
    await foreign(domain)
    before = {key: await domain.redis.dump(key) for key in sorted(await domain.redis.keys("*"))}
    with pytest.raises(ForeignCache):
        await keep(domain)
    assert {key: await domain.redis.dump(key) for key in sorted(await domain.redis.keys("*"))} == before
    assert (await domain.store.open_account(AccountId("x"))).account_db_key == 1, "no account was put back"


async def test_forgetting_removes_what_has_our_prefix_and_nothing_else(domain: Domain) -> None:
    room = await talked(domain, "ours")
    await foreign(domain)
    prefix = domain.settings.redis.prefix
    others = [f"{prefix}x:{{p0}}:partition", f"{prefix}-other:session:ada", "counter", f"x{prefix}:session:ada"]
    for name in others:
        await domain.redis.set(name, "1")
    subject = adoption(domain)
    found = await subject.look()
    assert (found.contents.rooms, found.contents.waiting, found.contents.holders) == (2, 0, [])
    assert await subject.forget() == found.contents.keys
    left = {text(key) for key in await domain.redis.keys("*")}
    partitions = {domain.live.keys.partition(Partition(number)) for number in range(PARTITIONS)}
    assert left == {*others, *partitions}, "the partitions are this installation's now"
    assert (await subject.look()).survey.foreign == []
    await domain.say(domain.room(room.room_id), "goes on")
    await domain.write_all()
    assert await contents(domain, room.room_id) == ["ours", "goes on"]


async def test_what_an_installation_that_runs_has_is_not_removed(domain: Domain) -> None:
    await foreign(domain)
    await domain.redis.set(domain.live.keys.lease(HOME), "token their/writer-shard1-0")
    before = len(await domain.redis.keys("*"))
    subject = adoption(domain)
    assert (await subject.look()).contents.holders == ["their/writer-shard1-0"]
    with pytest.raises(CacheUnavailable, match="their/writer-shard1-0"):
        await subject.forget()
    assert len(await domain.redis.keys("*")) == before


async def test_a_redis_that_does_not_say_whose_it_is_is_left_to_people(domain: Domain) -> None:
    await domain.live.init_partition(HOME, 7)
    await domain.redis.hdel(domain.live.keys.partition(HOME), "installation")
    assert (await adoption(domain).look()).nameless
    await domain.redis.hset(domain.live.keys.partition(HOME), "installation", await domain.store.installation())
    assert not (await adoption(domain).look()).nameless
