"""Whatever is answered before FastAPI is answered as FastAPI answers it: each request of a corpus is made to an
application with the hot routes and to one without, and nothing that a client, the gateway or a metric sees differs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import build_app
from api.hot_routes import HotRoutes
from parlor.errors import (
    CacheUnavailable,
    Fenced,
    IdempotencyMismatch,
    Overloaded,
    ParlorError,
    RateLimited,
    RoomBusy,
    RoomNotFound,
    StreamExpired,
)
from parlor.gateway import Gateway
from parlor.model.access import Credential, TicketHolder
from parlor.model.ids import AccountId
from parlor.model.messages import Event
from parlor.settings import ApiSettings, AuthSettings, Settings
from parlor.settings.account_limits import AccountLimits
from parlor.settings.limits import LimitSettings
from tests.unit.api.bearer_tokens import SECRET, token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.recording_metrics import RecordingMetrics
from tests.unit.api.samples import CURSOR, REPLY, ROOM
from tests.unit.fake_clock import NOW_MS, CountingEntropy, FakeClock

pytestmark = pytest.mark.unit

SENDS = f"/v1/rooms/{ROOM}/messages"
EVENTS = ("/v1/events", f"/v1/rooms/{ROOM}/events", f"/v1/rooms/{ROOM}/messages/{REPLY}/events")
LIMIT = 64 * 1024


class Case(msgspec.Struct, frozen=True):
    """A request, and what the gateway does with it."""

    body: bytes | None = None
    path: str = SENDS
    method: str = "POST"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Beside the usual ones; ``-name`` leaves one out."""
    hot: bool = True
    """Whether FastAPI is not asked."""
    fails: ParlorError | None = None
    refused: ParlorError | None = None
    """What entering a stream raises."""
    changes: dict[str, Any] = {}
    """Of the receipt."""
    announces: int | None = None
    """The body's length, if it is not that of the body."""
    times: int = 1
    limits: dict[str, Any] = {}


def send(value: object = None, *headers: tuple[str, str], **fields: Any) -> Case:
    return Case(json.dumps(value or {"content": "hello"}).encode(), headers=headers, **fields)


def raw(body: bytes | str, **fields: Any) -> Case:
    """A body that FastAPI has to explain, unless said otherwise."""
    return Case(body.encode() if isinstance(body, str) else body, **{"hot": False, **fields})


def events(path: str, *headers: tuple[str, str], **fields: Any) -> Case:
    return Case(None, path, **{"method": "GET", "headers": headers, **fields})


