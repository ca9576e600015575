"""The demo model: an HTTP server that speaks OpenAI's protocol, without a language model behind it.

``POST /v1/chat/completions`` and ``/v1/responses`` (with and without ``stream``), ``GET /v1/models``, ``GET /healthz``,
``GET /stats``.
Parlor uses it until a language model is configured, and so do the tests and the benchmarks. Its answers, and the
directives that make it slow, fail, hang, think or call tools, are in ``demo_model/script.py``; the program is
``demo_model/__main__.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec

from demo_model import responses
from demo_model.http import Connection, HttpServer, Request
from demo_model.request import MODEL, Order
from demo_model.responses import ResponseRun, ResponsesOrder
from demo_model.run import HANG_MAX, Run, answer_for, calls_for, error_body, json_body
from demo_model.script import (
    Behaviour,
    DirectiveError,
    behaviour_for,
    is_material,
    parse_directives,
    split_tokens,
)
from parlor.clock import Clock, SystemClock

REMEMBERED = 1000
"""Number of messages whose requests are counted for ``times``."""


class Stats(msgspec.Struct):
    """Counts of completions since the start, for ``GET /stats``."""

    requests: int = 0
    open: int = 0
    completed: int = 0
    failed: int = 0
    """Completions that were refused or broken off by a directive."""
    aborted: int = 0
    """Completions whose client disconnected before the end."""
    connections: int = 0
    """Open connections."""


class DemoModel:
    """The routes of the server."""

    def __init__(self, base: Behaviour, clock: Clock) -> None:
        self._base = base
        self._clock = clock
        self._stats = Stats()
        self._seen: dict[str, int] = {}
        self.server = HttpServer(self._handle)

    async def _handle(self, request: Request, connection: Connection) -> None:
        match request.method, request.path:
            case "POST", "/v1/chat/completions" | responses.PATH:
                await self._counted(request, connection)
            case "GET", "/v1/models":
                model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "parlor"}
                connection.respond(HTTPStatus.OK, json_body({"object": "list", "data": [model]}))
            case "GET", "/healthz":
                connection.respond(HTTPStatus.OK, json_body({"status": "ok"}))
            case "GET", "/stats":
                stats = msgspec.structs.replace(self._stats, connections=self.server.connections)
                connection.respond(HTTPStatus.OK, json_body(stats))
            case _:
                connection.respond(HTTPStatus.NOT_FOUND, error_body(f"No route {request.method} {request.path}"))

    async def _counted(self, request: Request, connection: Connection) -> None:
        self._stats.requests += 1
        self._stats.open += 1
        try:
            whole = await self._complete(request, connection)
        except asyncio.CancelledError:
            self._stats.aborted += 1
            raise
        finally:
            self._stats.open -= 1
        if whole:
            self._stats.completed += 1
        else:
            self._stats.failed += 1

    async def _complete(self, request: Request, connection: Connection) -> bool:
        """Answers a request; whether with a completion."""
        try:
            as_response = request.path == responses.PATH
            if as_response:
                order = msgspec.json.decode(request.body, type=ResponsesOrder).order()
            else:
                order = msgspec.json.decode(request.body, type=Order)
            turns = order.turns()
            asked = "" if is_material(turns) else order.question()
            behaviour = self._this_time(asked, behaviour_for(asked, self._base))
        except (msgspec.MsgspecError, UnicodeDecodeError, DirectiveError) as error:
            connection.respond(HTTPStatus.BAD_REQUEST, error_body(str(error)))
            return False
        if behaviour.reject:
            given = msgspec.json.decode(request.body, type=dict[str, msgspec.Raw])
            for name in behaviour.reject:
                if name in given:
                    connection.respond(
                        HTTPStatus.BAD_REQUEST, error_body(f"Unsupported parameter: '{name}'", param=name)
                    )
                    return False
        if behaviour.hang:
            await self._clock.sleep(HANG_MAX)
        if behaviour.fail is not None:
            return await self._refuse(behaviour, connection)
        calls = [] if is_material(turns) else calls_for(order, behaviour)
        text = "" if calls else request.body.decode() if behaviour.echo else answer_for(order, behaviour)
        run = (ResponseRun if as_response else Run)(
            self._clock, order, behaviour, split_tokens(text), calls, self._stats.requests
        )
        return await (run.stream(connection) if order.stream else run.whole(connection))

    async def _refuse(self, behaviour: Behaviour, connection: Connection) -> bool:
        await self._clock.sleep(behaviour.first)
        status = HTTPStatus(behaviour.fail or 500)
        headers = {} if behaviour.retry_after is None else {"Retry-After": f"{behaviour.retry_after:g}"}
        kind = "rate_limit_exceeded" if status == HTTPStatus.TOO_MANY_REQUESTS else "server_error"
        connection.respond(status, error_body("The demo model was told to fail", kind=kind), headers)
        return False

    def _this_time(self, asked: str, behaviour: Behaviour) -> Behaviour:
        """``behaviour``, without its faults after ``times`` requests with the same message."""
        if behaviour.times is None:
            return behaviour
        count = self._seen.pop(asked, 0) + 1
        self._seen[asked] = count
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return behaviour if count <= behaviour.times else behaviour.healthy()


@asynccontextmanager
async def running_demo_model(
    *, host: str = "127.0.0.1", port: int = 0, behave: str = "", clock: Clock | None = None
) -> AsyncIterator[str]:
    """Runs a demo model in this process; yields its base URL. ``behave`` is the content of a directive block.

    Raises ``DirectiveError`` and ``OSError``.
    """
    model = DemoModel(parse_directives(behave, Behaviour()), clock or SystemClock())
    bound = await model.server.start(host, port)
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}/v1"
    finally:
        await model.server.close()
