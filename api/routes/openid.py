"""Signing in by OpenID Connect: to the issuer, and back; and which ways of signing in there are.

A browser that comes here by a link is sent back to the page, which says what went wrong; a program gets the problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from api import answers
from api.audit import note_by
from api.auth import Authenticator
from api.edge import edge_of
from api.openapi import Responses, refusals
from api.openid import round_trip
from api.problems import explain, refusal
from api.session_cookie import is_tls, require_no_other_page
from api.session_schemas import SignInMethodsResponse
from api.sign_in import SignIn
from api.tokens import provider_of
from parlor.errors import Forbidden, InvalidRequest, ParlorError, ProviderUnavailable, Unauthenticated
from parlor.model.administration import Action
from parlor.model.ids import InstallationId

CALLBACK = f"{round_trip.PATH}/callback"
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_log = structlog.get_logger(__name__)
_ONCE = ("state", "code", "error", "iss")


class OpenIdRoute(APIRoute):
    """One end of the round trip: whatever goes wrong can be read on the page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def passing(request: Request) -> Response:
            edge = edge_of(request)
            try:
                edge.limits.admit_token(request.scope)
                return await handle(request)
            except ParlorError as error:
                if isinstance(error, Unauthenticated):
                    await edge.limits.token_refused(request.scope)
                return await _explained(request, error)

        return passing


router = APIRouter(prefix="/v1/session", tags=["session"])
_redirect: Responses = {
    303: {"description": "To the issuer, or to the page", "headers": {"Location": {"schema": {"type": "string"}}}}
}


async def begin_openid(request: Request) -> Response:
    """Sends the browser to the OpenID issuer. An address to open, not to fetch: it ends on the page, signed in."""
    require_no_other_page(request.headers)
    ways = _ways(request)
    if ways.openid is None:
        raise Forbidden("Nobody signs in by OpenID Connect here")
    trip = ways.trips.begin(f"{_own_origin(request)}{CALLBACK}")
    address = await ways.openid.address(trip)
    secure = _authenticator(request).is_secure(request.headers)
    cookie = ways.trips.cookie(await _installation(request), trip, secure=secure)
    return _redirection(address, cookie)


async def finish_openid(request: Request) -> Response:
    """Where the issuer sends the browser back to: sets the session cookie, and goes to the page."""
    ways, authenticator, installation = _ways(request), _authenticator(request), await _installation(request)
    if ways.openid is None:
        raise Forbidden("Nobody signs in by OpenID Connect here")
    trip = ways.trips.of(installation, request.headers)
    token = ways.session(await ways.openid.account(trip, _returned(request)), ways.openid.issuer)
    caller = await authenticator.session_caller(edge_of(request), token)
    await note_by(request, caller, Action.SIGNED_IN, caller.session.account_id, "openid")
    no_trip = round_trip.no_cookie(installation, secure=authenticator.is_secure(request.headers))
    return _redirection("/", authenticator.cookie(installation, token, caller, request.headers), no_trip)


async def sign_out_address(request: Request, token: str) -> str | None:
    """Where the person of a session signs out of the issuer that it came from, if that can be said now."""
    ways = _ways(request)
    if ways.openid is None or provider_of(token) != ways.openid.issuer:
        return None
    try:
        return await ways.openid.sign_out_address(f"{_own_origin(request)}/")
    except (ProviderUnavailable, InvalidRequest) as error:
        _log.warning("openid_sign_out_unknown", reason=error.detail)
        return None


async def sign_in_methods(request: Request) -> Response:
    """How people sign in on the page here."""
    ways = _ways(request)
    openid = {"title": ways.title, "path": round_trip.PATH} if ways.openid else None
    return answers.answer({"code": True, "openid": openid, "name": ways.by_name})


for _path, _handler, _summary in (
    ("/openid", begin_openid, "Sign in by OpenID Connect"),
    ("/openid/callback", finish_openid, "Come back from the OpenID issuer"),
):
    router.add_api_route(
        _path,
        _handler,
        methods=["GET"],
        status_code=303,
        response_class=Response,
        responses={**_redirect, **refusals()},
        summary=_summary,
        openapi_extra={"security": []},
        route_class_override=OpenIdRoute,
    )
router.add_api_route(
    "/methods",
    sign_in_methods,
    methods=["GET"],
    response_model=SignInMethodsResponse,
    responses=refusals(),
    summary="How people sign in",
    openapi_extra={"security": []},
)


def _returned(request: Request) -> dict[str, str]:
    """The parameters of the way back. Raises ``Unauthenticated``."""
    given = request.query_params
    if any(len(given.getlist(name)) > 1 for name in _ONCE):
        raise Unauthenticated("The identity provider's answer says something twice")
    return {name: given[name] for name in _ONCE if name in given}


def _own_origin(request: Request) -> str:
    """The origin of the page, as the browser sees it. Raises ``InvalidRequest``."""
    public = edge_of(request).settings.public_url
    if public:
        return public
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise InvalidRequest("The header `Host` names no host")
    return f"{'https' if is_tls(request.headers) else 'http'}://{host}"


async def _explained(request: Request, error: ParlorError) -> Response:
    """A navigation ends on the page, which knows a sentence for each code."""
    if "text/html" in request.headers.get("accept", ""):
        problem = await refusal(edge_of(request), error, request.scope)
        return _redirection(f"/#sign-in-problem={problem.code}")
    return await explain(request, error)


def _redirection(address: str, *cookies: str) -> Response:
    answer = Response(status_code=303, headers={"Location": address, "Referrer-Policy": "no-referrer"})
    for cookie in cookies:
        answer.headers.append("Set-Cookie", cookie)
    return answer


async def _installation(request: Request) -> InstallationId:
    return await edge_of(request).gateway.installation()


def _ways(request: Request) -> SignIn:
    found: SignIn = request.app.state.sign_in
    return found


def _authenticator(request: Request) -> Authenticator:
    found: Authenticator = request.app.state.authenticator
    return found
