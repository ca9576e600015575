"""Tools of MCP servers, with a real server of the official package: what is offered, called and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import HEADER_MISMATCH, CallToolResult, ImageContent, InputRequiredResult, TextContent

from parlor.clock import SystemClock
from parlor.model.ids import InstallationId
from parlor.model.tools import HttpTool, LostResult, McpTool, ToolResult
from parlor.tools.results import RESULT_MAX
from parlor.tools.servers import FRESH, McpServers
from parlor.tools.toolbox import Toolbox
from tests.mcp_server import McpService, hinted, listed, mcp_serving
from tests.unit.fake_clock import FakeClock
from tests.unit.scripted_tools import ScriptedTools, tool

pytestmark = pytest.mark.unit


@pytest.fixture(params=["modern", "legacy"])
def service(request: pytest.FixtureRequest) -> Iterator[McpService]:
    with mcp_serving(McpService(), legacy=request.param == "legacy") as served:
        yield served


@pytest.fixture
def modern() -> Iterator[McpService]:
    with mcp_serving(McpService()) as served:
        yield served


@pytest.fixture
def servers() -> McpServers:
    return McpServers(SystemClock(), list_timeout=60)


async def offered(servers: McpServers, service: McpService, **more: Any) -> tuple[McpTool, ...]:
    found = await servers.tools_of(service.declared(**more))
    assert found is not None
    return found


async def names(servers: McpServers, service: McpService, **more: Any) -> list[str]:
    return [each.name for each in await offered(servers, service, **more)]


async def test_a_server_is_asked_for_its_tools_and_they_are_called(servers: McpServers, service: McpService) -> None:
    forecast, tides = await offered(servers, service)
    assert (forecast.name, forecast.remote, forecast.title) == ("sea_forecast", "forecast", "forecast")
    assert (forecast.description, forecast.parameters["type"]) == ("Tells the forecast", "object")
    assert await servers.call(tides, '{"city":"Kiel"}', "k") == ToolResult('{"city": "Kiel"}')
    ((name, arguments, meta),) = service.calls
    assert (name, arguments, meta["parlor.idempotency-key"]) == ("tides", {"city": "Kiel"}, "k")
    assert {headers["authorization"] for headers in service.headers} == {"Bearer s"}


async def test_every_page_of_the_list_is_read(servers: McpServers, modern: McpService) -> None:
    modern.tools, modern.pages = [listed(f"t{number}") for number in range(7)], 3
    assert await names(servers, modern) == [f"sea_t{number}" for number in range(7)]


async def test_what_is_wanted_is_offered_with_whether_it_may_be_called_twice(
    servers: McpServers, modern: McpService
) -> None:
    modern.tools = [
        listed("a"),
        listed("b", annotations=hinted(idempotent=True)),
        listed("c", annotations=hinted(read_only=True)),
        listed("d", annotations=hinted(idempotent=False)),
    ]
    assert await names(servers, modern, only=("d", "b", "x")) == ["sea_b", "sea_d"]

    async def twice(**declared: Any) -> list[str]:
        found = await offered(servers, modern, **declared)
        assert [each.name for each in found] == ["sea_a", "sea_b", "sea_c", "sea_d"]
        return [each.remote for each in found if each.idempotent]

    assert await twice() == ["a", "b", "c", "d"]
    assert await twice(idempotent=()) == []
    assert await twice(idempotent=("a",)) == ["a"]
    assert await twice(idempotent=(), trust_hints=True) == ["b", "c"]
    assert await twice(idempotent=("a",), trust_hints=True) == ["a", "b", "c"]


async def test_what_cannot_be_offered_is_left_out(servers: McpServers, modern: McpService) -> None:
    modern.tools = [
        listed("ok"),
        listed("o/k"),
        listed("o.k"),
        listed("n" * 70),
        listed("large", input_schema={"type": "object", "description": "x" * 20_000}),
        listed("wrong", input_schema={"type": "object", "properties": {"a": {"type": "strange"}}}),
    ]
    assert await names(servers, modern) == ["sea_ok", "sea_o_k"]
    modern.tools = [listed(f"t{number}") for number in range(80)]
    assert len(await names(servers, modern, timeout=9.0)) == 64


async def test_a_change_is_seen_when_the_list_is_old() -> None:
    clock = FakeClock()
    servers = McpServers(clock, list_timeout=60)
    with mcp_serving(McpService()) as service:
        assert await names(servers, service) == ["sea_forecast", "sea_tides"]
        service.tools = [listed("new")]
        assert await names(servers, service) == ["sea_forecast", "sea_tides"]
        assert service.lists == 1
        await clock.advance(FRESH)
        assert await asyncio.gather(*(names(servers, service) for _ in range(5))) == [["sea_new"]] * 5
        assert service.lists == 2


async def test_a_change_that_is_announced_is_seen_at_once() -> None:
    servers = McpServers(FakeClock(), list_timeout=60)
    with mcp_serving(McpService(), legacy=True) as service:
        (forecast, _) = await offered(servers, service)
        service.announces, service.tools = True, [listed("new")]
        await servers.call(forecast, "{}", "k")
        assert await names(servers, service) == ["sea_new"]


async def test_a_server_that_fails_is_not_asked_again_at_once() -> None:
    clock = FakeClock()
    servers = McpServers(clock, list_timeout=60)
    with mcp_serving(McpService()) as service:
        service.fails = True
        for _ in range(3):
            assert await servers.tools_of(service.declared()) is None
        assert service.lists == 1
        service.fails = False
        await clock.advance(FRESH)
        assert await names(servers, service) == ["sea_forecast", "sea_tides"]


async def test_a_server_that_is_slow_is_left_out(service: McpService) -> None:
    service.gate.clear()
    service.slow = True
    assert await McpServers(SystemClock(), list_timeout=0.2).tools_of(service.declared()) is None


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (CallToolResult(content=[TextContent(text="a"), TextContent(text="b")]), ToolResult("a\nb")),
        (CallToolResult(content=[TextContent(text="oh")], is_error=True), ToolResult("oh", is_error=True)),
        (CallToolResult(content=[], structured_content={"n": 1}), ToolResult('{"n": 1}')),
        (
            CallToolResult(content=[ImageContent(data="AA==", mime_type="image/png")]),
            ToolResult("[image that cannot be shown]"),
        ),
        (CallToolResult(content=[TextContent(text="x\0")]), ToolResult("x\ufffd")),
        (
            CallToolResult(content=[TextContent(text="x" * (RESULT_MAX + 1))]),
            ToolResult("x" * RESULT_MAX, truncated=True),
        ),
    ],
)
async def test_an_answer_is_a_result_within_limits(
    servers: McpServers, modern: McpService, answer: CallToolResult, result: ToolResult
) -> None:
    modern.answers["forecast"] = lambda: answer
    assert await servers.call((await offered(servers, modern))[0], "{}", "k") == result


async def test_a_failure_is_told_to_the_model(servers: McpServers, service: McpService) -> None:
    forecast, tides = await offered(servers, service)

    def fails() -> CallToolResult:
        raise RuntimeError("a bug")

    service.answers["forecast"] = fails
    result = await servers.call(forecast, "{}", "k")
    assert (result.is_error, result.content.startswith("The tool failed: ")) == (True, True)
    assert await servers.call(tides, "{}", "k") == ToolResult("{}")


async def test_a_tool_that_does_not_answer_is_given_up(servers: McpServers, service: McpService) -> None:
    (forecast, _) = await offered(servers, service, timeout=1.0)
    service.gate.clear()
    result = await servers.call(forecast, "{}", "k")
    assert result == LostResult("The tool did not answer within 1 seconds", is_error=True)
    assert len(service.calls) == 1


async def test_a_server_that_goes_is_told_to_the_model(servers: McpServers) -> None:
    with mcp_serving(McpService()) as service:
        (forecast, _) = await offered(servers, service)
    result = await servers.call(forecast, "{}", "k")
    assert result == ToolResult("The tool's server cannot be reached", is_error=True)


async def test_a_server_that_does_not_answer_before_it_has_the_call_has_not_lost_it(
    servers: McpServers, service: McpService
) -> None:
    (forecast, _) = await offered(servers, service, timeout=1.0, idempotent=())
    service.gate.clear()
    service.slow = True
    result = await servers.call(forecast, "{}", "k")
    assert result == ToolResult("The tool did not answer within 1 seconds", is_error=True)
    assert service.calls == []


@pytest.mark.parametrize("idempotent", [True, False])
async def test_only_a_tool_that_may_be_called_twice_is(
    servers: McpServers, modern: McpService, idempotent: bool
) -> None:
    (forecast, _) = await offered(servers, modern, idempotent=None if idempotent else ())

    def refuses() -> CallToolResult:
        raise MCPError(HEADER_MISMATCH, "Which city?")

    modern.answers["forecast"] = refuses
    assert (await servers.call(forecast, "{}", "k")).is_error
    assert len(modern.calls) == (2 if idempotent else 1)


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_connection_that_ends_behind_a_call_has_lost_its_answer(servers: McpServers, idempotent: bool) -> None:
    with mcp_serving(McpService()) as service:
        (forecast, _) = await offered(servers, service, idempotent=None if idempotent else ())
        service.hangs_up = True
        result = await servers.call(forecast, "{}", "k")
    assert len(service.calls) == 1
    assert isinstance(result, LostResult)
    assert result.is_error


async def test_a_server_that_asks_back_is_told_to_the_model(servers: McpServers, modern: McpService) -> None:
    (forecast, _) = await offered(servers, modern, idempotent=())
    modern.answers["forecast"] = lambda: InputRequiredResult(request_state="more")
    result = await servers.call(forecast, "{}", "k")
    assert result == ToolResult("The tool asks for something that nobody can answer", is_error=True)
    assert len(modern.calls) == 1


async def test_an_answer_without_end_is_not_read(servers: McpServers, service: McpService) -> None:
    (forecast, _) = await offered(servers, service)
    service.answers["forecast"] = lambda: CallToolResult(content=[TextContent(text="x" * 3_000_000)])
    assert (await servers.call(forecast, "{}", "k")).is_error


# What a persona's model is offered


async def installation() -> InstallationId:
    return InstallationId("i")


async def test_a_server_does_not_replace_the_tool_of_another(servers: McpServers, modern: McpService) -> None:
    own: HttpTool = tool("sea_tides")
    toolbox = Toolbox(ScriptedTools(), servers, installation)
    away = modern.declared(name="land", url="http://127.0.0.1:1/mcp")
    offer = await toolbox.offer([own], [modern.declared(), away])
    assert [each.name for each in offer.tools] == ["sea_tides", "sea_forecast"]
    assert offer.tools[0] is own
    assert offer.missing == ("land",)
