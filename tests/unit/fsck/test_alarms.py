"""What nothing can put right safely is found by its number, and left to people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from parlor.fsck.bookkeeping import OVERDUE_MS
from tests.unit.domain import crash
from tests.unit.fsck.chat import Chat, check, kinds

pytestmark = pytest.mark.unit


Plant = Callable[[Chat], Awaitable[None]]


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


async def another_installation(chat: Chat) -> None:
    await chat.set("partition", installation="00000000-0000-4000-8000-00000000000b")


async def restored_shard(chat: Chat) -> None:
    await chat.set("partition", incarnation=9)


async def restored_shard_of_the_same_incarnation(chat: Chat) -> None:
    await chat.set("partition", applied="1-900")


ALARMS: dict[str, tuple[Plant, list[tuple[str, str, int]]]] = {
    "another message with the same seq": (other_message, [("I8", "identity", 3)]),
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
    "a partition of another installation": (another_installation, [("I21", "foreign", 0)]),
    "a shard that has forgotten an incarnation": (restored_shard, [("I21", "behind", 0)]),
    "a shard that has forgotten batches": (restored_shard_of_the_same_incarnation, [("I21", "behind", 0)]),
}


@pytest.mark.parametrize("fault", ALARMS)
async def test_an_alarm_is_found_and_left_to_people(chat: Chat, fault: str) -> None:
    domain, (plant, expected) = chat.domain, ALARMS[fault]
    await plant(chat)
    redis = {key: await domain.redis.dump(key) for key in sorted(await domain.redis.keys("*"))}
    report = await check(domain, repair=True)
    assert kinds(report) == expected
    assert all(finding.remedy is None for finding in report.findings)
    assert report.left == report.findings
    assert {key: await domain.redis.dump(key) for key in sorted(await domain.redis.keys("*"))} == redis
