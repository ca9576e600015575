"""Every planted fault that can be put right is found by its number, repaired, and gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.unit.domain import SHARD, crash
from tests.unit.fsck.chat import Chat, check, kinds

pytestmark = pytest.mark.unit


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
    assert {getattr(finding, "account_id", None) for finding in report.findings} == {domain.ada.account_id}
    assert {getattr(finding, "room_id", None) for finding in report.findings} == {chat.room_id}
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
