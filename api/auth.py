"""Authentication: from the bearer token or session cookie to the account, before the body is read.

``AuthenticatedRoute`` is a route class and not a dependency, because FastAPI parses the body before it runs
dependencies: it would parse the body of a caller without a token, and answer a malformed one with 422.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from msgspec import structs
from starlette.datastructures import Headers
from starlette.types import Scope

from api import session_cookie
from api.access import AccessFollower
from api.api_keys import NEVER, PREFIX, ApiKeys, credential_of, is_api_key
from api.callers import Caller, OpenStreams
from api.edge import Edge, edge_of
from api.key_ring import KeyRing
from api.media_types import require_json
from api.path_ids import canonical_path
from api.provider import Provider
from api.rates import charge
from api.session_cookie import SAFE
from api.sessions import Sessions
from api.tokens import ADMIN, Claims, TokenVerifier, UnknownKey, secret_of
from parlor.clock import Clock
from parlor.errors import Forbidden, RateLimited, Unauthenticated
from parlor.model.access import Credential, Standing
from parlor.model.ids import InstallationId
from parlor.settings import AuthSettings

SCOPE = "x-parlor-scope"
ADMITTED = "admitted"
"""In the state of a request's scope: gives back the share of one that was admitted."""
READS = {SCOPE: "read"}
"""``openapi_extra`` of a route that changes nothing although its method says so."""


class Authenticator:
    """Resolves the credentials of requests to callers."""

    def __init__(
        self,
        auth: AuthSettings,
        streams: OpenStreams,
        clock: Clock,
        provider: Provider | None = None,
        session_key: bytes | None = None,
    ) -> None:
        """``session_key``: what replicas sign sessions with, if they do. Raises ``ValueError`` when the secret is
        shorter than 32 bytes."""
        self._auth = auth
        self._clock = clock
        self._provider = provider
        ring = KeyRing(secret_of(auth), session_key)
        self._sessions = Sessions()
        self._verifier = TokenVerifier(auth, ring, clock, provider)
        self._keys = ApiKeys(clock)
        self.follower = AccessFollower(ring, self._keys, self._sessions, streams, clock)

    async def caller(self, edge: Edge, headers: Headers, method: str) -> Caller:
        """By the ``Authorization`` header or, without one, by the session cookie. Raises ``Unauthenticated``,
        ``Forbidden`` (a cookie's change that another page asks for) or ``StoreUnavailable``."""
        caller = await self.handshake_caller(edge, headers, method)
        if caller is None:
            raise Unauthenticated("The request needs `Authorization: Bearer <token>`")
        return caller

    async def handshake_caller(self, edge: Edge, headers: Headers, method: str) -> Caller | None:
        """Finds the caller as ``caller`` does; None: the headers have no credential."""
        authorizations = headers.getlist("authorization")
        if authorizations:
            return await self.token_caller(edge, _bearer(authorizations))
        sessions = session_cookie.tokens_in(headers)
        own = sessions.get(session_cookie.name_of(await edge.gateway.installation())) if sessions else None
        if own is None:
            return None
        caller = await self.session_caller(edge, session_cookie.only(own))
        session_cookie.require_own_page(headers, method)
        return caller

    def admit(self, edge: Edge, scope: Scope) -> None:
        """For a request whose credential was not looked at yet. Raises ``RateLimited`` when its address has sent too
        many that are not valid, unless this one was valid a moment ago: nobody is kept out by what others send from
        the same address."""
        try:
            edge.limits.admit_token(scope)
        except RateLimited:
            if not self._knows(Headers(scope=scope)):
                raise

    def _knows(self, headers: Headers) -> bool:
        given = [each.partition(" ")[2].strip() for each in headers.getlist("authorization")]
        given += headers.getlist("x-api-key")
        given += [token for tokens in session_cookie.tokens_in(headers).values() for token in tokens]
        return any(self._verifier.knows(each) or self._keys.knows(each) for each in given)

    async def token_caller(self, edge: Edge, token: str) -> Caller:
        """By a token or an API key. Raises ``Unauthenticated`` or ``StoreUnavailable``."""
        if not token.startswith(PREFIX):
            return await self.session_caller(edge, token)
        await self.follower.ready(edge.gateway.access)
        key = await self._keys.verify(edge.gateway.access, token)
        caller = await self._resolve(edge, key.account_id, credential_of(key))
        return structs.replace(caller, scopes=frozenset(key.scopes.split()))

    async def session_caller(self, edge: Edge, token: str) -> Caller:
        """By a token, which is no API key. Raises ``Unauthenticated`` or ``StoreUnavailable``."""
        await self.follower.ready(edge.gateway.access)
        claims = await self._claims(edge, token)
        caller = await self._resolve(edge, claims.account_id, claims.credential)
        return structs.replace(caller, scopes=claims.scopes)

    def cookie(self, installation: InstallationId, token: str, caller: Caller, headers: Headers) -> str:
        """The ``Set-Cookie`` of a session that ends with its token."""
        seconds = max(0, caller.credential.valid_until - self._clock.now_ms()) // 1000
        return session_cookie.set_cookie(installation, token, seconds, secure=self.is_secure(headers))

    def no_cookie(self, installation: InstallationId, headers: Headers) -> str:
        """The ``Set-Cookie`` that has the browser forget the session."""
        return session_cookie.set_cookie(installation, "", 0, secure=self.is_secure(headers))

    def is_secure(self, headers: Headers) -> bool:
        """Whether a cookie that is set now is for TLS alone."""
        return self._auth.session_cookie == "secure" or session_cookie.is_tls(headers)

    def end_of(self, credential: Credential) -> int | None:
        """When it expires, as its maker said it, in ms; None: never."""
        if is_api_key(credential):
            return None if credential.valid_until == NEVER else credential.valid_until
        return credential.valid_until - round(self._auth.leeway.total_seconds() * 1000)

    async def _claims(self, edge: Edge, token: str) -> Claims:
        try:
            return self._verifier.verify(token)
        except UnknownKey as unknown:
            if unknown.is_providers and self._provider is not None:
                await self._provider.look_again()
            else:
                await self.follower.look_again(edge.gateway.access)
        try:
            return self._verifier.verify(token)
        except UnknownKey:
            raise Unauthenticated("The key that signed the token is not known, or was retired") from None

    async def ticket_caller(self, edge: Edge, tickets: Sequence[str], path: str) -> Caller:
        """The caller of an event stream that is opened with a ticket. Raises ``Unauthenticated``, ``StoreUnavailable``
        or ``CacheUnavailable``."""
        holder = await edge.gateway.use_ticket(tickets[0], path) if len(tickets) == 1 else None
        await self.follower.ready(edge.gateway.access)
        if holder is None or not await self._accepts(edge, holder.credential):
            raise Unauthenticated("The ticket is not valid, or is for another event stream; ask for a new one")
        return await self._resolve(edge, holder.account_id, holder.credential)

    async def _accepts(self, edge: Edge, credential: Credential) -> bool:
        if is_api_key(credential):
            return await self._keys.accepts(edge.gateway.access, credential)
        return self._verifier.accepts(credential)

    async def _resolve(self, edge: Edge, account_id: str, credential: Credential) -> Caller:
        session = await self._sessions.resolve(edge.gateway, account_id)
        if credential.issued_at < session.not_before:
            raise Unauthenticated("The token was revoked")
        if session.standing is Standing.DELETED:
            raise Unauthenticated("The account was deleted")
        if session.standing is Standing.DISABLED:
            raise Forbidden("The account is disabled")
        return Caller(session, credential)


