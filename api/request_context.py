"""The outermost middleware: request ids, the limit on concurrent requests, and answers to unexpected exceptions."""

from __future__ import annotations

import re

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge import Edge
from api.problems import Problem, respond
from parlor.errors import InternalError, Overloaded

_SANE_ID = re.compile(rb"[0-9A-Za-z._:+/=-]{1,128}")
_UNLIMITED = frozenset({"/healthz", "/readyz"})
_log = structlog.get_logger(__name__)


class RequestContext:
    """ASGI middleware; it has to be the outermost."""

    def __init__(self, app: ASGIApp, *, edge: Edge, echo_request_id: bool) -> None:
        """``echo_request_id``: False where the server writes the ``x-request-id`` header itself."""
        self._app = app
        self._edge = edge
        self._echo = echo_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = False

        async def traced(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self._echo:
                    message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        self._edge.under_way += 1
        try:
            if self._full(scope["path"]):
                busy = Overloaded("Too many requests are under way")
                await respond(Problem.of(busy), scope)(scope, receive, traced)
            else:
                await self._app(scope, receive, traced)
        except ClientDisconnect:
            _log.debug("client_gone", path=scope["path"])
        except Exception:
            _log.exception("request_failed", path=scope["path"])
            if started:
                raise  # the answer has begun: only a cut connection tells the client that it is incomplete
            await respond(Problem.of(InternalError()), scope)(scope, receive, traced)
        finally:
            self._edge.under_way -= 1

    def _full(self, path: str) -> bool:
        plain = self._edge.under_way - self._edge.streams.taken
        return plain > self._edge.settings.max_requests and path not in _UNLIMITED

    def _request_id(self, scope: Scope) -> str:
        given: bytes = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        return given.decode() if _SANE_ID.fullmatch(given) else f"{self._edge.entropy.bits(128):032x}"
