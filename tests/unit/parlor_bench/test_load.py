"""The load generator, in a process of its own as in a benchmark."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

from demo_model.http import Connection, Request
from parlor_bench.load import KEY, Sends, keyed, percentile, post
from parlor_bench.worker import in_process
from tests.unit.parlor_bench.http_peer import serving

pytestmark = pytest.mark.unit


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 3.0, 4.0]
    assert percentile([], 0.5) == 0.0


def test_each_request_gets_a_word_of_its_own() -> None:
    requests = keyed(b"a %b b" % KEY)
    found = [next(requests) for _ in range(3)]
    assert len(set(found)) == 3
    assert all(each.startswith(b"a ") and each.endswith(b" b") and len(each) > 8 for each in found)
    assert next(keyed(b"as it is")) == b"as it is"


@pytest.mark.parametrize("status", [HTTPStatus.CREATED, HTTPStatus.CONFLICT])
async def test_answers_are_counted_with_those_that_are_no_success(status: HTTPStatus) -> None:
    keys: list[str] = []

    async def take(request: Request, connection: Connection) -> None:
        keys.append(request.headers["idempotency-key"])
        connection.respond(status, b"{}")

    async with serving(take) as port:
        request = post("127.0.0.1", port, "/v1/rooms/r/messages", "token", b"{}", idempotency_key=KEY.decode())
        found = await in_process(Sends("127.0.0.1", port, 2, 0.3, [request]))
    assert found.requests == len(keys) > 0
    assert len(set(keys)) == len(keys)
    assert found.errors == (0 if status < 300 else found.requests)
    assert 0 < found.p50_ms <= found.p99_ms


async def test_an_answer_that_ends_with_its_connection_is_an_answer() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 503 Service Unavailable\r\nConnection: close\r\n\r\nNo server")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await in_process(Sends("127.0.0.1", port, 2, 0.3, [b"GET / HTTP/1.1\r\n\r\n"]))
    assert found.errors == found.requests > 0


async def test_a_rate_is_kept_and_no_faster() -> None:
    async def take(request: Request, connection: Connection) -> None:
        connection.respond(HTTPStatus.CREATED, b"{}")

    async with serving(take) as port:
        request = post("127.0.0.1", port, "/", "token", b"{}")
        found = await in_process(Sends("127.0.0.1", port, 4, 0.5, [request], per_second=40.0))
    assert found.requests == 20


async def test_a_generator_that_fails_is_an_error() -> None:
    async def cut(request: Request, connection: Connection) -> None:
        connection.cut()

    async with serving(cut) as port:
        pass
    with pytest.raises(RuntimeError, match="the load generator failed"):
        await in_process(Sends("127.0.0.1", port, 1, 0.1, [b""]))
