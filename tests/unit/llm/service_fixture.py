"""AIChatService with a clock that does not wait, connected to a demo model in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx2

from demo_model.http import Connection, Handler, HttpServer, Request
from parlor.clock import SystemClock
from parlor.errors import LlmError
from parlor.llm.ports import Completion, Context, Persona, PromptTurn, TextDelta
from parlor.llm.service import AIChatService
from parlor.llm.upstream import Upstream
from parlor.model.ids import RoomId
from parlor.model.messages import Message
from parlor.settings import LlmSettings
from tests.unit.fake_clock import LeapingTime
from tests.unit.llm.fake_history import FakeSummaries

KEY = "very-secret-key"
PERSONAS = [
    Persona("GPT4O", "t", "d", "Be kind.", "gpt-4o", temperature=0.5, max_tokens=500),
    Persona("PLAIN", "t", "d", "Be plain.", "other-model"),
]


class SwiftClock(SystemClock):
    """The event loop's clock, which a test can move on. Sleeping takes no time and is recorded."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._time = LeapingTime(asyncio.get_running_loop())

    def monotonic(self) -> float:
        return self._time.monotonic()

    def leap(self, seconds: float) -> None:
        self._time.leap(seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


class EmptyHistory:
    async def before(self, room_id: RoomId, seq: int, limit: int) -> list[Message]:
        return []


class ServiceFixture:
    """A service, its clock, and the demo model's statistics."""

    def __init__(self, service: AIChatService, clock: SwiftClock, http: httpx2.AsyncClient) -> None:
        self.service = service
        self.clock = clock
        self.http = http
        self.heard: list[str] = []
        """Pieces received so far of the answer that will fail."""

    async def stats(self) -> dict[str, int]:
        found: dict[str, int] = (await self.http.get("/stats")).json()
        return found

    async def stats_when(self, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        async with asyncio.timeout(10):
            while not condition(found := await self.stats()):
                continue
        return found

    async def chat(self, text: str, persona: str = "PLAIN") -> tuple[list[str], Completion]:
        texts: list[str] = []
        async for part in self.service.chat(persona, context(text)):
            if isinstance(part, Completion):
                return texts, part
            if isinstance(part, TextDelta):
                texts.append(part.text)
        raise AssertionError("no completion")

    async def failure(self, text: str) -> tuple[str, LlmError]:
        """Returns the text before the error, and the error."""
        self.heard.clear()
        try:
            async for part in self.service.chat("PLAIN", context(text)):
                if isinstance(part, TextDelta):
                    self.heard.append(part.text)
        except LlmError as error:
            return "".join(self.heard), error
        raise AssertionError("no error")


def context(text: str) -> Context:
    return Context([PromptTurn("system", "s"), PromptTurn("user", text)], 1, 0)


@asynccontextmanager
async def serving(
    url: str, http: httpx2.AsyncClient, summaries: FakeSummaries | None = None, **settings: object
) -> AsyncIterator[ServiceFixture]:
    clock = SwiftClock()
    llm = LlmSettings.model_validate({"base_url": url, **settings})
    model = Upstream(llm, KEY, clock)
    service = AIChatService(llm, model, PERSONAS, EmptyHistory(), summaries or FakeSummaries(), clock)
    try:
        yield ServiceFixture(service, clock, http)
    finally:
        await service.close()


@asynccontextmanager
async def server_of(handle: Handler) -> AsyncIterator[str]:
    """A server that answers as ``handle`` does; yields its base URL."""
    server = HttpServer(handle)
    port = await server.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        await server.close()


@asynccontextmanager
async def answering(status: HTTPStatus, body: bytes, headers: dict[str, str]) -> AsyncIterator[str]:
    """A server that gives every request the same answer."""

    async def handle(request: Request, connection: Connection) -> None:
        connection.respond(status, body, headers)

    async with server_of(handle) as url:
        yield url
