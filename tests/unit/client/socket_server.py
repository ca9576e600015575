"""A server of ``/v1/socket`` on a real WebSocket, that answers by script, and cuts where the script says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.unit.client.scripted_server import Json, message

SUBPROTOCOL = "parlor.v1"


def problem(status: int, code: str, **more: object) -> Json:
    return {"status": status, "code": code, "errorCode": 1, "detail": f"it is {code}", "request_id": "req-1", **more}


class Peer:
    """One connection, from the server's side."""

    def __init__(self, connection: ServerConnection, number: int) -> None:
        self.connection = connection
        self.number = number
        """Which it is, from 1."""

    async def frame(self) -> Json:
        found: Json = json.loads(await self.connection.recv())
        return found

    async def say(self, **fields: Any) -> None:
        await self.connection.send(json.dumps(fields))

    async def answer(self, frame: Json, status: int = 200, **body: object) -> None:
        await self.say(ref=frame["ref"], status=status, body={**body, "errorCode": 0})

    async def refuse(self, frame: Json, status: int, code: str, **more: object) -> None:
        await self.say(ref=frame["ref"], status=status, body=problem(status, code, **more))

    async def event(self, number: int, kind: str = "message.created", room_id: str = "room-1", **data: object) -> None:
        await self.say(room_id=room_id, id=f"1-{number}", event=kind, data=data)

    def part(self, size: int, **fields: Any) -> None:
        """The first bytes of a frame; there will be no more of it."""
        self.connection.transport.write(Frame(Opcode.TEXT, json.dumps(fields).encode()).serialize(mask=False)[:size])

    def cut(self) -> None:
        """What was written still leaves; then the connection breaks without a word."""
        self.connection.transport.close()


Script: TypeAlias = Callable[[Peer, Json], Awaitable[None]]


class SocketServer:
    """``script`` answers each frame; ``frames`` has them all, ``handshakes`` the headers of all connections."""

    def __init__(self, script: Script, admit: Callable[[Request], Response | None] = lambda _: None) -> None:
        self._script = script
        self._admit = admit
        self._server: Server | None = None
        self.frames: list[Json] = []
        self.handshakes: list[Request] = []
        self.ended: list[asyncio.Event] = []
        self._peers: list[Peer] = []

    @property
    def base_url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            process_request=self._process,
            compression=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def cut(self) -> None:
        """Cuts the newest connection, and waits for its end."""
        self._peers[-1].cut()
        await asyncio.wait_for(self.ended[-1].wait(), 10)

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        del connection
        self.handshakes.append(request)
        return self._admit(request)

    async def _serve(self, connection: ServerConnection) -> None:
        ended = asyncio.Event()
        self.ended.append(ended)
        peer = Peer(connection, len(self.ended))
        self._peers.append(peer)
        try:
            while True:
                frame = await peer.frame()
                self.frames.append(frame)
                await self._script(peer, frame)
        except ConnectionClosed:
            return
        finally:
            ended.set()


class Store:
    """Keeps what is sent by its key, as Parlor does."""

    def __init__(self) -> None:
        self.kept: dict[str, list[str]] = {}
        """Contents by room, in the order in which they came first."""
        self._keys: set[str] = set()

    async def __call__(self, peer: Peer, frame: Json) -> None:
        await peer.say(**self.answer(frame))

    def answer(self, frame: Json) -> Json:
        """To a send, which is kept with it."""
        assert frame["op"] == "send"
        room, content, key = frame["room_id"], frame["content"], frame["idempotency_key"]
        status = 200 if key in self._keys else 201
        if status == 201:
            self._keys.add(key)
            self.kept.setdefault(room, []).append(content)
        found = message(message_id=f"m-{content}", room_id=room, sender_type="USER", content=content)
        return {"ref": frame["ref"], "status": status, "body": {"message": found, "reply": None, "cursor": "1-1"}}


def response(status: int, body: Json, headers: dict[str, str] | None = None) -> Response:
    """Instead of a WebSocket."""
    text = json.dumps(body).encode()
    found = Headers({**(headers or {}), "Content-Length": str(len(text))})
    return Response(status, HTTPStatus(status).phrase, found, text)