UNDERSTOOD = {
    "content": send(),
    "every field": send(
        {"content": "é 🫖", "ai_persona": "P", "metadata": {"a": [1, 2.5, None]}, "on_busy": "merge", "reply": "none"}
    ),
    "nulls": send({"content": "x", "ai_persona": None, "metadata": None}),
    "no metadata is not empty metadata": send({"content": "x", "metadata": {}}, ("Idempotency-Key", "k")),
    "escapes": raw(rb'{"content":"\u00e9\ud83e\uded6\n\/"}', hot=True),
    "an escaped name": raw(rb'{"\u0063ontent":"x"}', hot=True),
    "a name twice": raw(b'{"content":"a","content":"b"}', hot=True),
    "a name of metadata twice": raw(b'{"content":"a","metadata":{"k":1,"k":2}}', hot=True),
    "blanks around": raw(b' \t\r\n{ "content" : "x" } \n', hot=True),
    "numbers": raw(
        b'{"content":"x","metadata":{"n":[0,-0,-0.0,1e3,1E-7,0.1,9007199254740993,-9223372036854775808]}}', hot=True
    ),
    "the largest integer": raw(b'{"content":"x","metadata":{"n":9223372036854775807}}', hot=True),
    "one more": raw(b'{"content":"x","metadata":{"n":9223372036854775808}}', hot=True),
    "a longer integer": raw(b'{"content":"x","metadata":{"n":123456789012345678901234567890}}', hot=True),
    "deep": raw(b'{"content":"x","metadata":{"n":' + b"[" * 15 + b"]" * 15 + b"}}", hot=True),
    "too deep": raw(b'{"content":"x","metadata":{"n":' + b"[" * 17 + b"]" * 17 + b"}}", hot=True),
    "metadata with U+0000": send({"content": "x", "metadata": {"k": "a\0"}}),
    "metadata that is too large": send({"content": "x", "metadata": {"k": "v" * 5000}}),
    "content that is too long": send({"content": "x" * 1001}),
    "the longest name of a persona": send({"content": "x", "ai_persona": "ü" * 64}),
    "a query": send(query="a=b&after=%00"),
    "capitals in the id": send(path=SENDS.upper().replace("/V1/ROOMS", "/v1/rooms").replace("/MESSAGES", "/messages")),
    "no id": send(path="/v1/rooms/nonsense/messages"),
    "an id of nobody": send(path=f"/v1/rooms/{ROOM[:-1]}/messages"),
    "no token": send(None, ("-Authorization", "")),
    "a bad token": send(None, ("Authorization", "Bearer x")),
    "a bad token, again": send(None, ("Authorization", "Bearer x"), times=4, limits={"refused_tokens_burst": 2}),
    "another scheme": send(None, ("Authorization", "Basic eDp5")),
    "two tokens": send(None, ("+Authorization", "Bearer y")),
    "a request id": send(None, ("X-Request-ID", "mine-1")),
    "a request id that is none": send(None, ("X-Request-ID", "a b")),
    "a key": send(None, ("Idempotency-Key", '"k"')),
    "a bad key": send(None, ("Idempotency-Key", '"k')),
    "two keys": send(None, ("Idempotency-Key", "a"), ("+Idempotency-Key", "b")),
    "a repeat": send(None, ("Idempotency-Key", "k"), changes={"replayed": True}),
    "no reply": send(changes={"reply": None}),
    "wait": send(None, ("Prefer", "wait=3")),
    "persisted": send(None, ("Prefer", "durability=persisted")),
    "both": send(None, ("Prefer", "wait=3"), ("+Prefer", "durability=persisted")),
    "as events": send(None, ("Accept", "text/event-stream")),
    "as JSON rather than events": send(None, ("Accept", "application/json, text/event-stream;q=0.5")),
    "more sends than allowed": send(times=3, limits={"sends_burst": 2, "sends_per_second": 1}),
    "more requests than allowed": send(times=3, limits={"requests_burst": 2, "requests_per_second": 1}),
    "a share of none": send(limits={"requests_at_once": 1}, times=2),
    **{
        f"refused: {error.code}": send(fails=error)
        for error in (
            RoomNotFound(),
            RoomBusy("a reply is being written"),
            IdempotencyMismatch(),
            Overloaded("too much", retry_after=2.5),
            CacheUnavailable("Redis", debug="secret"),
            RateLimited("enough", retry_after=7),
            Fenced(),
        )
    },
    **{f"{path}: from now": events(path) for path in EVENTS},
    **{f"{path}: after": events(path, query=f"after={CURSOR}") for path in EVENTS},
    **{f"{path}: no cursor": events(path, query="after=x") for path in EVENTS},
    **{f"{path}: refused": events(path, refused=RoomNotFound()) for path in EVENTS},
    **{f"{path}: a ticket": events(path, ("-Authorization", ""), query="ticket=17-t") for path in EVENTS},
    "after twice": events(EVENTS[1], query=f"after=x&after={CURSOR}"),
    "a header wins": events(EVENTS[1], ("Last-Event-ID", CURSOR), query="after=x"),
    "expired": events(EVENTS[1], refused=StreamExpired(extra={"oldest_cursor": CURSOR})),
    "a ticket and a token": events(EVENTS[1], query="ticket=17-t"),
    "two tickets": events(EVENTS[1], ("-Authorization", ""), query="ticket=17-t&ticket=17-t"),
    "events without a token": events(EVENTS[1], ("-Authorization", "")),
    "events of no room": events("/v1/rooms/nonsense/events"),
    "events of no message": events(f"/v1/rooms/{ROOM}/messages/nonsense/events"),
    "headers of events": events(EVENTS[1], method="HEAD"),
}
PASSED_ON = {
    "no body": raw(b""),
    "no JSON": raw("hello"),
    "cut": raw('{"content":"x'),
    "more than one value": raw('{"content":"x"}{}'),
    "a list": raw('["content"]'),
    "parts": send({"content": "a", "parts": [{"type": "text", "text": "b"}]}, hot=False),
    "nothing said": raw('{"content":null}'),
    "an unknown field": raw('{"content":"x","contents":"y"}'),
    "no content": raw('{"reply":"none"}'),
    "empty": raw('{"content":""}'),
    "blank": raw('{"content":" \\u200b\\n"}'),
    "U+0000": raw('{"content":"a\\u0000"}'),
    "half of a pair": raw(rb'{"content":"\ud83e"}'),
    "half of a pair in metadata": raw(rb'{"content":"x","metadata":{"k":"\udc00"}}'),
    "a number": raw('{"content":7}'),
    "null": raw('{"content":null}'),
    "metadata that is a list": raw('{"content":"x","metadata":[]}'),
    "an empty persona": raw('{"content":"x","ai_persona":""}'),
    "a long persona": raw(json.dumps({"content": "x", "ai_persona": "P" * 65})),
    "a persona with U+0000": raw('{"content":"x","ai_persona":"a\\u0000"}'),
    "no mode": raw('{"content":"x","reply":"NONE"}'),
    "no way when busy": raw('{"content":"x","on_busy":null}'),
    "not UTF-8": raw(b'{"content":"\xff"}'),
    "a byte order mark": raw(b'\xef\xbb\xbf{"content":"x"}'),
    "NaN": raw('{"content":"x","metadata":{"n":NaN}}'),
    "infinite": raw('{"content":"x","metadata":{"n":1e400}}'),
    "very deep": raw('{"content":"x","metadata":{"n":' + "[" * 5000 + "]" * 5000 + "}}"),
    "a single quote": raw("{'content':'x'}"),
    "a comma too many": raw('{"content":"x",}'),
    "a charset": send(None, ("Content-Type", "application/json; charset=utf-8"), hot=False),
    "capitals": send(None, ("Content-Type", "Application/JSON"), hot=False),
    "two types": send(None, ("+Content-Type", "text/plain"), hot=False),
    "no type": send(None, ("-Content-Type", ""), hot=False),
    "text": send(None, ("Content-Type", "text/plain"), hot=False),
    "encoded": send(None, ("Content-Encoding", "gzip"), hot=False),
    "in chunks": send(None, ("-Content-Length", ""), ("Transfer-Encoding", "chunked"), hot=False),
    "a charset, as events": send(
        None, ("Content-Type", "application/json;charset=utf-8"), ("Accept", "text/event-stream"), hot=False
    ),
    "unknown fields, again and again": raw(
        '{"x":1}', times=3, limits={"requests_burst": 2, "requests_per_second": 1, "requests_at_once": 1}
    ),
    "a slash more": send(path=SENDS + "/", hot=False),
    "a slash that is data": send(path=SENDS.replace(f"/{ROOM}/", f"%2F{ROOM}/"), hot=False),
    "another method": send(method="PUT", hot=False),
    "events of a longer path": events(EVENTS[1] + "/events", hot=False),
    "a ticket's path": send({"path": EVENTS[0]}, path="/v1/events/ticket", hot=False),
}
TOO_LONG = {
    "announced": Case(b'{"content":"x"}', announces=LIMIT + 1),
    "longer than announced": Case(b'{"content":"x"}' + b" " * LIMIT, announces=10),
}


