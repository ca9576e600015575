"""The load over sockets speaks WebSocket as a library does."""

from __future__ import annotations

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from parlor_bench.socket_load import Door, SocketSends
from parlor_bench.worker import in_process

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("size", [10, 200, 70_000])
async def test_each_send_is_answered_and_rooms_take_turns(size: int) -> None:
    rooms: list[str] = []
    keys: list[str] = []
    most = 0

    async def answer(connection: ServerConnection) -> None:
        nonlocal most
        assert connection.request is not None
        assert connection.request.headers["Authorization"] == "Bearer t"
        async for text in connection:
            frame = msgspec.json.decode(text)
            assert (frame["op"], len(frame["content"])) == ("send", size)
            rooms.append(frame["room_id"])
            keys.append(frame["idempotency_key"])
            await connection.ping()
            await connection.send(
                msgspec.json.encode({"ref": frame["ref"], "status": 201, "body": "x" * size}).decode()
            )

    async with serve(answer, "127.0.0.1", 0, subprotocols=[Subprotocol("parlor.v1")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        found = await in_process(SocketSends("127.0.0.1", port, [Door("t", ["a", "b"])], 2, 0.3, "x" * size))
    assert found.requests == len(keys) == len(set(keys)) > 2
    assert found.errors == 0
    assert rooms[:4] == ["a", "b", "a", "b"]


async def test_a_refused_handshake_ends_the_run() -> None:
    async def answer(connection: ServerConnection) -> None:
        await connection.close()

    async with serve(answer, "127.0.0.1", 0, subprotocols=[Subprotocol("other")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(RuntimeError, match="handshake"):
            await in_process(SocketSends("127.0.0.1", port, [Door("t", ["a"])], 1, 0.2, "x"))
