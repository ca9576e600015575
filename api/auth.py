"""Authentication: from the bearer token to the session, before the body is read.

``AuthenticatedRoute`` is a route class and not a dependency, because FastAPI parses the body before it runs
dependencies: it would parse the body of a caller without a token, and answer a malformed one with 422.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.edge import Edge, edge_of
from api.media_types import require_json
from api.tokens import TokenVerifier
from parlor.errors import Unauthenticated
from parlor.gateway import Gateway
from parlor.model import Session

_SESSIONS_MAX = 10_000


class Caller(msgspec.Struct, frozen=True):
    """The session of a request, and when its token expires."""

    session: Session
    valid_until_ms: int


class Sessions:
    """A cache of resolved sessions. An account keeps its partition, so entries do not go stale."""

    def __init__(self) -> None:
        self._known: dict[str, Session] = {}

    async def resolve(self, gateway: Gateway, account_id: str) -> Session:
        """Raises ``StoreUnavailable`` when the account is not cached and the store does not answer."""
        session = self._known.pop(account_id, None) or await gateway.session(account_id)
        self._known[account_id] = session
        if len(self._known) > _SESSIONS_MAX:
            del self._known[next(iter(self._known))]
        return session


class Authenticator:
    """Resolves ``Authorization`` headers to callers."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier
        self._sessions = Sessions()

    async def caller(self, edge: Edge, authorizations: Sequence[str]) -> Caller:
        """Raises ``Unauthenticated`` or ``StoreUnavailable``."""
        if len(authorizations) > 1:
            # A proxy in front may have checked another one than we would.
            raise Unauthenticated("The request has more than one `Authorization` header")
        scheme, _, token = "".join(authorizations).partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("The request needs `Authorization: Bearer <token>`")
        claims = self._verifier.verify(token)
        return Caller(await self._sessions.resolve(edge.gateway, claims.account_id), claims.valid_until_ms)


class AuthenticatedRoute(APIRoute):
    """A route that requires a valid token."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = self.get_caller_handler()

        async def authenticated(request: Request) -> Response:
            authenticator: Authenticator = request.app.state.authenticator
            authorizations = request.headers.getlist("authorization")
            request.state.caller = await authenticator.caller(edge_of(request), authorizations)
            if self.body_field is not None:
                require_json(request)
            return await handle(request)

        return authenticated

    def get_caller_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of a request whose caller is known."""
        return super().get_route_handler()


def caller_of(request: Request) -> Caller:
    """The caller of a request on an ``AuthenticatedRoute``."""
    caller: Caller = request.state.caller
    return caller