class Recorder:
    """Counts what reaches FastAPI."""

    def __init__(self, app: ASGIApp, passed_on: list[str]) -> None:
        self._app = app
        self._passed_on = passed_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._passed_on.append(scope["path"])
        await self._app(scope, receive, send)


class Side(msgspec.Struct):
    """An application, and what is known of it afterwards."""

    app: FastAPI
    settings: Settings
    gateway: FakeGateway
    metrics: RecordingMetrics
    passed_on: list[str]


def a_side(case: Case, routes: list[BaseRoute], *, hot: bool) -> Side:
    settings = Settings(
        auth=AuthSettings(secret=SecretStr(SECRET)),
        limits=LimitSettings(refusal_delay=timedelta(0), **case.limits),
        api=ApiSettings(max_streams=2, max_requests=2, body_max=LIMIT, content_max=1000),
    )
    gateway, metrics = FakeGateway(), RecordingMetrics()
    gateway.fails, gateway.subscription.refusal = None, case.refused
    gateway.receipt = msgspec.structs.replace(gateway.receipt, **case.changes)
    gateway.holder = TicketHolder(AccountId("alice"), Credential("secret", NOW_MS, NOW_MS + 60_000))

    async def factory() -> Gateway:
        gateway.limits = AccountLimits(settings.limits)
        return gateway

    app = build_app(settings, factory, clock=FakeClock(), entropy=CountingEntropy(), metrics=metrics)
    app.router.routes[:] = routes
    passed_on: list[str] = []
    innermost: Any = app.user_middleware[-1].cls
    assert innermost is HotRoutes
    if not hot:
        del app.user_middleware[-1]
    app.user_middleware.append(Middleware(Recorder, passed_on=passed_on))
    return Side(app, settings, gateway, metrics, passed_on)


def a_scope(case: Case, settings: Settings) -> Scope:
    headers: dict[str, list[str]] = {"host": ["parlor"], "authorization": [f"Bearer {token(settings)}"]}
    if case.body is not None:
        length = len(case.body) if case.announces is None else case.announces
        headers |= {"content-type": ["application/json"], "content-length": [str(length)]}
    for name, value in case.headers:
        key = name.lower().lstrip("+-")
        if name.startswith("-"):
            del headers[key]
        else:
            headers[key] = [*headers.get(key, ()), value] if name.startswith("+") else [value]
    path = case.path.replace("%2F", "/")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": case.method,
        "scheme": "http",
        "path": path,
        "raw_path": case.path.encode(),
        "query_string": case.query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, values in headers.items() for value in values],
        "client": ("192.0.2.1", 1),
        "server": ("parlor", 80),
    }


async def answer(side: Side, case: Case) -> list[MutableMapping[str, Any]]:
    """Every message that the application sends."""
    incoming: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "http.request", "body": case.body or b"", "more_body": False})
    sent: list[MutableMapping[str, Any]] = []

    async def collect(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    for batch in ([Event(CURSOR, "message.delta", b"{}")], [], None):
        side.gateway.subscription.batches.put_nowait(batch)
    async with asyncio.timeout(10):
        await side.app(a_scope(case, side.settings), incoming.get, collect)
    while not side.gateway.subscription.batches.empty():
        side.gateway.subscription.batches.get_nowait()
    return sent


async def outcome(side: Side, case: Case) -> tuple[object, ...]:
    """All that anybody can see of the case."""
    async with side.app.router.lifespan_context(side.app):
        edge = side.app.state.edge
        answers = []
        for _ in range(case.times):
            side.gateway.fails = None
            answers.append(await answer(side, case))
            side.gateway.fails = case.fails
            answers.append(await answer(side, case))
        left = edge.under_way, edge.streams.taken, edge.limits.requests_at_once._taken, edge.limits.streams._taken
    assert left == (0, 0, {}, {})
    return answers, side.gateway.calls, side.metrics.codes, side.metrics.streams


@pytest.mark.parametrize("name", [*UNDERSTOOD, *PASSED_ON, *TOO_LONG])
async def test_the_answer_is_that_of_fastapi(name: str, routes: list[BaseRoute]) -> None:
    case = {**UNDERSTOOD, **PASSED_ON, **TOO_LONG}[name]
    hot, plain = a_side(case, routes, hot=True), a_side(case, routes, hot=False)
    found, expected = await outcome(hot, case), await outcome(plain, case)
    assert found == expected
    assert len(plain.passed_on) == 2 * case.times or name in TOO_LONG or "more requests" in name
    assert bool(hot.passed_on) != case.hot
