"""What clients get from HAProxy in front of the application, byte for byte."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parlor.model.messages import Event
from parlor_cli import haproxy
from tests.contract.edge.application import AUTHORIZED, CLOSE, LONG, PATH, Answer, Edge
from tests.unit.parlor_cli.haproxy_front import a_front_end

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
async def edge(original: str, tmp_path: Path) -> AsyncIterator[Edge]:
    async with Edge().open(haproxy.adapt(original, a_front_end()), tmp_path) as opened:
        yield opened


async def test_methods_that_are_not_https_end_here_and_in_no_metric(edge: Edge) -> None:
    for method in (b"M000001", b"FROBNICATE", b"get", b"TRACE", b"CONNECT"):
        target = b"x:80" if method == b"CONNECT" else b"/v1/rooms"
        answer = await edge.say(method + b" " + target + b" HTTP/1.1\r\nHost: x\r\n" + CLOSE)
        problem = answer.problem()
        assert (answer.status, problem["code"], problem["errorCode"]) == (405, "method-not-allowed", 1020)
        assert answer.headers["allow"] == "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
        assert ' method="" status=405' in await edge.log_line()
    assert edge.seen == []
    answer = await edge.say(b"PUT /v1/rooms HTTP/1.1\r\nHost: x\r\n" + CLOSE)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert ' method="PUT" status=405' in await edge.log_line()


async def test_what_has_no_path_is_answered_here(edge: Edge) -> None:
    answer = await edge.say(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + CLOSE)
    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, POST, PATCH, DELETE, OPTIONS")
    answer = await edge.say(b"GET * HTTP/1.1\r\nHost: x\r\n" + CLOSE)
    assert (answer.status, answer.problem()["code"]) == (400, "invalid-request")
    assert edge.seen == []


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([b"my-id_1.2"], True),
        ([b"x" * 64], True),
        ([b"x" * 65], False),
        ([b"\xe9"], False),
        ([b"\xff\xfe"], False),
        ([b"a b"], False),
        ([b"a,b"], False),
        ([b""], False),
        ([b"a", b"b"], False),
        ([], False),
    ],
)
async def test_a_request_has_one_id_in_header_body_and_replica(edge: Edge, given: list[bytes], taken: bool) -> None:
    named = b"".join(b"X-Request-ID: " + each + b"\r\n" for each in given)
    answer = await edge.say(b"GET /v1/nothing HTTP/1.1\r\n" + AUTHORIZED + named + CLOSE)
    assert answer.status == 404
    request_id = answer.problem()["request_id"]
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id)
    assert (request_id.encode() in given) == taken
    assert [headers[b"x-request-id"] for headers in edge.seen] == [request_id.encode()]


async def test_what_only_serve_may_say_does_not_reach_a_replica(edge: Edge) -> None:
    outside = (
        *(b"x-request-timeout-seconds", b"x-request-disconnect-disabled", b"x-session-id", b"X_Session-ID"),
        *(b"serve_multiplexed_model_id", b"Serve-Multiplexed-Model_Id", b"x-serve-router-pin"),
        *(b"traceparent", b"tracestate"),
    )
    lines = b"".join(name + b": \xff\xfe\r\n" for name in outside)
    answer = await edge.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + lines + CLOSE)
    assert answer.status == 200
    assert edge.seen[0].keys() & {name.lower() for name in outside} == set()
    await edge.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\ntraceparent: 00-4bf9-00f0-01\r\n" + CLOSE)
    assert edge.seen[1][b"traceparent"] == b"00-4bf9-00f0-01"


async def test_serves_own_paths_are_not_there(edge: Edge) -> None:
    for path in ("/-/routes", "/-/healthz", "/-", "/%2D/routes", "/-%2Froutes", "/%2d%2Froutes", "http://x/-/routes"):
        answer = await edge.say(f"GET {path} HTTP/1.1\r\nHost: x\r\n".encode() + CLOSE)
        assert (answer.status, answer.problem()["code"]) == (404, "not-found")
    assert edge.seen == []


async def test_what_is_too_long_is_told_so(edge: Edge) -> None:
    for status, target, headers in (
        (414, b"/v1/rooms?cursor=" + b"a" * 8192, b""),
        (414, b"/v1/rooms?cursor=" + b"a" * 30_000, b""),
        (431, b"/v1/rooms", b"X-Long: " + b"a" * 16_384 + b"\r\n"),
        (431, b"/v1/rooms", b"X-Long: " + b"a" * 30_000 + b"\r\n"),
        (431, b"/v1/rooms", b"".join(b"X-%d: a\r\n" % number for number in range(200))),
        (431, b"/v1/rooms", b"".join(b"X-%d: a\r\n" % number for number in range(900))),
    ):
        answer = await edge.say(b"GET " + target + b" HTTP/1.1\r\n" + AUTHORIZED + headers + CLOSE)
        problem = answer.problem()
        assert (answer.status, problem["code"], problem["errorCode"]) == (status, "invalid-request", 1007)
    assert edge.seen == []


async def test_what_is_long_but_not_too_long_is_served(edge: Edge) -> None:
    headers = b"".join(b"X-%d: %b\r\n" % (number, b"a" * 150) for number in range(90))
    answer = await edge.say(b"GET /v1/rooms?x=" + b"a" * 8000 + b" HTTP/1.1\r\n" + AUTHORIZED + headers + CLOSE)
    assert answer.status == 200


async def test_a_client_of_http_1_0_gets_no_chunks(edge: Edge) -> None:
    edge.gateway.subscription.batches.put_nowait([Event("1-1", "message.completed", b"{}")])
    edge.gateway.subscription.batches.put_nowait(None)
    for path, begins, ends in ((b"", b"{", b"}"), (b"/export", b"{", b"}\n"), (b"/events", b":", b"data: {}\n\n")):
        answer = await edge.say(b"GET " + PATH + path + b" HTTP/1.0\r\n" + AUTHORIZED + b"\r\n")
        assert answer.status == 200
        assert "transfer-encoding" not in answer.headers
        assert (answer.body[:1], answer.body[-len(ends) :]) == (begins, ends)
    chunked = await edge.say(b"GET " + PATH + b"/export HTTP/1.1\r\n" + AUTHORIZED + CLOSE)
    assert chunked.headers["transfer-encoding"] == "chunked"


async def test_the_servers_software_is_nobodys_business(edge: Edge) -> None:
    for request in (b"GET /v1/rooms", b"GET /nothing", b"GET /-/routes", b"HEAD /", b"FROB /"):
        answer = await edge.say(request + b" HTTP/1.1\r\n" + AUTHORIZED + CLOSE)
        assert answer.headers.keys() & {"server", "x-powered-by", "via"} == set()


async def test_a_websocket_is_answered_with_a_problem(edge: Edge) -> None:
    upgrade = (
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"GET /v1/rooms HTTP/1.1\r\n" + AUTHORIZED + upgrade)
    async with asyncio.timeout(LONG):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        answer = Answer(head + await reader.readexactly(length))
    writer.close()
    assert (answer.status, answer.problem()["code"]) == (404, "not-found")


async def test_no_log_has_a_query(edge: Edge) -> None:
    await edge.say(b"GET /v1/events?ticket=secret HTTP/1.1\r\nHost: x\r\n" + CLOSE)
    line = await edge.log_line()
    assert "GET /v1/events" in line
    assert "secret" not in line


async def test_http_2_is_not_spoken_without_tls(edge: Edge) -> None:
    """One connection would carry a hundred requests at a time, past the limits of connections."""
    answer = await edge.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    assert answer.status in (400, 405)
    assert edge.seen == []


_POST = b"POST /v1/rooms HTTP/1.1\r\n" + AUTHORIZED + b"Content-Type: application/json\r\n"
_CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
_SECOND = b"GET /v1/rooms HTTP/1.1\r\n" + AUTHORIZED + CLOSE


@pytest.mark.parametrize(
    ("request_", "status", "reached"),
    [
        (b"Content-Length: 2\r\nContent-Length: 3\r\n" + CLOSE + b"{}", 400, 0),
        (b"Content-Length: -2\r\n" + CLOSE + b"{}", 400, 0),
        (b"Content-Length: +2\r\n" + CLOSE + b"{}", 400, 0),
        (b"Content-Length: 2, 3\r\n" + CLOSE + b"{}", 400, 0),
        (b"Transfer-Encoding: xchunked\r\n" + CLOSE + _CHUNKS, 400, 0),
        (b"Transfer-Encoding: chunked, identity\r\n" + CLOSE + _CHUNKS, 400, 0),
        (b"Transfer-Encoding: chunked\r\n" + CLOSE + b"zz\r\n{}\r\n0\r\n\r\n", 400, 0),
        (b"Transfer-Encoding : chunked\r\n" + CLOSE + _CHUNKS, 400, 0),
        (b"Transfer-Encoding: chunked\r\n" + CLOSE + _CHUNKS, 201, 1),
        # A length beside chunks does not count, and the connection ends with the answer: nothing after it is a request.
        (b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n" + _CHUNKS + _SECOND, 201, 1),
        (b"Transfer-Encoding: chunked\r\n" + CLOSE + b"2;a=b\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n", 201, 1),
        (b"Content-Length: 2\r\n\r\n{}" + _SECOND, 201, 2),
    ],
)
async def test_nothing_is_taken_for_another_request(edge: Edge, request_: bytes, status: int, reached: int) -> None:
    answer = await edge.say(_POST + request_)
    assert (answer.status, len(edge.seen)) == (status, reached)


async def test_trailers_are_no_headers(edge: Edge) -> None:
    """They would be past every rule about headers, and past a proxy that checks a credential."""
    begin = b"POST /v1/rooms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    trailers = AUTHORIZED.partition(b"\r\n")[2] + b"serve_multiplexed_model_id: \xff\r\nx-parlor-address: 192.0.2.9\r\n"
    answer = await edge.say(begin + CLOSE + b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n")
    assert (answer.status, answer.problem()["code"]) == (401, "unauthenticated")
    (seen,) = edge.seen
    assert seen.keys() & {b"authorization", b"serve_multiplexed_model_id"} == set()
    assert seen[b"x-parlor-address"] == b"127.0.0.1"
