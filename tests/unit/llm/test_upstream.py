"""Timeouts, endings and differences between servers, over real connections."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

import httpx2
import msgspec
import pytest

from demo_model.http import Connection, HttpServer, Request
from parlor.clock import SystemClock
from parlor.errors import LlmError
from parlor.llm.ports import Completion, Part, TextDelta
from parlor.llm.upstream import Upstream
from parlor.model.messages import FinishReason, Usage
from parlor.model.tracing import work_for
from parlor.settings import LlmSettings
from parlor.settings.urls import is_loopback
from tests.unit.llm.service_fixture import KEY, ServiceFixture, answering, context, server_of, serving

pytestmark = pytest.mark.unit

LIMIT = 50.0
"""Seconds that no test waits for: it makes time leap. Less than the demo model leaves a connection idle."""


# Timeouts


@pytest.mark.parametrize("directive", ["hang=1", "hang_after=0"])
async def test_silence_before_the_first_token_ends_once(
    demo_url: str, http: httpx2.AsyncClient, directive: str
) -> None:
    async with serving(demo_url, http, first_token_timeout=LIMIT) as service:
        failing = asyncio.create_task(service.failure(f"[[{directive}]]"))
        await service.stats_when(lambda stats: stats["requests"] == 1)
        service.clock.leap(LIMIT)
        _, error = await failing
        assert error.detail == "The language model did not answer in time"
        found = await service.stats_when(lambda stats: stats["open"] == 0)
        assert found["requests"] == 1
        assert service.clock.slept == []


async def test_silence_between_tokens_ends(demo_url: str, http: httpx2.AsyncClient) -> None:
    async with serving(demo_url, http, idle_timeout=LIMIT) as service:
        failing = asyncio.create_task(service.failure("[[hang_after=3 text=a b c d]]"))
        await service.stats_when(lambda _: "".join(service.heard) == "a b c")
        service.clock.leap(LIMIT)
        said, error = await failing
        assert said == "a b c"
        assert error.detail == "The language model stopped in the middle of its answer"
        found = await service.stats_when(lambda stats: stats["open"] == 0)
        assert (found["requests"], found["aborted"]) == (1, 1)


async def test_a_slow_answer_ends_at_the_total_timeout(demo_url: str, http: httpx2.AsyncClient) -> None:
    async with serving(demo_url, http, total_timeout=LIMIT) as service:
        failing = asyncio.create_task(service.failure("[[delay=1ms tokens=10000]]"))
        await service.stats_when(lambda _: len(service.heard) >= 3)
        service.clock.leap(LIMIT)
        said, error = await failing
        assert said.startswith("the quick brown")
        assert len(said.split()) < 10_000
        assert error.extra["retryable"] is False


async def test_the_total_timeout_leaves_no_time_for_a_retry(demo_url: str, http: httpx2.AsyncClient) -> None:
    async with serving(demo_url, http, total_timeout=LIMIT) as service:
        failing = asyncio.create_task(service.failure("[[hang=1]]"))
        await service.stats_when(lambda stats: stats["open"] == 1)
        service.clock.leap(LIMIT)
        await failing
        assert (await service.stats())["requests"] == 1
        assert service.clock.slept == []


async def test_a_reader_who_holds_a_delta_is_not_timed_out(demo_url: str, http: httpx2.AsyncClient) -> None:
    async with serving(demo_url, http, idle_timeout=LIMIT) as service:
        texts: list[str] = []
        async for part in service.service.chat("PLAIN", context("[[tokens=3 delay=5ms]]")):
            if isinstance(part, TextDelta):
                texts.append(part.text)
                service.clock.leap(2 * LIMIT)
        assert "".join(texts) == "the quick brown"


# Ending it


async def test_closing_the_generator_closes_the_connection(service: ServiceFixture) -> None:
    parts = service.service.chat("PLAIN", context("[[delay=10ms tokens=10000]]"))
    first = await anext(parts)
    assert isinstance(first, TextDelta)
    assert first.text.startswith("the")
    assert (await service.stats())["open"] == 1
    await parts.aclose()
    found = await service.stats_when(lambda stats: stats["open"] == 0)
    assert (found["aborted"], found["connections"]) == (1, 1)


@pytest.mark.parametrize("directive", ["hang=1", "hang_after=1"])
async def test_cancelling_the_reader_closes_the_connection(service: ServiceFixture, directive: str) -> None:
    task = asyncio.create_task(service.chat(f"[[{directive}]]"))
    await service.stats_when(lambda stats: stats["open"] == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await service.stats_when(lambda stats: stats["open"] == 0)
    assert (found["requests"], found["aborted"], found["connections"]) == (1, 1, 1)


# Servers that differ


@pytest.mark.parametrize(
    ("user", "sent"), [("", f"Bearer {KEY}"), ("me:p%40ss@", f"Basic {b64encode(b'me:p@ss').decode()}")]
)
async def test_a_request_is_authenticated_by_key_or_url(http: httpx2.AsyncClient, user: str, sent: str) -> None:
    heard = list[str]()

    async def handle(request: Request, connection: Connection) -> None:
        heard.append(request.headers["authorization"])
        connection.respond(HTTPStatus.FORBIDDEN, b"{}")

    server = HttpServer(handle)
    port = await server.start("127.0.0.1", 0)
    try:
        async with serving(f"http://{user}127.0.0.1:{port}/v1", http) as service:
            await service.failure("x")
    finally:
        await server.close()
    assert heard == [sent]


@pytest.mark.parametrize(
    ("settings", "room", "sent"),
    [
        ({}, "room-1", ("room-1", None)),
        ({}, "", (None, None)),
        ({"session_header": "X-User-Id"}, "room-1", (None, "room-1")),
        ({"session_header": ""}, "room-1", (None, None)),
    ],
)
@pytest.mark.parametrize("api", ["chat_completions", "responses"])
async def test_a_router_is_told_which_room_a_prompt_is_of(
    http: httpx2.AsyncClient, api: str, settings: dict[str, str], room: str, sent: tuple[str | None, str | None]
) -> None:
    heard = list[tuple[str | None, str | None]]()

    async def handle(request: Request, connection: Connection) -> None:
        heard.append((request.headers.get("x-session-id"), request.headers.get("x-user-id")))
        connection.respond(HTTPStatus.FORBIDDEN, b"{}")

    server = HttpServer(handle)
    port = await server.start("127.0.0.1", 0)
    try:
        async with serving(f"http://127.0.0.1:{port}/v1", http, None, api=api, **settings) as service:
            prompt = msgspec.structs.replace(context("x"), session=room)
            with pytest.raises(LlmError):
                async for _ in service.service.chat("PLAIN", prompt):
                    pass
    finally:
        await server.close()
    assert heard == [sent]


async def test_a_model_is_told_which_trace_asks_it(http: httpx2.AsyncClient) -> None:
    heard = list[str | None]()

    async def handle(request: Request, connection: Connection) -> None:
        heard.append(request.headers.get("traceparent"))
        connection.respond(HTTPStatus.FORBIDDEN, b"{}")

    server, trace = HttpServer(handle), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    port = await server.start("127.0.0.1", 0)
    try:
        async with serving(f"http://127.0.0.1:{port}/v1", http) as service:
            await service.failure("x")
            work_for(f"request {trace}")
            await service.failure("x")
            work_for("")
    finally:
        await server.close()
    assert heard == [None, trace]


async def test_a_query_in_the_base_url_stays_a_query(http: httpx2.AsyncClient) -> None:
    heard = list[bytes]()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with serving(f"http://127.0.0.1:{port}/v1/?api-version=2024-10-21&x=", http) as service:
            await service.failure("x")
    assert heard == [b"POST /v1/chat/completions?api-version=2024-10-21&x= HTTP/1.1\r\n"]


async def test_an_answer_that_is_no_http_is_an_error(http: httpx2.AsyncClient) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: {\r\nno length\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server, serving(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", http) as service:
        _, error = await service.failure("x")
    assert error.extra["retryable"] is True


async def test_a_server_that_refuses_stream_options_is_asked_without_and_remembered(service: ServiceFixture) -> None:
    for requests in (2, 3):
        texts, completion = await service.chat("[[reject=stream_options text=fine]]")
        assert (texts, completion.usage) == (["fine"], None)
        assert (await service.stats())["requests"] == requests
    assert service.clock.slept == []


async def test_a_model_that_refuses_several_parameters_is_asked_without_them(service: ServiceFixture) -> None:
    texts, _ = await service.chat("[[reject=max_tokens,temperature echo=1]]", "GPT4O")
    asked = json.loads("".join(texts))
    assert asked["max_completion_tokens"] == 500
    assert not {"max_tokens", "temperature"} & set(asked)


async def test_a_parameter_that_cannot_be_left_out_is_an_error(service: ServiceFixture) -> None:
    _, error = await service.failure("[[reject=messages]]")
    assert error.extra["status"] == 400
    assert (await service.stats())["requests"] == 1


async def test_a_web_page_is_not_an_answer(http: httpx2.AsyncClient) -> None:
    async with (
        answering(HTTPStatus.OK, b"<html>", {"Content-Type": "text/html"}) as url,
        serving(url, http) as service,
    ):
        _, error = await service.failure("x")
    assert "did not answer with a stream" in error.detail
    assert error.extra["retryable"] is False


@pytest.mark.parametrize("beats", [False, True])
async def test_a_stream_without_done_that_stays_open_still_ends(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, beats: bool
) -> None:
    monkeypatch.setattr("parlor.llm.upstream.TAIL_TIMEOUT", 0.05)

    async def handle(request: Request, connection: Connection) -> None:
        connection.begin({"Content-Type": "text/event-stream"})
        await connection.write([b'data: {"choices":[{"delta":{"content":"whole"},"finish_reason":"stop"}]}\n\n'])
        while beats:  # until the client goes
            await connection.write([b": keep-alive\n\n"])
            await asyncio.sleep(0.01)
        await asyncio.get_running_loop().create_future()

    async with server_of(handle) as url, serving(url, http) as service:
        assert await service.chat("x") == (["whole"], Completion(FinishReason.STOP, None))


STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"content":"whole"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
ONE_PIECE = b'{"choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}'


@pytest.mark.parametrize("body", [STREAM, ONE_PIECE])
@pytest.mark.parametrize(
    "kind", ["application/json", "text/event-stream;charset=UTF-8", "text/plain", "text/html", "", "application/x-y"]
)
async def test_the_first_bytes_tell_what_an_answer_is_and_not_its_type(
    http: httpx2.AsyncClient, kind: str, body: bytes
) -> None:
    async with answering(HTTPStatus.OK, body, {"Content-Type": kind}) as url, serving(url, http) as service:
        assert await service.chat("x") == (["whole"], Completion(FinishReason.STOP, None))


async def test_a_pause_behind_a_reason_that_is_none_does_not_end_an_answer(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlor.llm.upstream.TAIL_TIMEOUT", 0.01)

    async def handle(request: Request, connection: Connection) -> None:
        connection.begin({})
        for delta, reason in (("", "stop"), ("one ", ""), ("two", None), ("", "stop")):
            chunk = {"choices": [{"delta": {"content": delta, "reasoning": "hm"}, "finish_reason": reason}]}
            await connection.write([b"data: %b\n\n" % json.dumps(chunk).encode()])
            await asyncio.sleep(0.1)
        connection.end()

    async with server_of(handle) as url, serving(url, http) as service:
        texts, completion = await service.chat("x")
    assert ("".join(texts), completion.finish_reason) == ("one two", FinishReason.STOP)


def moving(status: HTTPStatus) -> AbstractAsyncContextManager[str]:
    """A server that has moved its endpoint."""

    async def handle(request: Request, connection: Connection) -> None:
        if "/moved/" in request.path:
            connection.respond(HTTPStatus.OK, STREAM, {})
        else:
            connection.respond(status, b"", {"Location": "/v1/moved/chat/completions"})

    return server_of(handle)


@pytest.mark.parametrize("status", [HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER])
async def test_a_redirect_that_loses_the_request_is_told(http: httpx2.AsyncClient, status: HTTPStatus) -> None:
    async with moving(status) as url, serving(url, http) as service:
        _, error = await service.failure("x")
    assert error.detail == "The language model's endpoint has another address"
    assert "/moved/" in error.debug


@pytest.mark.parametrize("status", [HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT])
async def test_a_redirect_that_keeps_the_request_is_followed(http: httpx2.AsyncClient, status: HTTPStatus) -> None:
    async with moving(status) as url, serving(url, http) as service:
        assert (await service.chat("x"))[0] == ["whole"]


async def test_the_usage_of_an_answer_that_breaks_off_is_told(http: httpx2.AsyncClient) -> None:
    begun = b'data: {"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":1000,"completion_tokens":1}}\n\n'
    parts: list[Part] = []
    async with answering(HTTPStatus.OK, begun, {}) as url, serving(url, http) as service:
        answer = service.service.chat("PLAIN", context("x"))
        while len(parts) < 2:
            parts.append(await anext(answer))
        with pytest.raises(LlmError, match="broke off"):
            await anext(answer)
    assert parts == [TextDelta("x"), Usage(1000, 1)]


# Where it is


def test_without_a_url_and_a_key_there_is_no_language_model() -> None:
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        Upstream(LlmSettings(), "", SystemClock())


async def test_a_key_alone_is_openais_own_endpoint() -> None:
    upstream = Upstream(LlmSettings(), KEY, SystemClock())
    assert str(upstream._url) == "https://api.openai.com/v1/chat/completions"
    await upstream.close()


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://localhost/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://10.0.0.1/v1", False),
    ],
)
def test_only_this_machine_is_reached_past_a_proxy(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback
