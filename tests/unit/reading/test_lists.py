"""Lists of messages that are no stretch of history, page by page: the versions of one message, and those that wait."""

from __future__ import annotations

import pytest

from parlor.model.cursors import InvalidCursor
from parlor.model.messages import Message, SenderType
from parlor.rooms.room import Room
from tests.unit.domain import Domain
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit

LIMITS = (1, 2, 3, 7, 100)


async def versions(domain: Domain, room: Room, message: Message, limit: int) -> list[list[str]]:
    """Returns the contents of each page."""
    pages, cursor = [], None
    while True:
        page = await domain.history.variants(
            room.room_id, domain.ada.account_id, message.message_id, limit=limit, cursor=cursor
        )
        pages.append([each.content for each in page.messages])
        if (cursor := page.next_cursor) is None:
            return pages


async def waiting(domain: Domain, room: Room, limit: int) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = await domain.history.queued(room.room_id, domain.ada.account_id, limit=limit, cursor=cursor)
        assert {each.sender_type for each in page.messages} <= {SenderType.USER}
        pages.append([each.content for each in page.messages])
        if (cursor := page.next_cursor) is None:
            return pages


@pytest.mark.parametrize("stored", [0, 3, 6], ids=["none stored", "half stored", "all stored"])
async def test_pages_of_versions_have_each_once_and_end_with_the_current_one(domain: Domain, stored: int) -> None:
    room = domain.room(await domain.new_room())
    message = await domain.say(room, "version 0")
    for number in range(1, 7):
        await domain.edit(room, message.message_id, f"version {number}")
        if number == stored:
            await domain.write_all()
    for limit in LIMITS:
        pages = await versions(domain, room, message, limit)
        assert [content for page in pages for content in page] == [f"version {number}" for number in range(7)]
        assert all(0 < len(page) <= limit for page in pages), limit


async def test_pages_of_what_waits_have_each_once_in_order(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    await domain.send(room, "answered")
    await settle()
    expected = [f"waits {number}" for number in range(9)]
    for content in expected:
        await domain.send(room, content)
    for limit in LIMITS:
        pages = await waiting(domain, room, limit)
        assert [content for page in pages for content in page] == expected
        assert all(0 < len(page) <= limit for page in pages), limit


async def test_an_empty_queue_is_one_empty_page(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    assert await waiting(domain, room, 5) == [[]]


@pytest.mark.parametrize("cursor", ["x", "-1", "1-1", "1" * 16, "١", ""])
async def test_a_cursor_of_another_kind_is_refused(domain: Domain, cursor: str) -> None:
    room = domain.room(await domain.new_room())
    message = await domain.say(room, "hello")
    account = domain.ada.account_id
    with pytest.raises(InvalidCursor):
        await domain.history.queued(room.room_id, account, limit=5, cursor=cursor)
    with pytest.raises(InvalidCursor):
        await domain.history.variants(room.room_id, account, message.message_id, limit=5, cursor=cursor)
