"""The list of what waits: whoever knows of a reply, and by what is said of it now."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.errors import StoreUnavailable
from parlor.model.access import Session
from parlor.model.cursors import InvalidCursor
from parlor.model.messages import Message
from parlor.model.requests import WaitingCall, WaitingPage
from parlor.model.tools import ToolState
from parlor.reading.approvals import WaitingCalls
from parlor.rooms.room import Room
from parlor.store.calls import CallStore
from tests.unit.domain import HOME, Domain, crash
from tests.unit.rooms.deciding import decide, parked
from tests.unit.rooms.test_tools import begun, calls_of, passed, reply_of
from tests.unit.scripted_tools import client_tool, tool

pytestmark = pytest.mark.unit

PAY = structs.replace(tool("pay", to=""), approval="always")


@pytest.fixture
def domain(domain: Domain) -> Domain:
    domain.model.tools = (PAY, client_tool())
    return domain


async def page(
    domain: Domain, *, limit: int = 20, cursor: str | None = None, session: Session | None = None
) -> WaitingPage:
    calls = WaitingCalls(domain.reader, CallStore(domain.store), domain.history)
    return await calls.page(session or domain.ada, limit=limit, cursor=cursor)


async def recipients(domain: Domain, limit: int) -> list[list[str]]:
    """The arguments of all pages."""
    pages, cursor = [], None
    while True:
        found = await page(domain, limit=limit, cursor=cursor)
        pages.append([call.part.arguments.split('"')[3] for call in found.calls])
        cursor = found.next_cursor
        if cursor is None:
            return pages


async def waits_for(domain: Domain, *names: str) -> tuple[Room, Message]:
    """A reply in a room of its own, one of whose calls waits for each of these."""
    room = await begun(domain)
    domain.model.talks[-1].call(*(("pay", f'{{"to": "{name}"}}') for name in names))
    await passed(domain)
    return room, await reply_of(domain, room)


@pytest.mark.parametrize("written", [False, True], ids=["only Redis knows", "the shard knows too"])
@pytest.mark.parametrize("emptied", [False, True], ids=["warm", "after Redis came back empty"])
async def test_a_call_that_waits_is_listed_until_it_is_decided(domain: Domain, written: bool, emptied: bool) -> None:
    room, reply, (call,) = await parked(domain, ("pay", '{"to": "Eve"}'))
    if written or emptied:
        await domain.write_all()
    if emptied:
        await crash(room)
        await domain.redis.flushall()
    assert await page(domain) == WaitingPage([WaitingCall(room.room_id, reply.message_id, call)], None)
    owner = domain.room(room.room_id)
    await decide(domain, owner, reply.message_id, call, approve=False)
    assert await page(domain) == WaitingPage([], None), "whatever the shard says still"
    await domain.write_all()
    assert (
        await CallStore(domain.store).waiting(domain.ada.shard_id, domain.ada.account_db_key, start=None, limit=9) == []
    )


@pytest.mark.parametrize("way", ["stop", "delete", "delete room"])
async def test_what_is_stopped_or_deleted_is_not_listed(domain: Domain, way: str) -> None:
    room, reply, _ = await parked(domain, ("pay", '{"to": "Eve"}'))
    await domain.write_all()
    if way == "stop":
        await domain.stop(room, reply.message_id)
    elif way == "delete":
        await domain.delete_message(room, reply.message_id)
    else:
        await domain.delete_room(room)
    assert await page(domain) == WaitingPage([], None)
    await domain.write_all()
    await domain.redis.flushall()
    assert await page(domain) == WaitingPage([], None)


async def test_a_call_that_its_caller_executes_waits_for_no_decision(domain: Domain) -> None:
    await parked(domain, ("browser", "{}"))
    assert await page(domain) == WaitingPage([], None)


async def test_another_account_of_the_partition_has_its_own(domain: Domain) -> None:
    await parked(domain, ("pay", '{"to": "Eve"}'))
    await domain.write_all()
    eve = domain.session("eve")
    assert eve.partition == HOME
    assert await page(domain, session=eve) == WaitingPage([], None)


async def test_while_redis_is_away_what_is_stored_is_listed(domain: Domain) -> None:
    await parked(domain, ("pay", '{"to": "Eve"}'))
    await domain.write_all()
    domain.server.connected = False
    assert [found.part.state for found in (await page(domain)).calls] == [ToolState.WAITING]


async def test_without_its_shard_there_is_no_list(domain: Domain) -> None:
    await parked(domain, ("pay", '{"to": "Eve"}'))
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await page(domain)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 20])
async def test_pages_have_every_call_once_whoever_knows_of_its_reply(domain: Domain, limit: int) -> None:
    await waits_for(domain, "a", "b", "c")
    room, reply = await waits_for(domain, "d", "e")
    await domain.write_all()
    await waits_for(domain, "f")
    await decide(domain, room, reply.message_id, calls_of(reply)[0])
    names = list("abcef")
    assert await recipients(domain, limit) == [names[at : at + limit] for at in range(0, len(names), limit)]


async def test_a_page_goes_on_behind_a_call_that_was_decided_meanwhile(domain: Domain) -> None:
    room, reply = await waits_for(domain, "a", "b", "c")
    first = await page(domain, limit=1)
    await decide(domain, room, reply.message_id, calls_of(reply)[1])
    rest = await page(domain, limit=1, cursor=first.next_cursor)
    assert [call.part for call in rest.calls] == [calls_of(reply)[2]]
    assert rest.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "3", "0199d2a4-8f00-8abc-9def-000000000001", "nothing.1"])
async def test_a_cursor_of_somebody_else_is_refused(domain: Domain, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await page(domain, cursor=cursor)
