"""Calls of HTTP tools, to a server on this machine: what is sent, what comes back, and where nothing is sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from parlor.model.ids import InstallationId
from parlor.model.tools import HttpTool, LostResult, ToolResult
from parlor.tools.http import HttpCaller, idempotency_key
from parlor.tools.results import RESULT_MAX

pytestmark = pytest.mark.unit

TOOL = HttpTool("t", "T", "d", {"type": "object"}, "", {"Authorization": "Bearer s"}, 20.0, True)


class Service:
    """Records what it is asked; answers with ``status``, ``body`` and ``headers``."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, dict[str, str]]] = []
        self.status, self.body = 200, b"ok"
        self.headers: dict[str, str] = {}
        self.url = ""
        self.answers = asyncio.Event()
        self.answers.set()

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, await request.read(), dict(request.headers)))
        await self.answers.wait()
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.answers.set()
    await runner.cleanup()


def at(url: str, *, allow_private: bool = True, timeout: float = 20.0) -> HttpTool:
    return msgspec.structs.replace(TOOL, url=url, allow_private=allow_private, timeout=timeout)


async def test_the_bytes_are_posted_with_their_key(service: Service) -> None:
    text = '{"a":"ü"}'
    assert await HttpCaller().call(at(f"{service.url}/x?y=1"), text, "k") == ToolResult("ok")
    ((path, body, headers),) = service.asked
    assert (path, body) == ("/x", text.encode())
    assert headers["Idempotency-Key"] == "k"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer s"


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, b"\xff\x00x", ToolResult("\ufffd\ufffdx")),
        (204, b"", ToolResult("")),
        (404, b"no such city", ToolResult("HTTP 404\nno such city", is_error=True)),
        (500, b"", ToolResult("HTTP 500\n", is_error=True)),
        (200, b"x" * (RESULT_MAX + 1), ToolResult("x" * RESULT_MAX, truncated=True)),
        (200, b"x" * 10_000_000, ToolResult("x" * RESULT_MAX, truncated=True)),
    ],
)
async def test_an_answer_is_a_result_within_limits(
    service: Service, status: int, body: bytes, result: ToolResult
) -> None:
    service.status, service.body = status, body
    assert await HttpCaller().call(at(service.url), "{}", "k") == result


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(service: Service, status: int) -> None:
    service.status, service.headers = status, {"Location": f"{service.url}/elsewhere"}
    result = await HttpCaller().call(at(service.url), "{}", "k")
    assert (result.is_error, "redirect" in result.content) == (True, True)
    assert [path for path, _, _ in service.asked] == ["/"]


async def test_a_tool_that_does_not_answer_is_given_up(service: Service) -> None:
    service.answers.clear()
    result = await HttpCaller().call(at(service.url, timeout=0.2), "{}", "k")
    assert result == LostResult("The tool did not answer within 0.2 seconds", is_error=True)


async def test_a_tool_that_is_not_there_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = await HttpCaller().call(at(f"http://127.0.0.1:{taken.getsockname()[1]}"), "{}", "k")
    assert result == ToolResult("The tool cannot be reached", is_error=True)


async def test_the_environments_proxy_is_not_used(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert await HttpCaller().call(at(service.url), "{}", "k") == ToolResult("ok")


def test_a_key_is_that_of_one_call_for_ever() -> None:
    one, other = InstallationId("i"), InstallationId("j")
    calls = [(one, "a", "d"), (one, "b", "d"), (one, "a", "e"), (other, "a", "d")]
    assert len({idempotency_key(*call) for call in calls}) == 4
    assert idempotency_key(one, "a", "d") == idempotency_key(one, "a", "d")
