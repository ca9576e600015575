"""A WebSocket through HAProxy and the web server, to the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from parlor_cli import haproxy
from tests.contract.edge.application import SETTINGS, Edge
from tests.integration.socket_client import LONG, connected
from tests.unit.api.bearer_tokens import token
from tests.unit.api.samples import ROOM
from tests.unit.parlor_cli.haproxy_front import a_front_end

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore")]

Open = Callable[..., AbstractAsyncContextManager[Edge]]
TOKEN = token(SETTINGS)


@pytest.fixture
def opened(original: str, tmp_path: Path) -> Open:
    def open_edge(**front: int) -> AbstractAsyncContextManager[Edge]:
        return Edge().open(haproxy.adapt(original, a_front_end(**front)), tmp_path)

    return open_edge


def url(edge: Edge) -> str:
    return f"http://127.0.0.1:{edge.port}"


async def test_frames_pass_and_serve_does_not_read_them(opened: Open) -> None:
    async with asyncio.timeout(LONG), opened() as edge:
        async with connected(url(edge), TOKEN) as socket:
            assert socket.connection.subprotocol == "parlor.v1"
            found = await socket.ask(op="send", ref="c1", room_id=ROOM, content="hello")
            assert (found["status"], found["body"]["message"]["content"]) == (201, "hello")
        assert [headers[b"x-request-disconnect-disabled"] for headers in edge.seen] == [b"?1"]


async def test_a_quiet_socket_outlives_the_time_for_an_answer(opened: Open) -> None:
    quick = {"answer": 300, "stream": 300, "idle": 300}
    async with asyncio.timeout(LONG), opened(**quick) as edge, connected(url(edge), TOKEN) as socket:
        await asyncio.sleep(1.5)
        assert (await socket.ask(op="ping", ref=1))["status"] == 200


def test_a_socket_that_is_silent_for_longer_than_three_pings_is_cut(original: str) -> None:
    from api.socket_server import PING_SECONDS

    assert f"http-request set-timeout tunnel {round(3 * PING_SECONDS * 1000)}" in haproxy.adapt(original, a_front_end())
    longer = haproxy.adapt(original, a_front_end(stream=90_000))
    assert "http-request set-timeout tunnel 90000" in longer


async def test_a_refusal_is_a_problem(opened: Open) -> None:
    async with asyncio.timeout(LONG), opened() as edge:
        with pytest.raises(InvalidStatus) as refused:
            async with connected(url(edge), "x"):
                pass
        response = refused.value.response
        assert (response.status_code, response.headers["content-type"]) == (401, "application/problem+json")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert b'"code":"unauthenticated"' in response.body


async def test_a_frame_that_is_too_long_closes_the_connection(opened: Open) -> None:
    async with asyncio.timeout(LONG), opened() as edge, connected(url(edge), TOKEN) as socket:
        assert socket.connection.protocol.extensions == []
        limit = SETTINGS.api.body_limit
        assert (await socket.ask(op="ping", ref="x" * (limit - 100)))["status"] == 200
        await socket.say(op="ping", ref="x" * limit)
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.frame()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
