"""Replies that have not ended: a shard finds those of the last minutes by their ids."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.model.ids import RoomId, minted_at
from parlor.model.messages import FinishReason, MessageDoc, SenderType
from parlor.store import open_replies
from parlor.store.open_replies import OpenReplies
from parlor.store.ports import MessageDelete, MessageSave
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract


def reserved(fixtures: StoreFixtures) -> MessageDoc:
    """The row that keeps a reply's slot."""
    return structs.replace(fixtures.doc(content="", version=0), sender_type=SenderType.AI)


async def found(fixtures: StoreFixtures, *rooms: RoomId, since: int = 0) -> list[int]:
    """Which of these rooms have open replies; other tests have rooms too."""
    every = await OpenReplies(fixtures.store).rooms(SHARD, since)
    return [number for number, room in enumerate(rooms) if room in every]


async def test_a_reply_is_open_until_its_end_is_stored(fixtures: StoreFixtures) -> None:
    reply = reserved(fixtures)
    asked = await fixtures.room_with(fixtures.doc())
    room = await fixtures.room_with(fixtures.doc(), reply)
    assert await found(fixtures, asked, room) == [1]
    ended = structs.replace(reply, version=1, content="Hello", finish_reason=FinishReason.STOP)
    await fixtures.write(saves=[MessageSave(room, 2, ended)])
    assert await found(fixtures, asked, room) == []


async def test_what_was_deleted_is_not_open(fixtures: StoreFixtures) -> None:
    replies = [reserved(fixtures), reserved(fixtures)]
    rooms = [await fixtures.room_with(reply) for reply in replies]
    assert await found(fixtures, *rooms) == [0, 1]
    tombstone = MessageDelete(rooms[0], 1, replies[0].message_id, 5000)
    await fixtures.write(deletes=[tombstone], room_deletes=[fixtures.delete_room(rooms[1])])
    assert await found(fixtures, *rooms) == []


async def test_only_the_last_minutes_are_looked_at_page_by_page(
    fixtures: StoreFixtures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_replies, "PAGE", 1)
    replies = [reserved(fixtures) for _ in range(4)]
    rooms = [await fixtures.room_with(reply) for reply in replies]
    times = [minted_at(reply.message_id) for reply in replies]
    assert times == sorted(set(times))
    assert await found(fixtures, *rooms, since=times[1]) == [1, 2, 3]
    assert await found(fixtures, *rooms, since=times[3] + 1) == []
