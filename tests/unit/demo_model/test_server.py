"""The demo model speaks OpenAI's protocol, over a real connection."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path

import httpx2
import openai
import pytest

from demo_model.server import running_demo_model
from parlor.clock import SystemClock

pytestmark = pytest.mark.unit

COMPLETIONS = "/v1/chat/completions"
PROGRAM = [sys.executable, "-m", "demo_model"]
ROOT = Path(__file__).parents[3]


def order(text: str, **more: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


async def events(http: httpx2.AsyncClient, body: dict[str, object]) -> list[str]:
    response = await http.post(COMPLETIONS, json=body)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]


async def stats(http: httpx2.AsyncClient) -> dict[str, int]:
    found: dict[str, int] = (await http.get("/stats")).json()
    return found


async def test_a_stream_has_role_deltas_finish_usage_and_done(http: httpx2.AsyncClient) -> None:
    body = order("[[text=a b  c]]", stream=True, stream_options={"include_usage": True})
    *chunks, done = await events(http, body)
    parsed = [json.loads(chunk) for chunk in chunks]
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in parsed} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in parsed}) == 1
    assert parsed[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["delta"]["content"] for chunk in parsed[1:-2]] == ["a", " b", "  c"]
    assert parsed[-2]["choices"][0]["finish_reason"] == "stop"
    assert parsed[-1]["choices"] == []
    assert parsed[-1]["usage"]["completion_tokens"] == 3


async def test_stamped_tokens_tell_when_they_were_sent(http: httpx2.AsyncClient) -> None:
    before = SystemClock().now_ms()
    *chunks, done = await events(http, order("[[tokens=4 stamp=1 delay=2ms]]", stream=True))
    after = SystemClock().now_ms()
    assert done == "[DONE]"
    text = "".join(json.loads(chunk)["choices"][0]["delta"].get("content", "") for chunk in chunks)
    stamps = [int(stamp) for stamp in text.split()]
    assert len(stamps) == 4
    assert [before, *stamps, after] == sorted([before, *stamps, after])


async def test_usage_is_only_streamed_when_asked_for(http: httpx2.AsyncClient) -> None:
    assert "usage" not in "".join(await events(http, order("[[text=a]]", stream=True)))


async def test_without_stream_the_answer_is_whole(http: httpx2.AsyncClient) -> None:
    answer = (await http.post(COMPLETIONS, json=order("[[tokens=3]]"))).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "the quick brown", "refusal": None}
    assert answer["usage"]["completion_tokens"] == 3


async def test_an_answer_is_cut_at_max_tokens(http: httpx2.AsyncClient) -> None:
    answer = (await http.post(COMPLETIONS, json=order("[[tokens=9]]", max_tokens=2))).json()
    assert answer["choices"][0]["message"]["content"] == "the quick"
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_the_openai_package_reads_its_stream(demo_url: str) -> None:
    client = openai.AsyncOpenAI(api_key="any", base_url=demo_url, max_retries=0, timeout=10)
    stream = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": [{"type": "text", "text": "[[tokens=5]]"}]}], stream=True
    )
    async with aclosing(stream):
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(texts) == "the quick brown fox jumps"
    assert [model.id async for model in client.models.list()] == ["parlor-demo"]
    await client.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"{}", 400),
        (b'{"messages": [{"role": "nobody"}]}', 400),
        (json.dumps(order("[[tokens=x]]")).encode(), 400),
        (json.dumps(order("[[fail=503]]")).encode(), 503),
        (json.dumps(order("[[reject=stream]]", stream=True)).encode(), 400),
    ],
)
async def test_errors_have_openais_form(http: httpx2.AsyncClient, body: bytes, status: int) -> None:
    response = await http.post(COMPLETIONS, content=body)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert (await stats(http))["failed"] == 1


async def test_faults_hold_for_the_first_requests_only(http: httpx2.AsyncClient) -> None:
    body = order("[[fail=429 retry_after=3 times=2 text=ok]]")
    answers = [await http.post(COMPLETIONS, json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "3"


async def test_unknown_routes_are_told(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/nothing")).status_code == 404
    assert (await http.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.parametrize("directive", ["hang=1", "hang_after=2", "delay=1s tokens=100", "first=100s"])
async def test_a_client_that_goes_away_is_noticed(http: httpx2.AsyncClient, demo_url: str, directive: str) -> None:
    host, port = demo_url.split("/")[2].split(":")
    body = json.dumps(order(f"[[{directive}]]", stream=True)).encode()
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        while (await stats(http))["open"] == 0:
            continue
        writer.close()
        await writer.wait_closed()
        while (found := await stats(http))["open"] == 1:
            continue
    assert (found["requests"], found["aborted"], found["completed"]) == (1, 1, 0)
    assert found["connections"] == 1
    del reader


async def exchange(url: str, request: bytes) -> bytes:
    """All that the server sends until it closes."""
    host, port = url.split("/")[2].split(":")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"505"),
        (b"GET /healthz HTTP/1.1\r\nbroken\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, b"431"),
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", b"200"),
    ],
)
async def test_what_the_server_does_not_read_it_refuses(demo_url: str, request_bytes: bytes, status: bytes) -> None:
    assert (await exchange(demo_url, request_bytes)).split(b" ")[1] == status


async def test_requests_may_come_in_pieces_and_in_a_row(demo_url: str) -> None:
    host, port = demo_url.split("/")[2].split(":")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, int(port))
        for piece in (b"GET /healthz HT", b"TP/1.1\r\n\r", b"\nGET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_closing_ends_what_hangs(http: httpx2.AsyncClient) -> None:
    async with running_demo_model(behave="hang=1") as url:
        hanging = asyncio.create_task(
            exchange(url, b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 15\r\n\r\n" + b'{"messages":[]}')
        )
        async with asyncio.timeout(10), httpx2.AsyncClient(trust_env=False) as client:
            while (await client.get(url.removesuffix("/v1") + "/stats")).json()["open"] == 0:
                continue
    async with asyncio.timeout(10):
        assert await hanging == b""


async def start(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(*PROGRAM, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    return process, json.loads(line)["url"]


async def test_the_program_prints_its_address_and_stops_on_sigterm() -> None:
    process, url = await start("--port", "0", "--behave", "tokens=4")
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
            answer = (await client.post(f"{url}/chat/completions", json=order("x"))).json()
        assert answer["usage"]["completion_tokens"] == 4
    finally:
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 10)
    assert code == 0


async def test_the_program_refuses_a_bad_behaviour() -> None:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--behave", "tokens=x", cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert b"tokens='x'" in said


@pytest.mark.skipif(sys.platform != "linux", reason="a pidfd tells of a process that is not ours")
async def test_the_program_dies_with_its_parent() -> None:
    code = (
        "import subprocess, sys; "
        "child = subprocess.Popen([*sys.argv[1:], '--die-with-parent'], stdout=subprocess.PIPE); "
        "print(child.pid, child.stdout.readline(), flush=True); sys.stdin.read()"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *PROGRAM, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int((await asyncio.wait_for(parent.stdout.readline(), 30)).split()[0])
    watch = os.pidfd_open(pid)
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(watch, gone.set)
    try:
        parent.kill()
        await asyncio.wait_for(parent.wait(), 10)
        await asyncio.wait_for(gone.wait(), 10)
    finally:
        asyncio.get_running_loop().remove_reader(watch)
        os.close(watch)
