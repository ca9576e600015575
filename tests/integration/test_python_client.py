"""``parlor.client`` on a running Parlor: what it promises through a network that cuts, and every call once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from uuid import uuid4

import pytest

from parlor.client import (
    AsyncClient,
    Client,
    Conflict,
    Event,
    FilePart,
    NewMessage,
    NotFound,
    Refused,
    Retries,
    Unauthenticated,
)
from tests.both_clients import KINDS as CLIENTS
from tests.both_clients import Clients, folded
from tests.both_sockets import connected
from tests.browser.cutting_proxy import CuttingProxy
from tests.installation import Installation
from tests.integration.user import User
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("private",)
SLOW = "[[tokens=80 delay=5ms]]"


@pytest.fixture
async def client(installation: Installation) -> AsyncIterator[AsyncClient]:
    """An account of its own."""
    token = installation.token(f"client-{uuid4().hex}")
    async with AsyncClient(installation.base_url, token) as found:
        yield found


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_reply_is_whole_through_a_network_that_cuts(kind: str, installation: Installation, user: User) -> None:
    room = await user.create_room()
    async with CuttingProxy(installation.base_url, 700) as proxy:
        clients = Clients(kind, proxy.base_url, installation.token(user.account), Retries(tries=100))
        found = await clients.read(lambda client: client.ask(room, SLOW))
    assert proxy.cuts >= 3
    stored = (await user.history(room))[1]
    assert len(stored["content"].split()) == 80
    assert folded(found.deltas) == found.text == stored["content"]
    assert "reset" not in {delta.type for delta in found.deltas}


async def test_a_reply_is_stopped_continued_and_begun_anew(client: AsyncClient) -> None:
    room = (await client.create_room("Revised")).room_id
    reply = await client.ask(room, "[[tokens=400 delay=20ms]]")
    async for _ in reply:
        if reply.text:
            await reply.stop()
    assert reply.message is not None
    assert reply.message.finish_reason == "stopped"
    assert reply.text == reply.message.content
    again = await client.continue_reply(room, reply.message_id)
    message = await again.result()
    assert message.attempt == 2
    assert again.text == message.content
    edited = await client.edit(room, reply.message.parent_message_id or "", "[[text=Short]]")
    assert edited.reply is not None
    assert (await client.reply(room, edited.reply.message_id, attempt=edited.reply.attempt).result()).content == "Short"
    anew = await client.regenerate(room, reply.message_id)
    assert (await anew.result()).content == "Short"
    assert len([each async for each in client.variants(room, reply.message_id)]) == 4


@pytest.mark.parametrize("kind", CLIENTS)
async def test_one_connection_that_is_cut_loses_and_repeats_nothing(
    kind: str, installation: Installation, user: User
) -> None:
    rooms = [await user.create_room() for _ in range(3)]
    expected = [[f"{n}" for n in range(90) if n % 3 == at] for at in range(3)]
    messages = [NewMessage(rooms[n % 3], f"{n}", reply="none") for n in range(90)]
    async with CuttingProxy(installation.base_url, 2000) as proxy:
        token, retries = installation.token(user.account), Retries(tries=100)
        async with connected(kind, proxy.base_url, token, waits=True, retries=retries) as socket:
            follow = {room: (await user.messages(room))["cursor"] for room in rooms}
            reading = [asyncio.create_task(contents(socket.room_events(*each))) for each in follow.items()]
            sent = [each.message.content async for each in socket.send_many(messages)]
            found = await asyncio.gather(*reading)
    assert proxy.cuts >= 3
    assert sent == [f"{n}" for n in range(90)]
    assert [[each["content"] for each in await user.history(room)] for room in rooms] == expected
    assert found == expected


async def contents(events: AsyncGenerator[Event]) -> list[str]:
    """The first 30 messages that are created."""
    found: list[str] = []
    async with aclosing(events):
        async for event in events:
            if event.type == "message.created" and event.message is not None:
                found.append(event.message.content)
                if len(found) == 30:
                    break
    return found


async def test_the_same_key_is_the_same_message(client: AsyncClient) -> None:
    room = (await client.create_room("Once")).room_id
    first = await client.send(room, "hello", reply="none", idempotency_key="one")
    second = await client.send(room, "hello", reply="none", idempotency_key="one")
    assert (first.replayed, second.replayed) == (False, True)
    assert first.message.message_id == second.message.message_id
    with pytest.raises(Refused, match="idempotency-mismatch"):
        await client.send(room, "another", reply="none", idempotency_key="one")
    assert [message.content async for message in client.history(room)] == ["hello"]


async def test_rooms_and_files_are_as_the_server_has_them(client: AsyncClient) -> None:
    begin = (await client.list_rooms()).events_cursor
    room = await client.create_room("Tea", external_id="tea")
    found = await client.find_room("tea")
    assert found is not None
    assert (found.room_id, found.external_id) == (room.room_id, "tea")
    renamed = await client.update_room(room.room_id, title="Green tea")
    assert [each.title async for each in client.rooms()] == [renamed.title] == ["Green tea"]
    async for event in client.account_events(begin):
        if event.type == "room.updated":
            assert event.room is not None
            assert event.room.title == "Green tea"
            break
    file = await client.upload("leaves.txt", b"green leaves")
    assert await client.download(file.file_id) == b"green leaves"
    sent = await client.send(room.room_id, "Which leaves?", files=[file], wait=30)
    assert sent.reply is not None
    assert [part.name for part in sent.message.parts if isinstance(part, FilePart)] == ["leaves.txt"]
    assert "Which leaves?" in await client.export(room.room_id)

    async def look() -> list[str]:
        return [found.snippet async for found in client.search("leaves?")]

    await eventually(look, lambda found: any("Which leaves?" in snippet for snippet in found))
    await client.delete_file(file.file_id)
    await client.delete_room(room.room_id)
    assert [found async for found in client.rooms()] == []


async def test_what_is_refused_says_why_and_which_request_it_was(
    client: AsyncClient, installation: Installation
) -> None:
    with pytest.raises(NotFound) as caught:
        await client.get_room("01a206a0-a173-8028-a2bd-422167e3e2bb")
    assert caught.value.code == "room-not-found"
    assert caught.value.request_id
    room = (await client.create_room("Busy")).room_id
    reply = await client.ask(room, "[[tokens=400 delay=20ms]]")
    with pytest.raises(Conflict, match="room-busy"):
        await client.send(room, "now", on_busy="reject")
    await reply.stop()
    with Client(installation.base_url, "nonsense") as stranger, pytest.raises(Unauthenticated):
        stranger.list_rooms()
