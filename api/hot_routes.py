"""Sends and event streams, answered before FastAPI, whose layers cost a send more than all else that a replica does.

A request is taken when method and path are those of such a route and its headers are as programs write them; any other
goes on to FastAPI as it came. So does a body that is not understood: FastAPI alone says what is wrong with one.
Admission, handlers and error answers are those of the same routes in FastAPI (ADR 0028).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.auth import ADMITTED, AuthenticatedRoute
from api.path_ids import room_id_of
from api.routes import events, messages
from api.send_body import read
from api.sending import send
from parlor.errors import ParlorError

_NOT_PLAIN = frozenset({b"transfer-encoding", b"content-encoding"})


class HotRoute(msgspec.Struct, frozen=True):
    """One route that is answered here."""

    method: str
    ending: str
    """Of its path: a test that costs nothing, before the path is matched."""
    route: AuthenticatedRoute
    handle: Callable[[Request], Awaitable[Response | None]]
    """Answers a request that was admitted; None: the body is not understood."""


class HotRoutes:
    """ASGI middleware, the innermost of ours."""

    def __init__(self, app: ASGIApp, routes: list[HotRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hot = self._match(scope) if scope["type"] == "http" else None
        if hot is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            await self._answer(hot, request, send)
        except (ParlorError, HTTPException) as error:
            response = await problems.explain(request, error)
            await response(scope, receive, send)

    def _match(self, scope: Scope) -> HotRoute | None:
        path: str = scope["path"]
        for hot in self._routes:
            if scope["method"] != hot.method or not path.endswith(hot.ending):
                continue
            found = hot.route.path_regex.match(path)
            if found is not None:
                scope["path_params"] = found.groupdict()
                return hot if _is_plain(scope, has_body=hot.method == "POST") else None
        return None

    async def _answer(self, hot: HotRoute, request: Request, send: Send) -> None:
        give_back = await hot.route.admit(request)
        try:
            response = await hot.handle(request)
            if response is None:
                request.scope["state"][ADMITTED] = give_back
        except BaseException:
            give_back()
            raise
        if response is not None:
            # A stream is counted by its slot.
            give_back()
            await response(request.scope, request.receive, send)
            return
        try:
            await self._app(request.scope, _replayed(await request.body(), request.receive), send)
        finally:
            request.scope["state"].pop(ADMITTED, _nothing)()


def _is_plain(scope: Scope, *, has_body: bool) -> bool:
    """Whether nothing about the request needs FastAPI or Starlette to read it."""
    if scope.get("root_path"):
        return False
    if not has_body:
        return True
    length = kinds = 0
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value != b"application/json":
                return False
            kinds += 1
        elif name == b"content-length":
            length += 1
        elif name in _NOT_PLAIN:
            return False
    return length == kinds == 1


def _replayed(body: bytes, receive: Receive) -> Receive:
    """``receive`` with a body before it that was read."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _nothing() -> None:
    pass


async def _send(request: Request) -> Response | None:
    body = read(await request.body())
    return None if body is None else await send(request, room_id_of(request.path_params["room_id"]), body)


async def _account_events(request: Request) -> Response:
    return await events.follow_account(request)


async def _room_events(request: Request) -> Response:
    return await events.follow_room(request, **request.path_params)


async def _reply_events(request: Request) -> Response:
    return await events.follow_reply(request, **request.path_params)


def hot_routes() -> list[HotRoute]:
    """The routes, the most frequent first."""
    return [
        HotRoute("POST", "/messages", _route(messages.router.routes, messages.send_message), _send),
        HotRoute("GET", "/events", _route(events.router.routes, events.follow_room), _room_events),
        HotRoute("GET", "/events", _route(events.router.routes, events.follow_reply), _reply_events),
        HotRoute("GET", "/events", _route(events.router.routes, events.follow_account), _account_events),
    ]


def _route(routes: list[Any], endpoint: Callable[..., Any]) -> AuthenticatedRoute:
    (found,) = (each for each in routes if isinstance(each, APIRoute) and each.endpoint is endpoint)
    if not isinstance(found, AuthenticatedRoute):
        raise TypeError(f"{found.path} admits everybody")
    return found
