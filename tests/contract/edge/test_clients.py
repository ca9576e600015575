"""Clients that take their time, take too many connections, or say that they are somebody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from parlor.settings.connections import ConnectionSettings
from parlor_cli import haproxy
from tests.contract.edge.application import AUTHORIZED, CLOSE, LONG, PATH, SETTINGS, Answer, Edge
from tests.integration.waiting import eventually
from tests.servers import free_ports
from tests.unit.parlor_cli.haproxy_front import a_front_end

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore")]

SHORT = 600
"""Milliseconds: the limit that a test reaches."""
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + CLOSE
SEND = b"POST " + PATH + b"/messages HTTP/1.1\r\n" + AUTHORIZED + b"Content-Type: application/json\r\n"

Open = Callable[..., AbstractAsyncContextManager[Edge]]


@pytest.fixture
def opened(original: str, tmp_path: Path) -> Open:
    @contextlib.asynccontextmanager
    async def opened(edge: Edge | None = None, **front: Any) -> AsyncIterator[Edge]:
        async with (edge or Edge()).open(haproxy.adapt(original, a_front_end(**front)), tmp_path) as found:
            yield found

    return opened


async def test_a_head_that_does_not_end_is_given_up(opened: Open) -> None:
    async with opened(head=SHORT) as edge:
        raw, seconds = await edge.trickle(b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a")
    assert Answer(raw).status == 408
    assert SHORT / 1000 <= seconds < LONG / 2
    assert edge.seen == []


async def test_a_connection_that_says_nothing_is_closed_without_a_word(opened: Open) -> None:
    async with opened(head=SHORT) as edge:
        raw, seconds = await edge.trickle(b"", b"")
    assert raw == b""
    assert SHORT / 1000 <= seconds < LONG / 2


async def test_a_connection_is_kept_for_another_request_only_so_long(opened: Open) -> None:
    async with opened(idle=SHORT) as edge:
        raw, seconds = await edge.trickle(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"")
    assert Answer(raw).status == 200
    assert SHORT / 1000 <= seconds < LONG / 2


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"Content-Length: 5000\r\n\r\n{", b" "),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n"),
    ],
)
async def test_a_body_that_does_not_come_keeps_no_replica_busy(opened: Open, begin: bytes, drop: bytes) -> None:
    async with opened(body=SHORT) as edge:
        raw, seconds = await edge.trickle(SEND + begin, drop)
    answer = Answer(raw)
    assert (answer.status, answer.problem()["code"]) == (408, "invalid-request")
    assert answer.headers["connection"] == "close"
    assert SHORT / 1000 <= seconds < LONG / 2
    assert edge.seen == []


async def test_a_long_body_that_stops_halfway_is_given_up_by_the_replica(opened: Open) -> None:
    connections = ConnectionSettings(body_timeout=timedelta(milliseconds=SHORT))
    edge = Edge(SETTINGS.model_copy(update={"connections": connections}))
    async with opened(edge):
        raw, seconds = await edge.trickle(SEND + b"Content-Length: 100000\r\n\r\n{" + b" " * 40_000, b" ")
    answer = Answer(raw)
    assert (answer.status, answer.problem()["code"]) == (408, "invalid-request")
    assert SHORT / 1000 <= seconds < LONG / 2
    assert len(edge.seen) == 1


async def test_a_client_that_waits_for_a_100_gets_it(opened: Open) -> None:
    body = b'{"content": "x"}'
    async with opened() as edge:
        reader, writer = await edge.connect()
        writer.write(SEND + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        async with asyncio.timeout(LONG):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(body)
            assert b"HTTP/1.1 201 " in await reader.read()
        writer.close()


async def test_a_client_that_waits_for_a_100_and_is_refused_need_not_send_its_body(opened: Open) -> None:
    head = SEND.replace(b"Bearer ", b"Bearer not-") + b"Connection: close\r\nExpect: 100-continue\r\n"
    async with opened() as edge:
        reader, writer = await edge.connect()
        writer.write(head + b"Content-Length: 5000\r\n\r\n")
        async with asyncio.timeout(LONG):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(Answer(head).headers["content-length"]))
        writer.close()
    answer = Answer(head + body)
    assert (answer.status, answer.problem()["code"]) == (401, "unauthenticated")


async def test_a_body_that_does_not_come_after_a_100_is_given_up_by_the_replica(opened: Open) -> None:
    connections = ConnectionSettings(body_timeout=timedelta(milliseconds=SHORT))
    async with opened(Edge(SETTINGS.model_copy(update={"connections": connections}))) as edge:
        raw, seconds = await edge.trickle(SEND + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n{", b" ")
    answer = Answer(raw.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert (answer.status, answer.problem()["code"]) == (408, "invalid-request")
    assert SHORT / 1000 <= seconds < LONG / 2


async def _stay(edge: Edge, source: str, stack: contextlib.ExitStack) -> bool:
    """Connects, asks, and stays connected until the end; whether there was an answer."""
    try:
        reader, writer = await edge.connect(source=source)
        stack.callback(writer.close)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(LONG):
            return (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


async def test_one_address_leaves_connections_for_the_others(opened: Open) -> None:
    async with opened(per_address=3, proxies=["127.0.0.1"]) as edge:
        with contextlib.ExitStack() as stack:
            assert [await _stay(edge, "127.0.0.2", stack) for _ in range(6)] == [True] * 3 + [False] * 3
            assert await _stay(edge, "127.0.0.3", stack)
            assert [await _stay(edge, "127.0.0.1", stack) for _ in range(6)] == [True] * 6

        async def again() -> bool:
            with contextlib.ExitStack() as stack:
                return await _stay(edge, "127.0.0.2", stack)

        await eventually(again, bool)


async def test_health_is_answered_when_every_connection_is_taken(opened: Open) -> None:
    (health,) = free_ports(1)
    async with opened(connections=20, head=7_000, health=f"127.0.0.1:{health}") as edge:
        taken = [await edge.connect() for _ in range(60)]
        for _, writer in taken:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        for path, status in ((b"/healthz", 200), (b"/readyz", 200), (b"/v1/rooms", 404), (b"/", 404)):
            answer = await edge.say(b"GET " + path + b" HTTP/1.1\r\n" + AUTHORIZED + CLOSE, port=health)
            assert answer.status == status
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await edge.say(HEALTH)
        # Those that are in the way are given up in time.
        assert (await edge.say(HEALTH)).status == 200
        for _, writer in taken:
            writer.close()


@pytest.mark.parametrize(
    ("source", "given", "address"),
    [
        ("127.0.0.1", b"", b"127.0.0.1"),
        ("127.0.0.2", b"X-Parlor-Address: 192.0.2.1\r\nx-parlor-address: 192.0.2.2\r\n", b"127.0.0.2"),
        ("127.0.0.2", b"X-Forwarded-For: 192.0.2.1\r\n", b"127.0.0.2"),
        ("127.0.0.1", b"X-Forwarded-For: 192.0.2.1\r\n", b"192.0.2.1"),
        ("127.0.0.1", b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2, 2001:db8::7\r\n", b"2001:db8::7"),
        ("127.0.0.1", b"X-Forwarded-For: 192.0.2.1, \xff\xfe\r\n", b"127.0.0.1"),
        ("127.0.0.1", b"X-Forwarded-For: unknown\r\nX-Parlor-Address: 192.0.2.1\r\n", b"127.0.0.1"),
    ],
)
async def test_a_replica_learns_the_clients_address(opened: Open, source: str, given: bytes, address: bytes) -> None:
    async with opened(proxies=["127.0.0.1"]) as edge:
        answer = await edge.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + given + CLOSE, source=source)
        assert answer.status == 200
        assert [headers[b"x-parlor-address"] for headers in edge.seen] == [address]


@pytest.mark.parametrize(
    ("request_line", "headers", "watched"),
    [
        (b"POST " + PATH + b"/messages", b"Content-Length: 0\r\n", False),
        (b"GET " + PATH + b"/events", b"", False),
        (b"GET /v1/events", b"", False),
        (b"POST " + PATH + b"/messages", b"Content-Length: 0\r\nPrefer: wait=1\r\n", True),
        (b"GET " + PATH + b"/messages", b"", True),
        (b"POST /v1/rooms", b"Content-Length: 0\r\n", True),
        (b"GET /v1/rooms", b"X-Request-Disconnect-Disabled: ?1\r\n", True),
    ],
)
async def test_what_looks_after_its_client_itself_is_not_watched_by_serve(
    opened: Open, request_line: bytes, headers: bytes, watched: bool
) -> None:
    async with opened() as edge:
        await edge.say(request_line + b" HTTP/1.1\r\nHost: x\r\n" + headers + CLOSE)
        assert [found.get(b"x-request-disconnect-disabled") for found in edge.seen] == [None if watched else b"?1"]


@pytest.mark.parametrize(("source", "said"), [("127.0.0.1", b"https"), ("127.0.0.2", None)])
async def test_a_replica_hears_of_tls_from_known_proxies_alone(opened: Open, source: str, said: bytes | None) -> None:
    async with opened(proxies=["127.0.0.1"]) as edge:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n" + CLOSE
        assert (await edge.say(request, source=source)).status == 200
        assert [headers.get(b"x-forwarded-proto") for headers in edge.seen] == [said]


@pytest.mark.parametrize("pause", [SHORT / 3000, SHORT * 1.5 / 1000])
async def test_an_upload_takes_longer_than_an_answer_may(opened: Open, pause: float) -> None:
    """The first piece fills HAProxy's buffer; what comes behind it goes to the replica, which has limits of its own."""
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    pieces = [form + b"x" * 40_000, *[b"y" * 1000] * 4, b"\r\n--b--\r\n"]
    async with opened(answer=SHORT, body=SHORT) as edge:
        reader, writer = await edge.connect()
        length = b"Content-Length: %d\r\n" % sum(map(len, pieces))
        kind = b"Content-Type: multipart/form-data; boundary=b\r\n"
        writer.write(b"POST /v1/files HTTP/1.1\r\n" + AUTHORIZED + kind + length + CLOSE)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        async with asyncio.timeout(LONG):
            answer = Answer(await reader.read())
        writer.close()
    assert (answer.status, edge.gateway.file_store.kept.popitem()[1]) == (201, b"x" * 40_000 + b"y" * 4000)
