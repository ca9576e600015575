"""Where tools may not connect to, whatever is tried: the same for HTTP tools and for servers of tools."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from parlor.clock import SystemClock
from parlor.llm.tools import ToolError, read_tool
from parlor.model.tools import HttpTool, McpServer, McpTool, ToolResult
from parlor.tools import addresses
from parlor.tools.addresses import is_public, literal_address
from parlor.tools.arguments import ArgumentsError, canonical_arguments
from parlor.tools.http import HttpCaller
from parlor.tools.servers import McpServers

pytestmark = pytest.mark.unit

REFUSED = ToolResult("The tool's address is not allowed", is_error=True)
Caller: TypeAlias = Callable[..., Awaitable[ToolResult]]

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0",  # noqa: S104
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2001:db8::1", "not an address", "",
]  # fmt: skip
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
DISGUISED = [
    "127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0.0.0.0", "[::1]",  # noqa: S104
    "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]",
]  # fmt: skip
ELSEWHERE = [
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "10.0.0.1", "192.168.0.1", "[fe80::1]",
    "[fd00:ec2::254]", "[::ffff:169.254.169.254]",
]  # fmt: skip


class Inside:
    """A server on this machine that must not be asked; it would redirect whoever asks it to ``location``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status, self.location = 200, ""
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        return web.Response(status=self.status, headers={"Location": self.location} if self.location else {})


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    made = Inside()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def post(url: str, resolver: AbstractResolver | None = None, *, allow_private: bool = False) -> ToolResult:
    tool = HttpTool("t", "T", "d", {"type": "object"}, url, {}, 20.0, allow_private)
    return await HttpCaller(resolver).call(tool, "{}", "k")


async def ask(url: str, resolver: AbstractResolver | None = None, *, allow_private: bool = False) -> ToolResult:
    server = McpServer("s", url, {}, 20.0, allow_private, None, None, trust_hints=False)
    servers = McpServers(SystemClock(), resolver, list_timeout=60)
    assert await servers.tools_of(server) is None, "nor is its list read"
    return await servers.call(McpTool("s_t", "T", "d", {"type": "object"}, server, "t"), "{}", "k")


@pytest.fixture(params=[post, ask], ids=["http", "mcp"])
def caller(request: pytest.FixtureRequest) -> Caller:
    found: Caller = request.param
    return found


class Names(AbstractResolver):
    """Resolves every name to these addresses; the next time it is asked, to the next ones."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_internet_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("example.com", None),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("localhost", None),
    ],
)
def test_every_spelling_of_an_address_is_known(host: str, address: str | None) -> None:
    assert literal_address(host) == address


@pytest.mark.parametrize("host", DISGUISED)
async def test_nothing_is_sent_to_this_machine(caller: Caller, inside: Inside, host: str) -> None:
    assert await caller(f"http://{host}:{inside.port}/") == REFUSED
    assert inside.asked == []


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_nothing_is_sent_to_a_private_network_or_a_clouds_metadata(caller: Caller, host: str) -> None:
    assert await caller(f"http://{host}/") == REFUSED


@pytest.mark.parametrize(
    "leads_to",
    [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["169.254.169.254"], ["::ffff:127.0.0.1"], ["fe80::1%lo"], ["::1"]],
)
async def test_nothing_is_sent_where_a_name_leads_inside(caller: Caller, inside: Inside, leads_to: list[str]) -> None:
    assert await caller(f"http://tool.test:{inside.port}/", Names(leads_to)) == REFUSED
    assert inside.asked == []


async def test_localhost_is_a_name_that_leads_inside(caller: Caller, inside: Inside) -> None:
    assert await caller(f"http://localhost:{inside.port}/") == REFUSED
    assert inside.asked == []


async def test_a_name_is_resolved_once_and_the_connection_goes_where_it_led(inside: Inside) -> None:
    names = Names(["127.0.0.1"], ["192.0.2.1"])
    assert not (await post(f"http://tool.test:{inside.port}/", names, allow_private=True)).is_error
    assert names.answers == [["192.0.2.1"]], "not asked again"


async def test_a_name_that_was_checked_cannot_lead_elsewhere_afterwards(
    caller: Caller, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.2")
    result = await caller(f"http://tool.test:{inside.port}/", Names(["127.0.0.2"], ["127.0.0.1"]))
    assert result.is_error
    assert inside.asked == [], "only the first address was connected to, where nobody is"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["same", "port", "metadata", "scheme"])
async def test_a_redirect_is_not_followed(caller: Caller, inside: Inside, status: int, where: str) -> None:
    inside.status, inside.location = (
        status,
        {
            "same": f"http://127.0.0.1:{inside.port}/elsewhere",
            "port": "http://127.0.0.1:6379/",
            "metadata": "http://169.254.169.254/latest/meta-data/",
            "scheme": "file:///etc/passwd",
        }[where],
    )
    result = await caller(f"http://127.0.0.1:{inside.port}/tool", allow_private=True)
    assert result.is_error
    assert set(inside.asked) == {"POST /tool"}


@pytest.mark.parametrize(
    "url",
    [
        "http://weather.test@127.0.0.1/",
        "http://user:pw@weather.test/",
        "http://@127.0.0.1/",
        "http://weather.test:80@127.0.0.1/",
        "ftp://weather.test/",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "file:///etc/passwd",
        "http:///x",
        "//weather.test/",
        "weather.test",
    ],
)
@pytest.mark.parametrize("kind", ["http", "mcp"])
def test_a_url_that_hides_its_host_is_not_declared(url: str, kind: str) -> None:
    table = {"kind": kind, "name": "t", "url": url, "idempotent": True}
    if kind == "http":
        table |= {"description": "d", "parameters": {"type": "object"}}
    with pytest.raises(ToolError, match="url"):
        read_tool(table, {})
    declared = read_tool({**table, "url": "http://weather.test/"}, {})
    assert isinstance(declared, HttpTool | McpServer)
    assert declared.url == "http://weather.test/"


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/schema", "http://169.254.169.254/", "file:///etc/passwd"])
async def test_a_schema_fetches_nothing(inside: Inside, url: str) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": url.format(port=inside.port)}}}
    with pytest.raises(ArgumentsError, match="cannot be used"):
        canonical_arguments(json.dumps({"a": 1}), schema)
    assert inside.asked == []
