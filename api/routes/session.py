"""The page's session: sign in, who is signed in, sign out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from cryptography.exceptions import InvalidTag
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from api import answers
from api.audit import note_by
from api.auth import AuthenticatedRoute, Authenticator, caller_of
from api.callers import Caller
from api.edge import edge_of
from api.media_types import require_json
from api.openapi import WITH_BODY, refusals
from api.problems import invalid
from api.routes.openid import sign_out_address
from api.session_cookie import name_of, require_no_other_page, tokens_in
from api.session_schemas import SessionCreateRequest, SessionResponse
from api.sign_in import SignIn
from api.sign_in_codes import unseal
from api.this_machine import require_this_machine
from parlor.errors import AnotherAccount, Forbidden, Unauthenticated
from parlor.model.administration import Action
from parlor.model.ids import AccountId
from parlor.model.wire import timestamp

PATH = "/v1/session"
BODY_MAX = 16 * 1024
"""Bytes: of a token, which has 4096 at most, or less."""
NO_CODE = "The sign-in code was used already, or is older than a minute; `parlor sign-in` prints another"


class SignInRoute(APIRoute):
    """A route that gives a session: codes that are not good count as refused tokens."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def signing_in(request: Request) -> Response:
            limits = edge_of(request).limits
            limits.admit_token(request.scope)
            require_no_other_page(request.headers)
            require_json(request)
            give_back = limits.take_stranger(request.scope)
            try:
                return await handle(request)
            except Unauthenticated:
                await limits.token_refused(request.scope)
                raise
            finally:
                give_back()

        return signing_in


router = APIRouter(prefix=PATH, tags=["session"])


async def sign_in(request: Request, body: SessionCreateRequest) -> Response:
    """Sets the session cookie, for a one-time code (`parlor sign-in` prints a link with one) or for a bearer token that
    somebody has. The cookie does for a browser what the token does for a program, and ends with it. Where
    `GET /v1/session/methods` says so, the name of an account is enough.

    With `account_id` a code of another account is not used up, and answered with 409.
    """
    edge, authenticator = edge_of(request), _authenticator(request)
    token = await _token(request, body)
    caller = await authenticator.session_caller(edge, token)
    await note_by(request, caller, Action.SIGNED_IN, caller.session.account_id)
    cookie = authenticator.cookie(await edge.gateway.installation(), token, caller, request.headers)
    return answers.answer(_form(request, caller), 201, {"Set-Cookie": cookie})


router.add_api_route(
    "",
    sign_in,
    methods=["POST"],
    status_code=201,
    response_model=SessionResponse,
    responses=refusals(AnotherAccount, *WITH_BODY),
    summary="Sign in",
    openapi_extra={"security": []},
    route_class_override=SignInRoute,
)


async def get_session(request: Request) -> Response:
    """Whose the credential of this request is, whatever its kind, what it allows, and when it ends."""
    return answers.answer(_form(request, caller_of(request)))


router.add_api_route(
    "",
    get_session,
    methods=["GET"],
    response_model=SessionResponse,
    responses=refusals(),
    summary="Who is signed in",
    route_class_override=AuthenticatedRoute,
)


async def sign_out(request: Request) -> Response:
    """Has the browser forget the session cookie. A copy of it stays good until its end: `parlor revoke` ends those.

    Whoever signed in by OpenID Connect is still signed in there. `Location` is where the browser signs out of the
    issuer, if that has such an address; from there it comes back to the page.
    """
    installation = await edge_of(request).gateway.installation()
    headers = {"Set-Cookie": _authenticator(request).no_cookie(installation, request.headers)}
    for token in tokens_in(request.headers).get(name_of(installation), [])[:1]:
        if address := await sign_out_address(request, token):
            headers["Location"] = address
    return Response(status_code=204, headers=headers)


router.add_api_route(
    "",
    sign_out,
    methods=["DELETE"],
    status_code=204,
    response_class=Response,
    responses={
        204: {
            "description": "Signed out here",
            "headers": {"Location": {"description": "Where to sign out of the issuer", "schema": {"type": "string"}}},
        },
        **refusals(),
    },
    summary="Sign out",
    openapi_extra={"x-parlor-scope": "read"},
    route_class_override=AuthenticatedRoute,
)


async def _token(request: Request, body: SessionCreateRequest) -> str:
    """The token of the session that is asked for. Raises ``Unauthenticated``, ``Forbidden``, ``InvalidRequest``,
    ``AnotherAccount`` or ``CacheUnavailable``."""
    if body.token is not None:
        return body.token
    if body.name is None:
        return await _use(request, body.code or "", body.account_id)
    ways: SignIn = request.app.state.sign_in
    if not ways.by_name:
        raise Forbidden("Nobody signs in by name here")
    require_this_machine(request.scope)
    try:
        return ways.session(body.name)
    except ValueError as error:
        raise invalid(("body", "name"), str(error)) from None


async def _use(request: Request, code: str, expected: str | None) -> str:
    """Returns the token that a code is good for. Raises ``Unauthenticated``, ``AnotherAccount`` or
    ``CacheUnavailable``."""
    account = None if expected is None else AccountId(expected)
    found = await edge_of(request).gateway.take_sign_in_code(code, account)
    if found is None:
        raise Unauthenticated(NO_CODE)
    if account is not None and found.account_id != account:
        raise AnotherAccount(extra={"account_id": found.account_id})
    try:
        return unseal(code, found)
    except InvalidTag:
        raise Unauthenticated(NO_CODE, debug="the code's session does not open") from None


def _form(request: Request, caller: Caller) -> dict[str, Any]:
    end = _authenticator(request).end_of(caller.credential)
    return {
        "account_id": caller.session.account_id,
        "scopes": sorted(caller.scopes),
        "expires_at": None if end is None else timestamp(end),
    }


def _authenticator(request: Request) -> Authenticator:
    found: Authenticator = request.app.state.authenticator
    return found
