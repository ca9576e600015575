"""Tools as the simulation has them: one server that records what reaches it, behind a network that loses answers.

The server is no process that can be stopped: a request that was sent arrives, whatever becomes of who sent it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextvars import Context

from parlor.cache.records import decode_doc, decode_part
from parlor.model.parts import ToolCallPart
from parlor.model.tools import AskedCall, ClientTool, DeclaredTool, HttpTool, LostResult, McpServer, McpTool, ToolResult
from parlor.rooms.tool_steps import SEND_WITHIN
from parlor.tools.arguments import canonical
from tests.chaos.call_rules import Calls, Logged, Run, ToolKind
from tests.chaos.observed import call_seen, calls_in
from tests.chaos.simulation.redis_server import SimServer

TOOLS = {
    "pay": ToolKind("always", idempotent=False, timeout=4.0),
    "book": ToolKind("always", timeout=3.0),
    "launch": ToolKind(idempotent=False, timeout=2.0),
    "weather": ToolKind(timeout=2.0),
    "once": ToolKind("first", timeout=2.0),
    "browser": ToolKind(client=True),
    "camera": ToolKind("always", client=True),
}
EDITABLE = frozenset({"pay", "book", "camera"})
UNSENT, LOST, SLOW = 0.05, 0.1, 0.1
"""Shares of the requests: never sent, answered unheard, answered after the caller's time limit."""


def declared(tools: Mapping[str, ToolKind] = TOOLS) -> tuple[DeclaredTool, ...]:
    """What a persona declares of them."""
    return tuple(_declared(name, kind) for name, kind in tools.items())


def _declared(name: str, kind: ToolKind) -> DeclaredTool:
    text = {"type": "string"}
    schema = {"type": "object", "properties": {"ask": text, "to": text}, "additionalProperties": False}
    if kind.client:
        return ClientTool(name, name.title(), name, schema, kind.approval, name in EDITABLE)
    url = f"https://{name}.test/"
    return HttpTool(
        name, name.title(), name, schema, url, {}, kind.timeout, False, kind.idempotent, kind.approval, name in EDITABLE
    )


class ToolServer:
    """``runs`` has every request that reached it."""

    def __init__(self, chance: random.Random, tools: Mapping[str, ToolKind] = TOOLS) -> None:
        self.tools = tools
        self.runs: list[Run] = []
        self.wanted = True
        """Whether models still ask for calls."""
        self._chance = chance
        self._serving: set[asyncio.Task[None]] = set()
        self._asks = 0

    def asks(self, count: int) -> tuple[AskedCall, ...]:
        """What a model asks for: each of the calls is like no other, but of a tool that is approved once."""
        return tuple(self._ask(self._chance.choice(list(self.tools))) for _ in range(count))

    def _ask(self, name: str) -> AskedCall:
        self._asks += 1
        if self.tools[name].approval == "first":
            return AskedCall(name, canonical({"to": self._chance.choice(["Eve", "Bob"])}))
        # Not in its canonical form: what is digested is.
        return AskedCall(name, f'{{"to": "Eve", "ask": "{self._asks}"}}')

    async def call(self, tool: HttpTool, arguments: str, key: str) -> ToolResult:
        """One request, as its sender sees it; what each process calls HTTP tools with."""
        name, timeout = tool.name, tool.timeout
        loop = asyncio.get_running_loop()
        sent_at, lot, chance = loop.time(), self._chance.random(), self._chance
        if lot < UNSENT:
            await asyncio.sleep(chance.uniform(0.001, 0.1))
            return ToolResult("The tool cannot be reached", is_error=True)
        answer: asyncio.Future[ToolResult] = loop.create_future()
        takes = timeout * 2 if lot > 1 - SLOW else chance.uniform(0.01, timeout * 0.8)
        heard = not UNSENT <= lot < UNSENT + LOST
        serving = loop.create_task(
            self._serve(answer, (name, arguments, key), sent_at, takes, heard=heard), context=Context()
        )
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            return LostResult("The tool did not answer", is_error=True)

    async def _serve(
        self,
        answer: asyncio.Future[ToolResult],
        asked: tuple[str, str, str],
        sent_at: float,
        takes: float,
        *,
        heard: bool,
    ) -> None:
        await asyncio.sleep(self._chance.uniform(0.001, 0.3))
        name, arguments, key = asked
        said = f"{name} number {len(self.runs)}"
        self.runs.append(Run(asyncio.get_running_loop().time(), name, arguments, key, said, sent_at))
        await asyncio.sleep(takes)
        if not answer.done():
            answer.set_result(ToolResult(said) if heard else LostResult("The tool cannot be reached", is_error=True))


class NoServers:
    """There is no MCP server."""

    async def tools_of(self, server: McpServer) -> tuple[McpTool, ...] | None:
        raise AssertionError(server.name)

    async def call(self, tool: McpTool, arguments: str, key: str) -> ToolResult:
        raise AssertionError(tool.name)


class Ledger:
    """Every change of a call that any event log ever had: reads each log after each script, before anything is lost."""

    def __init__(self, server: SimServer) -> None:
        self.told: list[Logged] = []
        self._server = server
        self._read: dict[str, bytes] = {}
        server.watchers.append(self._look)

    def calls(self, server: ToolServer) -> Calls:
        """What became of them all."""
        return Calls(TOOLS, server.runs, self.told, SEND_WITHIN)

    def counted(self, server: ToolServer | None) -> Counter[str]:
        """How many calls came to each state, and how many requests reached the tools."""
        states = {(told.call.call_id, told.call.state) for told in self.told}
        return Counter({"runs": len(server.runs) if server is not None else 0}) + Counter(state for _, state in states)

    def _look(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            if ":events:" in key:
                entries = self._server.look(("XRANGE", key, b"(" + self._read.get(key, b"0-0"), "+"))
                for entry_id, fields in entries:
                    self._read[key] = entry_id
                    self._take(fields)

    def _take(self, fields: dict[bytes, bytes]) -> None:
        now = asyncio.get_running_loop().time()
        message_id = fields.get(b"message", b"").decode()
        if b"part" in fields and isinstance(part := decode_part(fields[b"part"]), ToolCallPart):
            self.told.append(Logged(now, message_id, call_seen(part)))
        elif b"doc" in fields:
            ended = calls_in(decode_doc(fields[b"doc"]).parts or ())
            self.told += [Logged(now, message_id, call, ended=True) for call in ended]
