"""``GET /v1/socket`` of an installation: sends and events through HAProxy, and a client that is cut again and again."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.cut_proxy import CutProxy
from tests.installation import Installation
from tests.integration.socket_client import LONG, SocketClient, connected
from tests.integration.user import User

pytestmark = pytest.mark.integration
KINDS = ("private",)
"""Once is enough for what is the same program; with the servers that most people run."""

SENDS = 60
SEED = int(os.environ.get("PARLOR_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
ENDS = ("message.completed", "message.failed", "message.stopped")


async def test_a_conversation_over_one_connection(installation: Installation, user: User) -> None:
    room, other = await user.create_room("one"), await user.create_room("two")
    async with asyncio.timeout(2 * LONG), connected(installation.base_url, None) as socket:
        await socket.say(op="authenticate", token=installation.token(user.account))
        for ref, of in ((1, room), (2, other)):
            assert (await socket.ask(op="subscribe", ref=ref, room_id=of))["status"] == 200
        sent = await socket.ask(op="send", ref="a", room_id=room, content="[[tokens=3]] hello")
        assert sent["status"] == 201
        kinds = await kinds_until_the_end(socket, room)
        assert (kinds[0], kinds[-1]) == ("message.created", "message.completed") or kinds[-1] in ENDS
        assert await socket.ask(op="ping", ref="p") == {"ref": "p", "status": 200, "body": {"errorCode": 0}}
        assert (await socket.ask(op="send", ref="b", room_id=other, content="x", reply="none"))["status"] == 201
    assert [message["content"] for message in await user.history(other)] == ["x"]
    reply = await user.message(room, sent["body"]["reply"]["message_id"])
    assert reply["finish_reason"] == "stop"


async def kinds_until_the_end(socket: SocketClient, room: str) -> list[str]:
    """What happened in the room until a reply has ended."""
    kinds: list[str] = []
    while not kinds or kinds[-1] not in ENDS:
        frame = await socket.frame()
        if frame.get("room_id") == room:
            kinds.append(frame["event"])
    return kinds


async def test_strangers_are_refused(installation: Installation, user: User, stranger: User) -> None:
    room = await user.create_room("mine")
    with pytest.raises(InvalidStatus) as refused:
        async with connected(installation.base_url, "no token"):
            pass
    response = refused.value.response
    assert (response.status_code, response.headers["content-type"]) == (401, "application/problem+json")
    async with asyncio.timeout(LONG), connected(installation.base_url, installation.token(stranger.account)) as socket:
        for frame in ({"op": "send", "content": "x"}, {"op": "subscribe"}):
            assert (await socket.ask(**frame, ref=1, room_id=room))["body"]["code"] == "room-not-found"


class Cut:
    """Sends one message after the other through a proxy that cuts; sends what was not answered again, with its key."""

    def __init__(self, proxy: CutProxy, token: str, room: str) -> None:
        self._url = f"http://127.0.0.1:{proxy.port}"
        self._token = token
        self._room = room
        self._rng = random.Random(SEED)
        self._cursor: str | None = None
        self.acknowledged: dict[int, str] = {}
        self.created: list[str] = []
        """The contents of the messages, as events told of them."""
        self.connections = 0

    async def run(self) -> None:
        while len(self.acknowledged) < SENDS or len(self.created) < SENDS:
            self.connections += 1
            try:
                # The handshake's answer has about 250 bytes.
                cut = self._rng.randrange(100, 12_000)
                async with connected(self._url, self._token, x_cut_after=str(cut)) as socket:
                    await self._talk(socket)
            except (ConnectionClosed, InvalidHandshake, OSError, EOFError):
                continue

    async def _talk(self, socket: SocketClient) -> None:
        after = {} if self._cursor is None else {"after": self._cursor}
        await socket.say(op="subscribe", ref="s", room_id=self._room, **after)
        while self._cursor is None:
            # Without a place in the log to come back to, an event of what is sent now could be missed for ever.
            self._take(await socket.frame())
        for number in range(SENDS):
            if number not in self.acknowledged:
                what = {"content": f"message {number}", "reply": "none", "idempotency_key": f"key-{number}"}
                await socket.say(op="send", ref=number, room_id=self._room, **what)
        while len(self.acknowledged) < SENDS or len(self.created) < SENDS:
            self._take(await socket.frame())

    def _take(self, frame: dict[str, Any]) -> None:
        match frame:
            case {"ref": "s", "body": {"cursor": cursor}}:
                self._cursor = self._cursor or cursor
            case {"ref": int(number), "status": 200 | 201, "body": {"message": {"message_id": message_id}}}:
                assert self.acknowledged.setdefault(number, message_id) == message_id
            case {"event": "message.created", "id": cursor, "data": {"message": {"content": content}}}:
                self._cursor = cursor
                self.created.append(content)
            case {"id": cursor}:
                self._cursor = cursor
            case _:
                raise AssertionError(f"seed {SEED}: {frame}")


async def test_a_client_that_is_cut_sends_each_message_once_in_order_and_misses_no_event(
    installation: Installation, user: User
) -> None:
    room = await user.create_room("cut")
    where = urlsplit(installation.base_url)
    async with asyncio.timeout(4 * LONG), CutProxy(where.hostname or "", where.port or 80) as proxy:
        client = Cut(proxy, installation.token(user.account), room)
        await client.run()
    wanted = [f"message {number}" for number in range(SENDS)]
    history = await user.history(room)
    assert [message["content"] for message in history] == wanted, f"seed {SEED}"
    assert [client.acknowledged[number] for number in range(SENDS)] == [each["message_id"] for each in history]
    assert client.created == wanted, f"seed {SEED}"
    assert client.connections > 3, f"seed {SEED}"
