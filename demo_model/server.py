"""The demo model: an HTTP server that speaks OpenAI's protocol, without a language model behind it.

``POST /v1/chat/completions`` (with and without ``stream``), ``GET /v1/models``, ``GET /healthz``, ``GET /stats``.
Parlor uses it until a language model is configured, and so do the tests and the benchmarks. Its answers, and the
directives that make it slow, fail or hang, are in ``demo_model/script.py``; the program is ``demo_model/__main__.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Literal

import msgspec

from demo_model.http import Connection, HttpServer, Request
from demo_model.script import (
    Behaviour,
    DirectiveError,
    answer_to,
    behaviour_for,
    filler,
    is_material,
    parse_directives,
    rest_of,
    split_tokens,
    unfinished,
)
from parlor.clock import Clock, SystemClock
from parlor.llm.ports import PromptTurn
from parlor.llm.tokens import estimate_tokens

MODEL = "parlor-demo"
BURST = 32
"""Tokens in one write when there is no delay between them; each is still a chunk of its own, as from a real server."""
REMEMBERED = 1000
"""Number of messages whose requests are counted for ``times``."""
HANG_MAX = 3600.0
"""Seconds after which a hanging answer is cut off."""


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Turn(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None

    def plain(self) -> PromptTurn:
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content or [])
        match self.role:
            case "user" | "assistant":
                return PromptTurn(self.role, text)
            case _:
                return PromptTurn("system", text)


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Order(msgspec.Struct):
    """A request for a completion; only the fields that the demo model uses."""

    messages: list[_Turn]
    model: str = MODEL
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


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
            case "POST", "/v1/chat/completions":
                await self._counted(request, connection)
            case "GET", "/v1/models":
                model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "parlor"}
                connection.respond(HTTPStatus.OK, _json({"object": "list", "data": [model]}))
            case "GET", "/healthz":
                connection.respond(HTTPStatus.OK, _json({"status": "ok"}))
            case "GET", "/stats":
                stats = msgspec.structs.replace(self._stats, connections=self.server.connections)
                connection.respond(HTTPStatus.OK, _json(stats))
            case _:
                connection.respond(HTTPStatus.NOT_FOUND, _error(f"No route {request.method} {request.path}"))

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
            order = msgspec.json.decode(request.body, type=_Order)
            turns = [turn.plain() for turn in order.messages]
            asked = "" if is_material(turns) else next((t.content for t in reversed(turns) if t.role == "user"), "")
            behaviour = self._this_time(asked, behaviour_for(asked, self._base))
        except (msgspec.MsgspecError, UnicodeDecodeError, DirectiveError) as error:
            connection.respond(HTTPStatus.BAD_REQUEST, _error(str(error)))
            return False
        if behaviour.reject:
            given = msgspec.json.decode(request.body, type=dict[str, msgspec.Raw])
            for name in behaviour.reject:
                if name in given:
                    connection.respond(HTTPStatus.BAD_REQUEST, _error(f"Unsupported parameter: '{name}'", param=name))
                    return False
        if behaviour.hang:
            await self._clock.sleep(HANG_MAX)
        if behaviour.fail is not None:
            return await self._refuse(behaviour, connection)
        text = request.body.decode() if behaviour.echo else _answer(turns, behaviour)
        run = _Run(self._clock, order, turns, behaviour, split_tokens(text), self._stats.requests)
        return await (run.stream(connection) if order.stream else run.whole(connection))

    async def _refuse(self, behaviour: Behaviour, connection: Connection) -> bool:
        await self._clock.sleep(behaviour.first)
        status = HTTPStatus(behaviour.fail or 500)
        headers = {} if behaviour.retry_after is None else {"Retry-After": f"{behaviour.retry_after:g}"}
        kind = "rate_limit_exceeded" if status == HTTPStatus.TOO_MANY_REQUESTS else "server_error"
        connection.respond(status, _error("The demo model was told to fail", kind=kind), headers)
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


def _answer(turns: list[PromptTurn], behaviour: Behaviour) -> str:
    said = unfinished(turns)
    if behaviour.text is not None:
        answer = behaviour.text
    elif behaviour.tokens is not None:
        answer = filler(behaviour.tokens)
    else:
        answer = answer_to(turns[:-1] if said else turns)
    return rest_of(answer, said)


class _Run:
    """The answer to one request."""

    def __init__(
        self,
        clock: Clock,
        order: _Order,
        turns: list[PromptTurn],
        behaviour: Behaviour,
        tokens: list[str],
        number: int,
    ) -> None:
        self._clock = clock
        self._order = order
        self._behaviour = behaviour
        limit = order.max_completion_tokens or order.max_tokens or len(tokens)
        self._tokens = tokens[:limit]
        self._finish = "length" if limit < len(tokens) else behaviour.finish
        self._usage = {
            "prompt_tokens": (prompt := sum(estimate_tokens(turn.content) for turn in turns)),
            "completion_tokens": len(self._tokens),
            "total_tokens": prompt + len(self._tokens),
        }
        self._head = {
            "id": f"chatcmpl-demo-{number}",
            "created": clock.now_ms() // 1000,
            "model": order.model,
        }

    async def whole(self, connection: Connection) -> bool:
        """Answers without ``stream``, after the time that the stream would take."""
        behaviour = self._behaviour
        await self._clock.sleep(behaviour.first + behaviour.delay * max(len(self._tokens) - 1, 0))
        if behaviour.hang_after is not None:
            await self._clock.sleep(HANG_MAX)
        if behaviour.fail_after is not None:
            connection.respond(HTTPStatus.INTERNAL_SERVER_ERROR, _error("The demo model was told to fail"))
            return False
        message = {"role": "assistant", "content": "".join(self._tokens), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        body = {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage}
        connection.respond(HTTPStatus.OK, _json(body))
        return True

    async def stream(self, connection: Connection) -> bool:
        behaviour = self._behaviour
        connection.begin({"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"})
        await connection.write([self._chunk({"role": "assistant", "content": ""})])
        stops = [stop for stop in (behaviour.fail_after, behaviour.hang_after) if stop is not None]
        await self._deltas(connection, self._tokens[: min(stops)] if stops else self._tokens)
        if behaviour.hang_after is not None and behaviour.hang_after == min(stops):
            await self._clock.sleep(HANG_MAX)
        if behaviour.fail_after is not None:
            if behaviour.fail_as == "error":
                await connection.write([b"data: %b\n\n" % _error("The demo model was told to fail")])
            if behaviour.fail_as == "cut":
                connection.cut()
            else:
                connection.end()
            return False
        last = [self._chunk({}, self._finish)]
        options = self._order.stream_options
        if options is not None and options.include_usage:
            usage = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage}
            last.append(b"data: %b\n\n" % _json(usage))
        await connection.write([*last, b"data: [DONE]\n\n"])
        connection.end()
        return True

    async def _deltas(self, connection: Connection, tokens: list[str]) -> None:
        behaviour = self._behaviour
        before, after = self._chunk({"content": "\0"}).rsplit(b'"\\u0000"', 1)
        if behaviour.stamp:
            await self._stamps(connection, len(tokens), before, after)
            return
        chunks = [b"%b%b%b" % (before, _json(token), after) for token in tokens]
        if behaviour.first:
            await self._clock.sleep(behaviour.first)
        if not behaviour.delay:
            for start in range(0, len(chunks), BURST):
                await connection.write(chunks[start : start + BURST])
                await self._clock.sleep(0)  # lets other connections run
            return
        due = self._clock.monotonic()
        for chunk in chunks:
            # Follows a schedule, so that the cost of a token does not add to the delay.
            if (wait := due - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            await connection.write([chunk])
            due += behaviour.delay

    async def _stamps(self, connection: Connection, count: int, before: bytes, after: bytes) -> None:
        """Sends tokens that contain the time at which they are sent."""
        await self._clock.sleep(self._behaviour.first)
        due = self._clock.monotonic()
        for _ in range(count):
            if (wait := due - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            await connection.write([b'%b"%d "%b' % (before, self._clock.now_ms(), after)])
            due += self._behaviour.delay

    def _chunk(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: %b\n\n" % _json({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


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


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _error(message: str, *, kind: str = "invalid_request_error", param: str | None = None) -> bytes:
    return _json({"error": {"message": message, "type": kind, "param": param, "code": None}})
