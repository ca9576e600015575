"""What holds for every request: its id and path, the limit on concurrent requests, the headers of each answer, and the
answers to WebSockets and unexpected exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.dialects.anthropic_errors import ANTHROPIC
from api.dialects.openai_errors import OPENAI
from api.edge import Edge
from api.path_ids import path_of
from api.problems import Problem, deny, not_found, respond
from api.rates import rate_fields
from parlor.errors import InternalError, Overloaded, ParlorError, RateLimited
from parlor.model.tracing import is_traced, request_span

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ANSWER_HEADERS = {b"cache-control": b"no-store", b"x-content-type-options": b"nosniff"}
"""Of every answer that does not say otherwise: what is private must not stay in a cache, nor be taken for a page."""
SOCKET = "/v1/socket"
"""The only path that takes a WebSocket."""
_SWITCHING = 101
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/accounts/)[^/]+|(?<=/external/)[^/]+")
_NAME_MAX = 200
_UNLIMITED = frozenset({"/healthz", "/readyz"})
_log = structlog.get_logger(__name__)


class RequestContext:
    """ASGI middleware; only ``Cors`` is outside of it."""

    def __init__(self, app: ASGIApp, *, edge: Edge, echo_request_id: bool) -> None:
        """``echo_request_id``: False where the server writes the ``x-request-id`` header itself."""
        self._app = app
        self._edge = edge
        self._echo = echo_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        scope["path"] = path_of(scope)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if is_traced() and scope["type"] == "http" and scope["path"] not in _UNLIMITED:
            with request_span(_span_name(scope), _traceparent(scope)) as opened:
                await self._serve(scope, receive, _noting(send, opened.note), request_id)
        else:
            await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        began, started, status = self._edge.clock.monotonic(), False, 0

        async def traced(message: Message) -> None:
            nonlocal started, status
            if message["type"].endswith((".response.start", ".accept")):
                started, status = True, message.get("status", _SWITCHING)
                headers = list(message.get("headers", ()))
                given = {name for name, _ in headers}
                headers += [(name, value) for name, value in _ANSWER_HEADERS.items() if name not in given]
                headers += rate_fields(scope)
                if scope["path"].startswith(OPENAI):
                    spent = (self._edge.clock.monotonic() - began) * 1000
                    headers += [(b"openai-processing-ms", b"%d" % spent), (b"openai-version", b"2020-10-01")]
                elif scope["path"].startswith(ANTHROPIC):
                    headers.append((b"request-id", request_id.encode()))
                if self._echo or scope["type"] == "websocket":
                    headers.append((b"x-request-id", request_id.encode()))
                message["headers"] = headers
            await send(message)

        if scope["type"] == "websocket" and scope["path"] != SOCKET:
            await receive()  # websocket.connect
            await deny(not_found("There is no WebSocket at this path"), scope, receive, traced)
            return
        self._edge.under_way += 1
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                if isinstance(refusal, RateLimited):
                    await self._edge.limits.hold_back(scope)
                await _answer(Problem.of(refusal), scope, receive, traced)
            else:
                await self._app(scope, receive, traced)
        except ClientDisconnect:
            _log.debug("client_gone", path=scope["path"])
        except Exception:
            _log.exception("request_failed", path=scope["path"])
            if started:
                raise  # the answer has begun: only a cut connection tells the client that it is incomplete
            await _answer(Problem.of(InternalError()), scope, receive, traced)
        finally:
            self._edge.under_way -= 1
            _log.debug("answered", method=scope.get("method", "GET"), path=scope["path"], status=status)

    def _refusal(self, scope: Scope) -> ParlorError | None:
        if scope["path"] in _UNLIMITED:
            return None
        if self._edge.is_full:
            return Overloaded("Too many requests are under way")
        try:
            self._edge.limits.admit_address(scope)
        except RateLimited as error:
            return error
        return None

    def _request_id(self, scope: Scope) -> str:
        given: list[bytes] = [value for name, value in scope["headers"] if name == b"x-request-id"]
        if len(given) == 1 and _SANE_ID.fullmatch(given[0]):
            return given[0].decode()
        return f"{self._edge.entropy.bits(128):032x}"


def _span_name(scope: Scope) -> str:
    """The request without the ids in it, so that those of a kind have one name."""
    return f"{scope['method']} {_ID.sub('{id}', scope['path'])[:_NAME_MAX]}"


def _traceparent(scope: Scope) -> str:
    """Where the caller's trace is; empty for none, or more than one."""
    given: list[bytes] = [value for name, value in scope["headers"] if name == b"traceparent"]
    return given[0].decode("latin-1").strip() if len(given) == 1 else ""


def _noting(send: Send, note: Callable[..., None]) -> Send:
    """Notes the status of the answer in the request's span."""

    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            note(**{"http.response.status_code": message["status"]})
        await send(message)

    return noting


async def _answer(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await deny(problem, scope, receive, send)
    else:
        await respond(problem, scope)(scope, receive, send)
