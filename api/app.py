"""The FastAPI application: routes, error answers, middleware, and the gateway that is open while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api import openapi, problems
from api.auth import Authenticator
from api.body_limit import Allowance, BodyLimit
from api.cors import Cors
from api.dialect_offers import WITH_IMAGES
from api.edge import Edge, EdgeMetrics, NoMetrics
from api.hot_routes import HotRoutes, hot_routes
from api.methods import HeadAsGet, MethodTable
from api.provider import Provider
from api.request_context import SOCKET, RequestContext
from api.routes import (
    admin,
    ai_sdk,
    anthropic_messages,
    approvals,
    docs,
    events,
    export,
    files,
    health,
    keys,
    messages,
    ollama,
    openai_chat,
    openai_conversations,
    openai_models,
    openai_responses,
    openai_stored_responses,
    openid,
    page,
    personas,
    replies,
    rooms,
    search,
    session,
    tool_calls,
    usage,
)
from api.sign_in import SignIn
from api.socket import socket
from api.web_files import Assets
from parlor.clock import Clock, Entropy, SystemClock, SystemEntropy
from parlor.gateway import Gateway
from parlor.settings import Settings

_DESCRIPTION = (
    "AI chat rooms. Errors are `application/problem+json`; [all of them](/docs/errors). HEAD is answered wherever GET "
    "is, OPTIONS names the methods of a path. Ids are read in either case; `%2F` in a path separates nothing."
)


class _Application(FastAPI):
    """FastAPI with our OpenAPI document, and without its telemetry, which asks the environment at each request whether
    anybody wants it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Starlette.__call__(self, scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Ours around FastAPI's, where FastAPI would put some of its own outside: what is answered before FastAPI does
        not pay for them. `RequestContext` answers unexpected exceptions, and `BodyLimit` limits bodies."""
        app: ASGIApp = ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)
        for cls, args, kwargs in reversed(self.user_middleware):
            app = cls(app, *args, **kwargs)
        return app

    def openapi(self) -> dict[str, Any]:
        return openapi.document(self)


ROUTES = (
    messages,
    rooms,
    events,
    replies,
    tool_calls,
    approvals,
    export,
    search,
    personas,
    usage,
    session,
    openid,
    keys,
    files,
    admin,
    health,
    docs,
    page,
)
"""Modules of routes, which are tried in order: sends, the most frequent, come first."""


class _Socket:
    """The ASGI application of a WebSocket: Starlette hands one that is no function its messages as they come."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await socket(scope, receive, send)


_DIALECTS = (
    openai_chat,
    openai_conversations,
    openai_models,
    openai_responses,
    openai_stored_responses,
    anthropic_messages,
    ollama,
    ai_sdk,
)


def build_app(
    settings: Settings,
    gateway_factory: Callable[[], Awaitable[Gateway]],
    *,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    metrics: EdgeMetrics | None = None,
    echo_request_id: bool = True,
) -> FastAPI:
    """The application. The gateway is opened when it starts and closed when it stops.

    ``echo_request_id``: whether to write the ``x-request-id`` header; Ray Serve writes it itself. Raises ``ValueError``
    when ``settings.auth.secret`` is too short, or when signing in by name would be open to other machines.
    """
    clock = clock or SystemClock()
    edge = Edge(settings.api, settings.limits, clock, entropy or SystemEntropy(), metrics or NoMetrics())
    provider = Provider(settings.identity, edge.open_streams, clock) if settings.identity.jwks_url else None
    sign_in = SignIn(settings, clock, edge.entropy)
    authenticator = Authenticator(settings.auth, edge.open_streams, clock, provider, sign_in.session_key)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        edge.open(await gateway_factory())
        following = [asyncio.create_task(authenticator.follower.run(edge.gateway.access))]
        if provider is not None:
            following.append(asyncio.create_task(provider.run()))
        try:
            yield
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await edge.close()

    app = _Application(
        title="Parlor",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.edge, app.state.authenticator, app.state.sign_in = edge, authenticator, sign_in
    problems.install(app)
    for module in ROUTES:
        app.include_router(module.router)
    for dialect in _DIALECTS:
        app.include_router(dialect.router)
    app.router.routes.append(WebSocketRoute(SOCKET, _Socket()))
    app.mount("/assets", Assets(), name="assets")
    app.state.methods = MethodTable(app.openapi)
    # Added last is outermost.
    app.add_middleware(HotRoutes, routes=hot_routes())
    app.add_middleware(BodyLimit, usual=_usual_body(settings), special=_special_bodies(settings))
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestContext, edge=edge, echo_request_id=echo_request_id)
    app.add_middleware(Cors, origins=settings.api.origins)
    return app


def _operation_id(route: APIRoute) -> str:
    """What generated clients call the operation: the name of its function."""
    return route.name


def _usual_body(settings: Settings) -> Allowance:
    timeout = settings.connections.body_timeout
    return Allowance(settings.api.body_limit, timeout, pause=timeout)


def _special_bodies(settings: Settings) -> dict[str, Allowance]:
    """By path: files, requests that bring their images along, and sign-ins."""
    pause = settings.connections.body_timeout
    upload = Allowance(settings.files.size_max + files.FORM_MAX, settings.files.upload_timeout, pause=pause)
    # In base64 an image is a third longer.
    most = settings.api.body_limit + settings.files.image_max * 4 // 3
    images = Allowance(most, settings.files.upload_timeout, pause=pause)
    # A stranger may send it, and others wait for their turn meanwhile.
    sign_in = Allowance(session.BODY_MAX, pause, pause=pause)
    return {files.PATH: upload, session.PATH: sign_in, **dict.fromkeys(WITH_IMAGES, images)}