class AuthenticatedRoute(APIRoute):
    """A route that requires a valid token or API key, with the scope that its method asks for."""

    @property
    def scope(self) -> str:
        """``read`` for what changes nothing; the document says so of a POST that does not (``READS``)."""
        changes = not (self.methods or set()) <= SAFE and (self.openapi_extra or {}).get(SCOPE) != "read"
        return "write" if changes else "read"

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = self.get_caller_handler()

        async def authenticated(request: Request) -> Response:
            # A request that ``api.hot_routes`` has passed on was admitted there.
            give_back = request.scope["state"].pop(ADMITTED, None) or await self.admit(request)
            try:
                if self.body_field is not None:
                    require_json(request)
                return await handle(request)
            finally:
                give_back()

        return authenticated

    async def admit(self, request: Request) -> Callable[[], None]:
        """Finds the caller, charges the account for the request, and takes one of its shares; returns what gives that
        back. Raises what ``find_caller`` raises, ``RateLimited`` or ``Forbidden``."""
        edge, scope = edge_of(request), request.scope
        authenticator: Authenticator = request.app.state.authenticator
        authenticator.admit(edge, scope)
        try:
            caller = await self.find_caller(request, authenticator)
        except Unauthenticated:
            await edge.limits.token_refused(scope)
            raise
        request.state.caller = caller
        account = caller.session.account_id
        charge(edge.limits.requests, account, scope)
        require_scope(caller, self.scope)
        # A stream is counted by its slot: it begins when the handler has returned.
        return edge.limits.requests_at_once.take(account)

    async def find_caller(self, request: Request, authenticator: Authenticator) -> Caller:
        """Raises ``Unauthenticated`` and what resolving the account raises."""
        return await authenticator.caller(edge_of(request), request.headers, request.method)

    def get_caller_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of a request whose caller is known."""
        return super().get_route_handler()


def _bearer(authorizations: Sequence[str]) -> str:
    """Raises ``Unauthenticated``."""
    if len(authorizations) > 1:
        # A proxy in front may have checked another one than we would.
        raise Unauthenticated("The request has more than one `Authorization` header")
    scheme, _, token = "".join(authorizations).partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("The request needs `Authorization: Bearer <token>`")
    return token


def require_scope(caller: Caller, scope: str) -> None:
    """Raises ``Forbidden``."""
    if scope not in caller.scopes:
        raise Forbidden(f"The credential does not have the scope `{scope}`")


class AdminRoute(AuthenticatedRoute):
    """A route about the whole installation: its caller needs the scope `admin`, whatever the method."""

    @property
    def scope(self) -> str:
        return ADMIN

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        extra = kwargs.pop("openapi_extra", None) or {}
        super().__init__(*args, openapi_extra={**extra, SCOPE: ADMIN}, **kwargs)


class TicketRoute(AuthenticatedRoute):
    """The route of an event stream, which `?ticket=` opens too: a browser's EventSource sends no token. A session
    cookie beside the ticket does not count."""

    async def find_caller(self, request: Request, authenticator: Authenticator) -> Caller:
        tickets = request.query_params.getlist("ticket")
        if not tickets:
            return await super().find_caller(request, authenticator)
        if "authorization" in request.headers:
            raise Unauthenticated("Give a token or a ticket, not both")
        return await authenticator.ticket_caller(edge_of(request), tickets, canonical_path(request.scope["path"]))


def caller_of(request: Request) -> Caller:
    """The caller of a request on an ``AuthenticatedRoute``."""
    caller: Caller = request.state.caller
    return caller
